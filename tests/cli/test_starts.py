"""A start never fails by itself: no import happens in two threads at once, however slow the imports are."""

import os
import threading

import pytest
from process_groups import running

SMALL = ["--train-examples", "256", "--test-examples", "100", "--epochs", "1", "--no-tensorboard", "--no-pictures"]

WATCHING = """
import os, sys, threading, time

def watch(event, arguments):
    if event == "import" and threading.get_ident() != threading.main_thread().ident:
        with open(os.environ["SEEN"], "a") as seen:
            print(threading.current_thread().name, arguments[0], file=seen)
    if event == "import" and arguments[0] == "numpy._globals":  # NumPy has just begun
        time.sleep(float(os.environ["DELAY"]))

sys.addaudithook(watch)
"""


@pytest.fixture
def start(tmp_path):
    """A function that runs `jaxnn` with its imports watched, and delayed: its status and what it said."""
    (tmp_path / "sitecustomize.py").write_text(WATCHING)
    (tmp_path / "seen").touch()

    def start(*args, delay=0.0):
        path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
        told = {"PYTHONPATH": path, "SEEN": str(tmp_path / "seen"), "DELAY": str(delay)}
        with running("-m", "jaxnn", *args, **told) as process:
            said = process.communicate(timeout=240)[1]
            return process.returncode, said

    return start


@pytest.mark.full
def test_all_imports_are_in_the_main_thread(start, tmp_path):
    """Of training, resuming and launching; what threads have to do needs modules that are there already."""
    run, launched = str(tmp_path / "run"), str(tmp_path / "launched")
    assert start("train", "mlp", *SMALL, "--out", run)[0] == 0
    assert start("resume", run)[0] == 0
    assert start("launch", "-n", "2", "--", "train", "mlp", *SMALL, "--out", launched)[0] == 0
    assert (tmp_path / "seen").read_text() == ""


@pytest.mark.soak
def test_ten_of_ten_starts_with_a_slow_import(start, tmp_path):
    """Failed ten times in ten while the data's thread imported NumPy beside JAX."""
    for i in range(10):
        status, said = start("train", "mlp", *SMALL, "--out", str(tmp_path / f"run-{i}"), delay=0.5)
        assert status == 0, said


def test_data_is_loaded_beside_jax_only_when_nothing_is_left_to_import(monkeypatch):
    """Files that are missing are asked for, and downloaded, in the main thread."""
    from concurrent.futures import ThreadPoolExecutor

    from jaxnn import data
    from jaxnn.cli import training_commands
    from jaxnn.cli.training_flags import RECIPES

    threads = []
    find = lambda name, *, folder: threads.append(threading.current_thread())
    monkeypatch.setattr(data, "find", find)
    monkeypatch.setattr(training_commands, "load_data", lambda config: threads.append(threading.current_thread()))
    with ThreadPoolExecutor(1) as pool:
        training_commands._begin_loading(RECIPES["mlp"], pool).result()
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
