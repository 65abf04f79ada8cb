"""`jaxnn train --strategy downpour`: a run like any other, by servers and workers that are processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jaxnn.cli import downpour_training, process_supervision
from jaxnn.cli.main import main
from jaxnn.parameter_server.push_log import read_log
from jaxnn.parameter_server.ray_cluster import RunStatus, Trained

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    *("--train-examples", "640", "--test-examples", "200", "--epochs", "4", "--batch-size", "32"),
    *("--no-tensorboard", "--no-pictures"),
]


def complaint(capsys, *args) -> str:
    assert main(["train", "mlp", "--strategy", *args]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["downpouring"], "unknown strategy 'downpouring'; did you mean 'downpour'?"),
        (["downpour", "--workers", "0"], "--workers must be an integer of at least 1; received 0"),
        (["downpour", "--staleness", "-1"], "--staleness must be an integer of at least 0; received -1"),
        (["downpour", "--devices", "2"], "--strategy downpour has --workers and --servers"),
    ],
)
def test_bad_input_is_refused(args, message, capsys):
    assert message in complaint(capsys, *args)


@pytest.mark.parametrize("args", [["-n", "2", "--"], ["--cluster", "--"]], ids=["here", "on a cluster"])
def test_launch_refuses_it_in_one_sentence(args, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_supervision, "start", None)
    monkeypatch.setenv("JAXNN_COORDINATOR", "")  # what --cluster sets, is taken back
    assert main(["launch", *args, "train", "mlp", "--strategy", "downpour", "--workers", "3"]) == 2
    assert capsys.readouterr().err == (
        "jaxnn: `jaxnn launch` starts processes that make every step together; received --strategy downpour, which "
        "starts its own. Leave launch out: jaxnn train mlp --strategy downpour --workers 3\n"
    )
    assert not list(tmp_path.iterdir())


def test_without_ray_one_sentence_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = complaint(capsys, "downpour", "--out", str(tmp_path / "run"))
    assert message.endswith('needs Ray, which is not installed. Run: pip install "jaxnn[ray]"\n')
    assert not (tmp_path / "run").exists()


def test_what_is_said_last_is_how_far_the_run_came(capsys):
    """Until the first push, which waits for the compiler, there is nothing to say; the last ones come between words."""
    watch = downpour_training._Watch(10, lambda: False)
    for number, restarts in ((0, 0), (4, 0), (8, 1)):
        watch.told = float("-inf")  # long ago
        assert not watch(RunStatus(1.0, [{"number": number}, {"number": 9}], [], restarts))
    watch.conclude(Trained(SimpleNamespace(step=np.int32(10)), 2.0, 2, []))
    assert capsys.readouterr().err.splitlines() == [
        "4 of 10 pushes",
        "8 of 10 pushes, 0 a second, 1 restart",
        "10 of 10 pushes in 2.0 s, 2 restarts",
    ]


@pytest.mark.soak
def test_a_run_can_be_evaluated_and_resumed(tmp_path):
    pytest.importorskip("ray")
    folder = tmp_path / "run"
    trained = jaxnn("train", "mlp", "--strategy", "downpour", "--servers", 2, "--staleness", 5, *TINY, "--out", folder)
    assert "test accuracy" in trained
    (line,) = (folder / "metrics.jsonl").read_text().splitlines()
    metrics = json.loads(line)
    assert metrics["step"] == 2 * 4 * 10  # two workers, ten batches of 32 in an epoch of each
    result = json.loads((folder / "result.json").read_text())["last"]
    assert result["accuracy"] > 0.6
    assert len(read_log(folder / "servers", 1)[0].pushes) == 80
    measured = json.loads(jaxnn("evaluate", folder, "--json"))
    assert measured["accuracy"] == pytest.approx(result["accuracy"])
    jaxnn("resume", folder)  # nothing is left to do
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1


def jaxnn(*args) -> str:
    """In a process of its own, without pytest's checkers, which Ray cannot send to others."""
    command = [sys.executable, "-m", "jaxnn", *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert "core_worker" not in finished.stderr  # nor anything else that only Ray's authors understand
    return finished.stdout
