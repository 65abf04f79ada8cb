"""Races: the paths are those of each optimizer alone, verdicts are just, pictures and pages hold what they should."""

import base64
import hashlib
import html
import json
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image
from tolerances import assert_close

from jaxnn.diagnostics.surfaces import SURFACES
from jaxnn.diagnostics.trajectories import (
    CONTESTANTS,
    DEFAULT_CONTESTANTS,
    Contestant,
    _races,
    judge,
    race_training,
    run_races,
)
from jaxnn.losses import cross_entropy
from jaxnn.plots.race_animation import MOST_FRAMES, write_race_gif
from jaxnn.plots.race_page import write_race_page
from jaxnn.plots.race_plots import contours, cut_off, look, moving_average, plot_race, plot_training_race

SADDLE, BEALE, VALLEY = (SURFACES[name] for name in ("saddle", "beale", "long-valley"))
EVIL = '</script><img src=x onerror="alert(1)"> & $x'


@pytest.fixture(scope="module")
def everyone():
    """All optimizers on all surfaces: (surface, optimizer, step, 2)."""
    return run_races(list(SURFACES.values()), list(CONTESTANTS.values()), steps=60)


# ----------------------------------------------------------------------------------------------------------- paths


def test_every_path_starts_at_the_start_and_moves(everyone):
    assert everyone.shape == (5, len(CONTESTANTS), 61, 2)
    for surface, paths in zip(SURFACES.values(), everyone, strict=True):
        np.testing.assert_array_equal(paths[:, 0], np.broadcast_to(np.float32(surface.start), paths[:, 0].shape))
        assert (paths[:, 1] != paths[:, 0]).all()


def test_no_two_optimizers_take_one_path(everyone):
    for paths in everyone[:1]:
        assert len({path.tobytes() for path in paths}) == len(CONTESTANTS)


def test_gradient_descent_on_the_saddle_is_a_geometric_sequence(everyone):
    path, lr, t = everyone[[*SURFACES].index("saddle"), 0], SADDLE.gradient_rate, np.arange(61)
    assert_close(path, np.stack([(1 - 2 * lr) ** t, 1e-3 * (1 + 2 * lr) ** t], axis=1))


THEIRS = {
    "momentum": lambda surface: optax.sgd(0.3 * surface.gradient_rate, momentum=0.9),
    "adam": lambda surface: optax.adam(surface.step_rate),
    "adagrad": lambda surface: optax.adagrad(5 * surface.step_rate),
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("surface", [BEALE, VALLEY], ids=["beale", "long-valley"])
def test_the_path_is_optaxs(everyone, surface, name):
    optimizer, grad = THEIRS[name](surface), jax.grad(surface.f)

    def advance(carry, _):
        w, state = carry
        updates, state = optimizer.update(grad(w), state, w)
        return (w + updates, state), w + updates

    start = jnp.array(surface.start)
    theirs = jax.lax.scan(advance, (start, optimizer.init(start)), length=60)[1]
    ours = everyone[[*SURFACES].index(surface.name), [*CONTESTANTS].index(name), 1:]
    assert_close(ours, theirs, rtol=1e-3)  # sixty steps in float32 over a curved surface


def test_another_rate_is_no_other_program():
    race = partial(run_races, [SADDLE], [CONTESTANTS["sgd"]], steps=2)
    one = race()
    compiled = _races._cache_size()
    two = race(rate_scale=2.0)
    assert _races._cache_size() == compiled
    assert_close(two[0, 0, 1, 0] - 1, 2 * (one[0, 0, 1, 0] - 1))


def test_surfaces_do_not_disturb_one_another():
    """On the saddle y grows beyond 1e17, where Beale's y^6 is infinite; it must not come in as 0 * inf."""
    race = partial(run_races, contestants=[CONTESTANTS["sgd"]], steps=100, rate_scale=10.0)
    saddle, beale = race([SADDLE, BEALE])
    assert saddle.max() > 1e17
    assert np.isfinite(saddle).all()
    assert_close(saddle, race([SADDLE])[0])
    assert not np.isfinite(beale).all()


@pytest.mark.parametrize(
    ("surfaces", "contestants", "steps", "message"),
    [([], ["sgd"], 1, "`surfaces`"), ([SADDLE], [], 1, "`contestants`"), ([SADDLE], ["sgd"], 0, "`steps`")],
)
def test_a_race_of_none_is_refused(surfaces, contestants, steps, message):
    with pytest.raises(ValueError, match=f"{message} must .*received"):
        run_races(surfaces, [CONTESTANTS[name] for name in contestants], steps=steps)


def test_the_usual_contestants_are_contestants():
    assert set(DEFAULT_CONTESTANTS) < set(CONTESTANTS)
    assert all(one.name == name for name, one in CONTESTANTS.items())
    assert Contestant("mine", CONTESTANTS["sgd"].make, kind="own", factor=2.0).rate(7, 8) == 2


# -------------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("surface", "points", "said", "arrived"),
    [
        (VALLEY, [(-6, 1), (0, 0)], "arrived at step 1", 1),
        (VALLEY, [(-6, 1), (0, 0), (-6, 0), (0.1, 0)], "arrived at step 3", 3),  # it did not stay at first
        (VALLEY, [(0, 0), (0, 0)], "arrived at step 0", 0),
        (VALLEY, [(-6, 1), (-4, 0)], "loss 0.31", None),
        (VALLEY, [(-6, 1), (-6, 2)], "diverged", None),
        (VALLEY, [(-6, 1), (np.inf, 1)], "diverged", None),
        (VALLEY, [(-6, 1), (np.nan, np.nan)], "diverged", None),
        (SADDLE, [(1, 0), (0, 1)], "not escaped", None),
        (SADDLE, [(1, 0), (0, 1), (0, 3), (0, 9)], "escaped at step 2", 2),
        (SADDLE, [(1, 0), (9, 0)], "diverged", None),  # uphill
    ],
)
def test_verdicts(surface, points, said, arrived):
    outcome = judge(surface, np.array(points, np.float32))
    assert (outcome.said, outcome.arrived) == (said, arrived)


# -------------------------------------------------------------------------------------------------------- pictures


def test_contours_rise_in_equal_ratios_and_on_the_saddle_in_equal_steps():
    ratios = np.diff(np.log(contours(BEALE).levels))
    np.testing.assert_allclose(ratios, ratios[0])
    steps = np.diff(contours(SADDLE).levels)
    np.testing.assert_allclose(steps, steps[0])
    grid = contours(VALLEY)
    assert_close(grid.z[3, 5], VALLEY.f(jnp.array([grid.x[5], grid.y[3]])))


def test_fourteen_looks_differ_and_every_colour_is_told_from_white():
    looks = [look(i) for i in range(len(CONTESTANTS))]
    assert len({(one.colour, one.dashes) for one in looks}) == len(CONTESTANTS)
    assert len({one.colour for one in looks[:8]}) == 8
    assert all(one.colour != one.on_dark for one in looks)


def test_a_path_is_drawn_to_its_end_or_until_it_is_not_finite():
    path = np.array([[-6, 1], [1e30, 0], [-6, -1e9], [np.nan, 0], [0, 0]], np.float32)
    drawn = cut_off(VALLEY, path)
    assert len(drawn) == 3
    assert np.abs(drawn).max() < 1000
    np.testing.assert_array_equal(drawn[0], [-6, 1])


def test_the_picture_names_everyone_marks_the_minimum_and_keeps_its_frame(everyone):
    paths = everyone[[*SURFACES].index("long-valley")].copy()
    paths[2, 30:] = np.nan
    figure = plot_race(VALLEY, list(CONTESTANTS), paths)
    left, right = figure.axes
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert [text.split(":")[0] for text in words] == [*CONTESTANTS, "start", "minimum"]
    assert words[2] == "nesterov: diverged"
    assert (left.get_xlim(), left.get_ylim()) == (VALLEY.x_limits, VALLEY.y_limits)
    marks = {line.get_label(): line.get_xydata()[0].tolist() for line in left.lines[-2:]}
    assert marks == {"start": list(VALLEY.start), "minimum": list(VALLEY.minimum)}
    assert right.get_yscale() == "log"
    assert len(left.lines[2].get_xdata()) == 30


def test_the_saddle_has_no_minimum_and_no_logarithm(everyone):
    figure = plot_race(SADDLE, list(CONTESTANTS), everyone[[*SURFACES].index("saddle")])
    assert figure.axes[1].get_yscale() == "linear"
    assert [line.get_label() for line in figure.axes[0].lines[-2:]][1] == "start"


def test_paths_without_names_are_refused(everyone, tmp_path):
    for draw in (
        partial(plot_race, BEALE),
        partial(write_race_gif, tmp_path / "a.gif", BEALE),
        lambda names, paths: write_race_page(tmp_path / "a.html", {BEALE: paths}, names, title=""),
    ):
        with pytest.raises(ValueError, match=r"`paths` must have shape \(1, steps \+ 1, 2\).*received \(14, 61, 2\)"):
            draw(["sgd"], everyone[0])
    with pytest.raises(ValueError, match="`races` must hold at least one"):
        write_race_page(tmp_path / "a.html", {}, ["sgd"], title="")
    assert not list(tmp_path.iterdir())


def test_training_losses_are_smoothed_and_named():
    losses = np.stack([np.geomspace(2, 0.1, 100), np.full(100, 9.0)])
    losses[1, 50] = np.inf
    figure = plot_training_race(["a$b$", "b"], losses, title="t")
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[0] == r"a\$b\$: loss 0.212"  # behind the last, 0.1
    assert words[1] == "b: diverged"
    average = figure.axes[0].lines[1].get_ydata()
    assert average[0] == pytest.approx(2)
    assert np.all(np.diff(average) < 0)
    assert np.isnan(moving_average(losses[1])[50:]).all()
    with pytest.raises(ValueError, match=r"`losses` must have shape \(1, steps\)"):
        plot_training_race(["a"], losses, title="")


# ------------------------------------------------------------------------------------------------------- animation


def test_the_gif_moves_and_ends_with_everything(everyone, tmp_path):
    path = write_race_gif(tmp_path / "beale.gif", BEALE, list(CONTESTANTS), everyone[1])
    assert [entry.name for entry in tmp_path.iterdir()] == ["beale.gif"]
    with Image.open(path) as gif:
        assert gif.n_frames == 61
        assert gif.info["loop"] == 0
        first = np.array(gif.convert("RGB"), int)
        gif.seek(60)
        last, held = np.array(gif.convert("RGB"), int), gif.info["duration"]
    assert held > 1000
    assert (first != last).any(axis=-1).mean() > 0.01
    blue = np.array([0x00, 0x72, 0xB2])
    near = lambda picture: (np.abs(picture - blue).max(axis=-1) < 12).sum()
    assert near(last) > near(first) + 20


def test_a_long_race_has_no_more_frames_than_a_short_one(tmp_path):
    paths = np.broadcast_to(np.linspace(0, 1, 1001)[None, :, None], (1, 1001, 2))
    with Image.open(write_race_gif(tmp_path / "long.gif", BEALE, ["sgd"], paths)) as gif:
        assert 60 < gif.n_frames <= MOST_FRAMES


def page_of(tmp_path, paths, names, title="A race"):
    text = write_race_page(tmp_path / "race.html", {BEALE: paths, SADDLE: paths}, names, title=title).read_text()
    return text, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_the_page_holds_the_paths(everyone, tmp_path):
    _, data = page_of(tmp_path, everyone[1], list(CONTESTANTS))
    assert [one["name"] for one in data["looks"]] == list(CONTESTANTS)
    race = data["races"][0]
    low, high = np.array([BEALE.x_limits, BEALE.y_limits]).T
    np.testing.assert_allclose(np.array(race["paths"][0]) * (high - low) + low, everyone[1][0], atol=1e-3)
    np.testing.assert_allclose(np.array(race["minimum"]) * (high - low) + low, BEALE.minimum, atol=1e-3)
    assert data["races"][1]["minimum"] is None
    assert race["said"][0] == judge(BEALE, everyone[1][0]).said
    assert race["steps"] == 60
    inside = np.concatenate(race["contours"])
    assert inside.min() >= 0
    assert inside.max() <= 1


def test_the_page_loads_nothing_and_runs_only_its_own_script(everyone, tmp_path):
    text, _ = page_of(tmp_path, everyone[1], list(CONTESTANTS))
    assert not re.findall(r"\b(?:src|href)=|url\(|@import|fetch\(|import\(", text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    assert "prefers-color-scheme: dark" in text


def test_what_is_inserted_is_escaped(everyone, tmp_path):
    text, data = page_of(tmp_path, everyone[1][:1], [EVIL], title=EVIL)
    assert data["looks"][0]["name"] == EVIL
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert text.count(html.escape(EVIL)) == 2


def test_a_path_that_is_not_finite_makes_no_invalid_page(tmp_path):
    paths = np.array([[[1, 1.5], [np.inf, 0], [np.nan, np.nan]]], np.float32)
    _, data = page_of(tmp_path, paths, ["sgd"])
    assert len(data["races"][0]["paths"][0]) == 1
    assert data["races"][0]["said"] == ["diverged"]


# -------------------------------------------------------------------------------------------------------- training


LINEAR = (lambda key, x: {"w": jnp.zeros((4, 3))}, lambda params, x: x @ params["w"])


def test_training_losses_are_those_of_a_loop_in_numpy():
    rng = np.random.default_rng(0)
    data = {"image": rng.normal(size=(10, 4)).astype(np.float32), "label": rng.integers(0, 3, 10).astype(np.int32)}
    names = ["sgd", "adam"]
    losses = race_training(
        LINEAR,
        data,
        [CONTESTANTS[name] for name in names],
        loss=cross_entropy,
        steps=7,
        batch_size=4,
        gradient_rate=0.5,
        step_rate=0.1,
    )
    assert losses.shape == (2, 7)
    w, expected = np.zeros((4, 3)), []
    for step in range(7):  # two whole batches, again and again; the remaining two examples are left out
        rows = slice(4 * (step % 2), 4 * (step % 2) + 4)
        x, t = data["image"][rows].astype(float), np.eye(3)[data["label"][rows]]
        y = np.exp(x @ w) / np.exp(x @ w).sum(axis=1, keepdims=True)
        expected.append(-np.log((y * t).sum(axis=1)).mean())
        w -= 0.5 * x.T @ (y - t) / 4
    assert_close(losses[0], np.array(expected))
    assert losses[1, 0] == losses[0, 0]
    assert losses[1, -1] < losses[1, 1]


def test_a_batch_larger_than_the_data_is_refused():
    data = {"image": np.zeros((3, 4), np.float32), "label": np.zeros(3, np.int32)}
    with pytest.raises(ValueError, match=r"`batch_size` must be 1 to 3.*received 4"):
        race_training(
            LINEAR,
            data,
            [CONTESTANTS["sgd"]],
            loss=cross_entropy,
            steps=1,
            batch_size=4,
            gradient_rate=1.0,
            step_rate=1.0,
        )
