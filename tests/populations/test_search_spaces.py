import numpy as np
import pytest

from jaxnn.populations.search_spaces import choice, log_uniform, random_settings, uniform


def samples(distribution, count=4000):
    rng = np.random.default_rng(0)
    return np.array([distribution.sample(rng) for _ in range(count)])


def test_uniform_has_the_moments_of_the_uniform_distribution():
    drawn = samples(uniform(2, 5))
    assert drawn.min() >= 2
    assert drawn.max() <= 5
    np.testing.assert_allclose([drawn.mean(), drawn.var()], [3.5, 9 / 12], rtol=0.03)


def test_every_decade_is_as_likely():
    drawn = samples(log_uniform(1e-4, 1))
    decades = np.histogram(np.log10(drawn), bins=4, range=(-4, 0))[0]
    assert decades.sum() == len(drawn)
    assert (abs(decades - 1000) < 4 * np.sqrt(1000 * 3 / 4)).all()  # four standard deviations


def test_every_choice_is_as_likely():
    drawn = samples(choice("a", "b", "c"))
    assert (abs(np.unique(drawn, return_counts=True)[1] - 4000 / 3) < 4 * np.sqrt(4000 * 2 / 9)).all()


def test_a_choice_keeps_its_values_as_they_are():
    widths = random_settings(8, features=choice((8,), (8, 8)), momentum=0.5)
    assert {setting["features"] for setting in widths} == {(8,), (8, 8)}
    assert {setting["momentum"] for setting in widths} == {0.5}


def test_settings_are_reproducible_and_more_of_them_begin_alike():
    ranges = {"learning_rate": log_uniform(1e-4, 1), "dropout_rate": uniform(0, 0.5), "batch_size": choice(16, 32)}
    assert random_settings(9, seed=3, **ranges)[:4] == random_settings(4, seed=3, **ranges)
    assert random_settings(4, seed=3, **ranges) != random_settings(4, seed=4, **ranges)


def test_clip():
    assert [uniform(0, 0.5).clip(value) for value in (-1, 0.2, 3)] == [0, 0.2, 0.5]
    assert [log_uniform(0.1, 10).clip(value) for value in (0.01, 2, 30)] == [0.1, 2, 10]
    assert choice(0.1, 0.2, 0.4).clip(0.28) == 0.2
    assert choice("relu", "tanh").clip("tanh") == "tanh"
    with pytest.raises(ValueError, match=r"one of \['relu', 'tanh'\]; received 'selu'"):
        choice("relu", "tanh").clip("selu")


def test_around_is_symmetric_on_its_line_and_stays_inside():
    narrow = log_uniform(1e-6, 1).around(1e-3, 1.0)
    np.testing.assert_allclose([narrow.low, narrow.high], [1e-4, 1e-2], rtol=1e-12)
    assert narrow.log
    assert uniform(0, 1).around(0.9, 0.25) == uniform(0.65, 1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: uniform(1, 1), "`low` must be less than `high`, both finite; received 1 and 1"),
        (lambda: uniform(2, 1), "received 2 and 1"),
        (lambda: uniform(0, np.inf), "both finite"),
        (lambda: log_uniform(0, 1), "`low` of a log range must be positive; received 0. Take `uniform`"),
        (choice, "`choice` must have one value at least"),
        (lambda: random_settings(0), "`count` must be at least 1; received 0"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
