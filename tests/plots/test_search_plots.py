"""Pictures of searches, ensembles and studies: what stands in them, not how they look."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxnn.plots import (
    plot_cross_validation,
    plot_ensemble_errors,
    plot_heat_map,
    plot_parallel_coordinates,
    plot_rate_sweep,
    plot_study,
    save_figure,
)
from jaxnn.plots.figure_style import BLUE, VERMILION
from jaxnn.plots.score_scales import ranked

RATES, DECAYS = (1e-4, 1e-3, 1e-2), (0.0, 0.1)
GRID = [
    {"learning_rate": rate, "weight_decay": decay, "hidden": hidden}
    for rate, decay, hidden in itertools.product(RATES, DECAYS, ((32,), (64, 32)))
]
SCORES = np.linspace(0.90, 0.955, len(GRID))
NAN = float("nan")


def points(n=30):
    rng = np.random.default_rng(0)
    return [{"learning_rate": float(10 ** rng.uniform(-5, 0)), "dropout_rate": float(rng.uniform())} for _ in range(n)]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_grid_has_a_cell_for_each_pair_with_the_best_score_of_the_others():
    axes, bar = plot_heat_map(GRID, SCORES, "learning_rate", "weight_decay", metric="validation accuracy").axes
    table = axes.images[0].get_array()
    np.testing.assert_allclose(table, SCORES.reshape(3, 2, 2).max(axis=2).T)
    written = {tuple(map(round, text.get_position())): text.get_text() for text in axes.texts}
    assert written[(0, 0)] == "90.50"
    assert written[(2, 1)] == "95.50"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "weight decay")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.0001", "0.001", "0.01"]
    assert bar.get_ylabel() == "validation accuracy (%)"
    assert axes.get_title(loc="left") == "12 settings, best: 95.50 %"


def test_the_star_stands_on_the_least_loss_and_on_the_largest_accuracy():
    for metric, cell in (("loss", (0, 0)), ("accuracy", (2, 1))):
        (star,) = plot_heat_map(GRID, SCORES, "learning_rate", "weight_decay", metric=metric).axes[0].lines
        assert tuple(int(star.get_xydata()[0, i]) for i in (0, 1)) == cell


def test_every_number_can_be_read_on_its_cell():
    for metric in ("loss", "accuracy"):
        axes = plot_heat_map(GRID, SCORES, "learning_rate", "weight_decay", metric=metric).axes[0]
        picture = axes.images[0]
        brightness = picture.cmap(picture.norm(picture.get_array()))[..., :3].mean(axis=-1)
        for text in axes.texts:
            column, row = map(round, text.get_position())
            assert abs(brightness[row, column] - (text.get_color() == "white")) > 0.3


def test_bright_is_good():
    for metric, best in (("loss", 0), ("accuracy", -1)):
        picture = plot_heat_map(GRID, SCORES, "learning_rate", "weight_decay", metric=metric).axes[0].images[0]
        colours = picture.cmap(picture.norm(SCORES))[:, :3].mean(axis=-1)
        assert colours.argmax() == best % len(colours)


def test_a_cell_whose_runs_diverged_says_so():
    scores = SCORES.copy()
    scores[:2] = NAN, np.inf
    axes = plot_heat_map(GRID, scores, "learning_rate", "weight_decay", metric="loss").axes[0]
    assert texts(axes).count("diverged") == 1


def test_points_at_random_lie_where_they_were_drawn():
    settings, scores = points(), np.linspace(0.1, 0.9, 30)
    scores[3] = NAN
    axes, bar = plot_heat_map(settings, scores, "learning_rate", "dropout_rate", metric="loss").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    (drawn,) = axes.collections
    assert len(drawn.get_offsets()) == 29
    lost, star = axes.lines
    assert lost.get_xydata().tolist() == [[settings[3]["learning_rate"], settings[3]["dropout_rate"]]]
    assert star.get_xydata().tolist() == [[settings[0]["learning_rate"], settings[0]["dropout_rate"]]]
    assert bar.get_ylabel() == "loss"


def test_a_run_that_learned_nothing_does_not_hide_the_differences():
    scores = np.linspace(0.90, 0.955, 12)
    scores[0] = 0.1
    norm = plot_heat_map(GRID, scores, "learning_rate", "weight_decay", metric="accuracy").axes[0].images[0].norm
    assert norm.vmin > 0.85
    assert norm.vmax == 0.955


def test_parallel_coordinates_have_an_axis_a_name_and_the_best_in_red_on_top():
    scores = SCORES.copy()
    scores[0] = NAN
    (axes,) = plot_parallel_coordinates(GRID, scores, metric="validation accuracy").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "learning\nrate",
        "weight\ndecay",
        "hidden",
        "validation\naccuracy",
    ]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(lines) == 11
    assert to_hex(lines[-1].get_color()) == VERMILION.lower()
    np.testing.assert_allclose(lines[-1].get_ydata(), [1, 1, 1, 1])
    assert lines[-1].get_zorder() >= lines[0].get_zorder()
    assert {"0.0001", "0.001", "0.01", "0.1", "64x32", "95.50 %"} <= set(texts(axes))
    assert axes.get_title(loc="left") == "12 settings, 1 diverged and not drawn\nbest (red): 95.50 %"


def test_parallel_coordinates_of_many_values_have_round_ticks_and_clip_what_is_far_off():
    settings, scores = points(), np.linspace(0.9, 0.95, 30)
    scores[0] = 0.1
    (axes,) = plot_parallel_coordinates(settings, scores, metric="accuracy").axes
    assert {"0.001", "0.01", "0.1", "0.2", "0.8"} <= set(texts(axes))
    assert any(text.startswith("≤ 9") for text in texts(axes))
    heights = np.stack([line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 3])
    assert heights.min() == 0
    assert heights.max() == 1


def test_searches_in_which_all_diverged_are_drawn(tmp_path):
    lost = np.full(len(GRID), NAN)
    figures = (
        plot_heat_map(GRID, lost, "learning_rate", "weight_decay", metric="loss"),
        plot_heat_map(points(3), lost[:3], "learning_rate", "dropout_rate", metric="loss"),
        plot_parallel_coordinates(GRID, lost, metric="loss"),
        plot_parallel_coordinates(GRID[:1], [0.5], metric="loss"),
    )
    for figure in figures:
        save_figure(figure, tmp_path / "a.png")
    assert "every run diverged" in figures[0].axes[0].get_title(loc="left")


@pytest.mark.parametrize(
    ("settings", "scores", "message"),
    [
        (GRID, [1.0], r"`scores` must have shape \(12,\).*received \(1,\)"),
        ([], [], r"there must be a setting"),
        ([{"learning_rate": 1.0}, {"b1": 1.0}], [1.0, 2.0], "every setting must have the names"),
    ],
)
def test_scores_that_do_not_fit_the_settings_are_refused(settings, scores, message):
    with pytest.raises(ValueError, match=message):
        plot_parallel_coordinates(settings, scores, metric="loss")
    with pytest.raises(ValueError, match=message):
        plot_heat_map(settings, scores, "learning_rate", "learning_rate", metric="loss")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"every setting must have the names.*'momentum'"):
        plot_heat_map(GRID, SCORES, "learning_rate", "momentum", metric="loss")


def test_ensemble_errors_in_percent():
    members, averaged = np.array([1, 2, 3]), np.array([[0.10, 0.12], [0.08, 0.10], [0.07, 0.07]])
    (axes,) = plot_ensemble_errors(members, averaged, averaged + 0.01, np.array([0.1, 0.12])).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("members in the ensemble", "test error (%)")
    by_colour = {to_hex(line.get_color()): line for line in axes.lines}
    np.testing.assert_allclose(by_colour[BLUE.lower()].get_ydata(), [11, 9, 7])
    np.testing.assert_allclose(by_colour[VERMILION.lower()].get_ydata(), [12, 10, 8])
    assert axes.get_title(loc="left") == "11.00 % alone, 7.00 % together"
    with pytest.raises(ValueError, match=r"received \(3,\), \(3, 2\) and \(2, 2\)"):
        plot_ensemble_errors(members, averaged, averaged[:2], np.array([0.1]))


def test_a_study_has_bars_and_a_logarithmic_axis_where_it_spans_decades():
    x, mean = np.array([500, 5000, 50000]), np.array([3.0, 2.0, 1.0])
    interval = mean - 0.5, np.array([4.0, 3.0, NAN])
    (axes,) = plot_study(x, mean, interval, xlabel="training examples", ylabel="test error (%)").axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["500", "5000", "50000"]
    (bars,) = axes.collections
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, [[2.5, 4], [1.5, 3], [0.5, 1]])
    assert plot_study(np.arange(3), mean, interval, xlabel="x", ylabel="y").axes[0].get_xscale() == "linear"
    with pytest.raises(ValueError, match="`interval` a pair"):
        plot_study(x, mean, mean, xlabel="x", ylabel="y")


def test_a_sweep_marks_the_suggestion_and_where_it_diverged():
    rates, losses = np.geomspace(1e-6, 1, 7), np.array([2.3, 2.2, 2.0, 1.0, 0.5, NAN, np.inf])
    (axes,) = plot_rate_sweep(rates, losses, 1e-3).axes
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "learning rate", "loss")
    curve, suggestion, *lost = axes.lines
    assert curve.get_xdata().tolist() == rates[:5].tolist()
    assert suggestion.get_xdata()[0] == 1e-3
    assert [line.get_xdata()[0] for line in lost] == rates[5:].tolist()
    assert axes.get_title(loc="left") == "suggested learning rate: 0.001 (dashed)"
    assert len(plot_rate_sweep(rates, losses, None).axes[0].lines) == 3
    with pytest.raises(ValueError, match=r"must be \(points,\)"):
        plot_rate_sweep(rates, losses[:3], None)


def test_cross_validation_shows_the_best_first_and_marks_the_chosen(tmp_path):
    settings = [{"learning_rate": rate} for rate in (0.1, 0.01, 1e9)]
    scores = np.array([[0.7, 0.8], [0.8, 0.9], [NAN, 0.1]])
    error = np.array([0.05, 0.05, NAN])
    figure = plot_cross_validation(settings, scores, error, best=1, chosen=0, metric="validation accuracy")
    save_figure(figure, tmp_path / "cross_validation.png")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "learning rate 0.01",
        "learning rate 0.1",
        "learning rate 1e+09",
    ]
    red = [line for line in axes.lines if to_hex(line.get_color()) == VERMILION.lower() and line.get_marker() == "D"]
    assert red[0].get_xydata().tolist() == [[pytest.approx(75), 1]]
    assert texts(axes) == ["diverged"]
    assert axes.get_xlabel() == "validation accuracy (%)"


def test_ranks_put_the_diverged_last_for_losses_and_accuracies():
    scores = np.array([0.5, NAN, 0.1])
    assert ranked(scores, "test/loss").tolist() == [2, 0, 1]
    assert ranked(scores, "test/accuracy").tolist() == [0, 2, 1]
