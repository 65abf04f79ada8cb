"""The scripts that a researcher copies: short, runnable as they are, and to the numbers of one device."""

import re
import sys

import pytest
from experiment_files import FOLDER, load
from process_groups import run_alone

SCRIPTS = ("train_data_parallel", "train_multihost", "train_async")
QUICK = ("--epochs", "1", "--train-examples", "1024")
MNIST = "of 10000"


def run(name, *args) -> str:
    status, printed, said = run_alone(FOLDER / f"{name}.py", *args)
    assert status == 0, said
    return printed


def refusal(name, *args) -> str:
    status, _, said = run_alone(FOLDER / f"{name}.py", *args)
    assert status != 0
    assert "Traceback" not in said
    return said


def accuracy(printed: str) -> float:
    """In per cent, of all test images."""
    (found,) = re.findall(rf"test accuracy ([\d.]+) % {MNIST}", printed)
    return float(found)


@pytest.fixture
def here(capsys, monkeypatch):
    """`here(name, **settings)`: what a script prints, run in this process, which has eight CPU devices."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])

    def printed(name, **settings) -> str:
        script = load(name)
        script.main(script.Settings(**settings))
        return capsys.readouterr().out

    return printed


@pytest.mark.parametrize("name", SCRIPTS)
def test_is_short_and_says_how_it_is_run(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 82
    assert f"    python experiments/{name}.py" in text


@pytest.mark.soak
def test_data_parallel_tells_throughput_and_accuracy():
    printed = run("train_data_parallel", "--cpu-devices", "8", "--placement", "pmap", *QUICK)
    assert re.match(r"pmap over 8 x cpu: \d+ images/s\n", printed)
    assert accuracy(printed) > 30


@pytest.mark.soak
def test_eight_devices_print_the_accuracy_of_one(here):
    settings = {"epochs": 1, "train_examples": 1024}
    one = accuracy(here("train_data_parallel", placement="single", **settings))
    for placement in ("pmap", "shard_map", "automatic"):
        many = here("train_data_parallel", placement=placement, **settings)
        assert accuracy(many) == pytest.approx(one, abs=0.02), placement


def test_data_parallel_refuses_in_one_sentence(here):
    for settings, words in (
        ({"batch_size": 100}, "multiple of the 8 devices"),
        ({"learning_rate": -1.0}, "--learning-rate must be positive"),
        ({"train_examples": 0}, "must be 1 to 60000"),
        ({"epochs": 0}, "`steps` must be finite and at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            here("train_data_parallel", **settings)


@pytest.mark.soak
def test_async_tells_staleness_and_accuracy():
    printed = run("train_async", "--simulation", "vmap", "--workers", "4", "--pushes", "80")
    assert "80 updates, late by 2.9 others in the mean, by 3 at most" in printed
    assert accuracy(printed) > 60


@pytest.mark.soak
def test_workers_on_devices_end_where_those_on_one_do(here):
    settings = {"workers": 4, "pushes": 80}
    one = accuracy(here("train_async", simulation="vmap", **settings))
    for simulation in ("pmap", "shard_map"):
        assert accuracy(here("train_async", simulation=simulation, **settings)) == pytest.approx(one, abs=0.1)


@pytest.mark.soak
def test_events_are_late_by_the_straggler_and_train(here):
    printed = here("train_async", pushes=400)
    (most,) = re.findall(r"by (\d+) at most", printed)
    assert int(most) > 20
    assert accuracy(printed) > 85


def test_async_refuses_in_one_sentence(here):
    for settings, words in (
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"pushes": 3}, "--pushes at least --workers"),
        ({"simulation": "pmap", "workers": 9, "pushes": 9}, "number of devices, 8; received 9"),
    ):
        with pytest.raises(ValueError, match=words):
            here("train_async", **settings)


@pytest.mark.soak
def test_real_workers_train():
    pytest.importorskip("ray")
    printed = run("train_async", "--real", "--workers", "2", "--pushes", "400")
    assert "400 updates" in printed
    assert accuracy(printed) > 80


@pytest.mark.soak
def test_two_processes_end_where_two_devices_of_one_do_and_four_go_on(tmp_path):
    """With rows of its own for each device the order of the examples depends on their number, and on nothing else."""
    from jax import devices

    from jaxnn import data, models, optimizers, parallel, preprocessing, schedules, training

    folder = tmp_path / "run"
    two = run("train_multihost", "--processes", 2, "--out", folder, *QUICK)
    assert two.count("test accuracy") == 1
    mnist = data.subset(data.load("mnist"), train=1024)
    fitted = training.fit(
        models.LeNet5(),
        mnist.train,
        validation=mnist.test,
        optimizer=optimizers.adam(schedules.one_cycle(6e-3, steps=8), b2=0.99),
        preprocess=preprocessing.Standardize(mnist.mean, mnist.std),
        epochs=1,
        placement=parallel.placement("local_rows", devices()[:2]),
    )
    assert accuracy(two) == pytest.approx(100 * fitted.history[-1]["validation/accuracy"], abs=0.02)
    four = run("train_multihost", "--processes", 4, "--out", folder, "--epochs", 2, "--train-examples", 1024)
    assert four.count("test accuracy") == 1
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2


def test_many_processes_are_refused_before_they_start(tmp_path):
    """By the process that was asked to start them, so once."""
    said = refusal("train_multihost", "--processes", 3, "--out", tmp_path)
    assert said.startswith(
        "train_multihost: --batch-size must be a multiple of --processes, the rate positive; received"
    )
    assert said.count("\n") == 1
