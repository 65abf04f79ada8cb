"""Our pages in a browser: nothing on the console, every picture there, and no overflow on a telephone."""

import numpy as np
import pytest
from headless_chromium import CHROMIUM, look

from jaxnn.diagnostics import CONTESTANTS, SURFACES, run_races
from jaxnn.plots import plot_confusion, plot_curves, write_race_page
from jaxnn.plots.figure_style import png_of
from jaxnn.runs.report_page import Picture, write_report

WIDTHS = (390, 1280)
CLASSES = [f"a class with a long name, {i}" for i in range(10)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt install chromium")
    folder = tmp_path_factory.mktemp("pages")
    pages = [report(folder), race(folder)]
    views, said = look(folder, pages, WIDTHS)
    return dict(zip(((page.name, width) for page in pages for width in WIDTHS), views, strict=True)), said


def report(folder):
    """A report with all that there can be, and words that do not break by themselves."""
    metrics = {f"{split}/{name}": 0.9 for split in ("train", "test") for name in ("loss", "accuracy", "precision")}
    history = [{"step": 1000 * epoch, "epoch": epoch, "seconds": 9.0, **metrics} for epoch in range(1, 13)]
    curves = Picture("Loss", png_of(plot_curves(history)), png_of(plot_curves(history, narrow=True)), note="A note.")
    confusion = Picture("Confusion", png_of(plot_confusion(np.eye(10, dtype=int), CLASSES)), is_half=True)
    return write_report(
        folder, title="lenet5-" * 20, kicker="runs/" * 30, numbers={f"number {i}": 10**i for i in range(7)},
        history=history, interval=(0.8, 0.95), command="jaxnn train " + "x" * 300, pictures=[curves, confusion],
        matrix=np.eye(10, dtype=int), classes=CLASSES, facts={"data": "y" * 300}, configuration={"out": "z" * 300},
    )  # fmt: skip


def race(folder):
    names = list(CONTESTANTS)[:3]
    paths = run_races([SURFACES["saddle"]], [CONTESTANTS[name] for name in names], steps=5)
    races = {SURFACES["saddle"]: paths[0]}
    return write_race_page(folder / "race.html", races, names, title="Optimizers on surfaces")


@pytest.mark.full
def test_nothing_is_written_to_the_console(seen):
    assert seen[1] == []


def test_every_picture_is_there_and_narrow_where_the_page_is(seen):
    wide, narrow = (seen[0]["report.html", width].pictures for width in (1280, 390))
    assert len(wide) == len(narrow) == 2
    assert min(wide + narrow) > 0
    assert narrow[0] < wide[0]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["report.html", "race.html"])
def test_no_page_is_wider_than_its_window(seen, page, width):
    view = seen[0][page, width]
    assert view.inner == width
    assert view.scroll <= view.inner


def test_the_script_of_the_race_has_run(seen):
    assert [seen[0]["race.html", width].listed for width in WIDTHS] == [3, 3]
