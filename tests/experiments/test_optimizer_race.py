"""The experiment runs, its table and its page tell the same race, and its pictures show something."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxnn.diagnostics.surfaces import SURFACES
from jaxnn.diagnostics.trajectories import CONTESTANTS

ROOT = Path(__file__).resolve().parents[2]
STEPS = 20


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    """What the smoke run printed, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("race") / "runs"
    command = [sys.executable, str(ROOT / "experiments" / "optimizer_race.py"), "--smoke", "--out", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout, folder


def table(printed):
    """`{optimizer: {"beale x 1": cell}}`."""
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if "|" in line
    )
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_smoke_prints_a_row_an_optimizer_and_says_where_its_pictures_are(race):
    printed, folder = race
    rows = table(printed)
    assert list(rows) == list(CONTESTANTS)
    for row in rows.values():
        assert list(row) == [f"{name} x {scale}" for name in list(SURFACES)[:2] for scale in ("0.3", "1", "3")]
        assert all(cell in "x-" or 0 < int(cell) <= STEPS for cell in row.values())
    cells = {cell for row in rows.values() for cell in row.values()}
    assert {"x", "-"} < cells  # some diverge, some are on their way, some arrive
    assert {Path(line).name for line in printed.splitlines() if str(folder) in line} == {
        path.name for path in folder.iterdir()
    }


def test_its_pictures_show_something(race):
    _, folder = race
    pictures = [np.asarray(Image.open(path).convert("L")) for path in sorted(folder.glob("*.png"))]
    assert len(pictures) == 2
    for picture in pictures:
        assert min(picture.shape) > 200
        assert picture.std() > 10
    assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()


def test_its_page_holds_finite_paths_with_the_outcomes_of_the_table(race):
    printed, folder = race
    page = (folder / "optimizer_race.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [one["name"] for one in data["races"]] == list(SURFACES)[:2]
    for one in data["races"]:
        assert one["steps"] == STEPS
        usual = [row[f"{one['name']} x 1"] for row in table(printed).values()]
        for cell, said, path in zip(usual, one["said"], one["paths"], strict=True):
            assert np.isfinite(np.array(path, float)).all()
            np.testing.assert_array_equal(path[0], one["start"])
            assert len(path) > 1
            assert path[1] != path[0]
            assert (cell == "x") == (said == "diverged")
            assert said == f"arrived at step {cell}" if cell.isdigit() else not said.startswith("arrived")
