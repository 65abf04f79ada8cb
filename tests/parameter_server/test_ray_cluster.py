"""Real processes on this machine: their log replays, their deaths are survived, and only loopback is listened to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnn.models import MLP
from jaxnn.optimizers import adagrad
from jaxnn.parameter_server import ray_cluster

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # after which a run that hangs is ended
DATA = {"image": np.zeros((20, 6), np.float32), "label": np.zeros(20, np.int32)}
MODEL, OPTIMIZER = MLP(features=(4,), classes=3), adagrad(0.05)


def test_without_ray_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'Ray, which is not installed\. Run: pip install "jaxnn\[ray\]"'):
        ray_cluster.train_asynchronously(MODEL, DATA, optimizer=OPTIMIZER, steps=1, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_steps_are_checked_before_anything_starts(tmp_path):
    with pytest.raises(ValueError, match="`steps` must be at least 1; received 0"):
        ray_cluster.train_asynchronously(MODEL, DATA, optimizer=OPTIMIZER, steps=0, folder=tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize(
    "name",
    [
        "a_run_replays_to_the_same_bits_and_only_its_user_reaches_it",
        "a_stranger_is_refused",
        "a_slow_worker_is_waited_for_as_far_as_the_bound_says",
        "killed_workers_and_servers_come_back_and_the_log_replays",
        "a_run_goes_on_in_its_folder_and_a_divergence_is_told",
        "a_cluster_is_joined_by_its_address",
        "processes_of_ray_are_one_job",
    ],
)
def test_processes(name, tmp_path):
    """Without pytest's checkers, which Ray cannot send to other processes, and compiled as the workers compile."""
    pytest.importorskip("ray")
    own = {"PYTHONPATH": str(ROOT), "NPROC": "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    command = [sys.executable, str(ROOT / "tests" / "parameter_server" / "ray_runs.py"), name, str(tmp_path)]
    with open(tmp_path / "output", "w+") as output:  # a file: a pipe would wait for every process of Ray's
        process = subprocess.Popen(command, env=os.environ | own, stdout=output, stderr=output, start_new_session=True)
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = f"none after {SECONDS} s"
        output.seek(0)
        assert status == 0, output.read()[-5000:]
