"""The soak of killed runs sees what differs, and a few kills go as many do."""

import json
import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

BENCHMARKS = Path(__file__).resolve().parents[2] / "experiments" / "benchmarks"


def load_file(path):
    spec = util.spec_from_file_location(path.stem, path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


comparison = load_file(BENCHMARKS / "run_comparison.py")


def write_events(folder, steps, *, purge_step=None, name="a"):
    with SummaryWriter(str(folder / "tensorboard"), purge_step=purge_step, filename_suffix=name) as writer:
        for step in steps:
            writer.add_scalar("test/loss", 1 / step, step)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints/states").mkdir(parents=True)
    (folder / "checkpoints/00000001.safetensors").write_bytes(b"bits")
    (folder / "checkpoints/states/00000002.safetensors").write_bytes(b"more bits")
    (folder / "config.json").write_text(json.dumps({"created": "now", "config": {"seed": 0, "out": "run"}}))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5, "seconds": 1.0}\n{"step": 2, "loss": 0.25}\n')
    (folder / "search.csv").write_text("rank\n1\n")
    (folder / "search.json").write_text('{"best": 1, "seconds": 3.0}')
    write_events(folder, [1, 2, 3])
    return folder


@pytest.fixture
def again(run, tmp_path):
    """The same run at another time in another folder."""
    folder = Path(shutil.copytree(run, tmp_path / "again"))
    (folder / "config.json").write_text(json.dumps({"created": "later", "config": {"seed": 0, "out": "again"}}))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5, "seconds": 9.0}\n{"step": 2, "loss": 0.25}\n')
    (folder / "search.json").write_text('{"best": 1, "seconds": 4.0}')
    return folder


def test_two_runs_alike_differ_in_nothing_but_their_clocks(run, again):
    assert comparison.differences(again, run) == {column: [] for column in comparison.COLUMNS}


FLAWS = {
    "other bits": ("checkpoints/states/00000002.safetensors", "more bats", "states"),
    "a metric": ("metrics.jsonl", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.2500001}\n', "metrics"),
    "a line missing": ("metrics.jsonl", '{"step": 1, "loss": 0.5}\n', "metrics"),
    "a line twice": ("metrics.jsonl", '{"step": 1, "loss": 0.5}\n' * 2 + '{"step": 2, "loss": 0.25}\n', "metrics"),
    "another table": ("search.csv", "rank\n2\n", "tables"),
    "another result": ("search.json", '{"best": 2}', "tables"),
    "another configuration": ("config.json", '{"config": {"seed": 1}}', "tables"),
    "a file too many": ("report.html", "", "files"),
    "a leftover": ("checkpoints/00000001.json.jaxnn-tmp", "", "files"),
    "a checkpoint too many": ("checkpoints/00000002.safetensors", "bits", "states"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_difference_is_told(run, again, flaw):
    name, content, column = FLAWS[flaw]
    (again / name).write_text(content)
    found = comparison.differences(again, run)
    assert {at for at, sentences in found.items() if sentences} == {column}


@pytest.mark.parametrize("gone", ["checkpoints/00000001.safetensors", "metrics.jsonl", "search.csv", "tensorboard"])
def test_what_is_missing_is_told(run, again, gone):
    (shutil.rmtree if (again / gone).is_dir() else os.remove)(again / gone)
    assert any(comparison.differences(again, run).values())


@pytest.mark.parametrize(
    ("steps", "purge_step", "said"),
    [
        ([2, 3], 2, []),  # hides what it repeats
        ([2, 3], None, ["2 of 3 events doubled"]),
        ([3], 2, ["1 of 3 events missing"]),
        ([2, 3, 4], 2, ["1 of 3 events not expected"]),
    ],
)
def test_events_are_compared_as_tensorboard_shows_them(run, again, steps, purge_step, said):
    write_events(again, steps, purge_step=purge_step, name="b")
    assert comparison.differences(again, run)["events"] == said


def test_a_torn_event_is_a_missing_one(run, again):
    (file,) = (again / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert comparison.differences(again, run)["events"] == ["1 of 3 events missing"]


@pytest.mark.soak
def test_three_kills_leave_the_states_as_if_nobody_had_killed():
    command = [sys.executable, str(BENCHMARKS / "kill_soak.py"), "--smoke"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    table, targets, *remarks = [block.splitlines() for block in finished.stdout.strip().split("\n\n")]
    assert table[2].split(" | ")[2] == "3", finished.stderr
    states = targets[2].strip("| ").split(" | ")
    assert states[0] == "kills of 3 in runs that end with the same states"
    assert states[-1] == "yes", remarks
