"""Two processes train to the parameters of one, from whatever number of processes the run comes."""

import json

import jax
import numpy as np
import pytest
from process_groups import run_group

from jaxnn import parallel
from jaxnn.models import MLP
from jaxnn.optimizers import sgd
from jaxnn.parallel.multihost import Seat, is_writer, join, joined, seat_in, variables
from jaxnn.training import fit
from jaxnn.training.placement_contract import ONE_DEVICE

TRAIN = """
import os
import sys
from pathlib import Path

from jaxnn.parallel import multihost

folder, name, (stop, batch_size), resume = Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:5]), len(sys.argv) > 5
written = []


def watch(event, args):
    if event == "open" and str(folder) in str(args[0]) and args[2] & (os.O_WRONLY | os.O_RDWR):
        written.append(args[0])


sys.addaudithook(watch)
with multihost.joined():
    import jax

    from jaxnn import data, losses, models, optimizers, preprocessing
    from jaxnn.parallel import placement, rows_of_process
    from jaxnn.runs.training_run import Task, train_in_folder
    from jaxnn.training import Evaluated, Progress, supervised_trial

    mnist = data.subset(data.load("mnist"), train=600, test=201)
    normal = preprocessing.Standardize(mnist.mean, mnist.std)
    adam = optimizers.adam(2e-3)
    model, loss = models.MLP(features=(16,)), losses.cross_entropy
    trial = supervised_trial(model, loss, adam, preprocess=normal)
    task = Task(trial, mnist.train, None, mnist.test, seed=3, monitor=None, classes=mnist.classes)
    there = placement(name)
    if name == "local_rows":
        task = task._replace(train=rows_of_process(mnist.train, there))
        assert len(task.train["label"]) == 600 // jax.process_count()

    def is_divided(event):
        if isinstance(event, Evaluated) and name == "fully_sharded":
            kernel = event.state.params["hidden1"]["kernel"]
            assert [part.data.shape for part in kernel.addressable_shards] == [(784 // jax.process_count(), 16)]

    train_in_folder(
        folder, task, epochs=3, batch_size=batch_size, resume=resume, tensorboard=False, placement=there,
        hooks=[is_divided, lambda event: isinstance(event, Progress) and event.step >= stop > 0],
    )
    assert bool(written) == multihost.is_writer(), written
"""


def train(folder, processes, *, name="shard_map", stop=0, batch_size=64, resume=False):
    run_group(TRAIN, processes, folder, name, stop, batch_size, *(["resume"] if resume else []))
    return folder


def last_checkpoint(folder):
    import safetensors.numpy

    return safetensors.numpy.load_file(sorted((folder / "checkpoints").glob("*.safetensors"))[-1])


def check_same(folder, expected):
    ours, theirs = last_checkpoint(folder), last_checkpoint(expected)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("alone"), 1)


@pytest.mark.full
@pytest.mark.parametrize("name", ["shard_map", "automatic", "fully_sharded"])
def test_two_processes_end_at_the_parameters_of_one_and_write_once(name, alone, tmp_path):
    train(tmp_path, 2, name=name)
    check_same(tmp_path, alone)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads((tmp_path / "result.json").read_text())["last"]["count"] == 201


@pytest.mark.full
def test_a_run_goes_on_in_another_number_of_processes(alone, tmp_path):
    """Whatever they kept of the parameters."""
    train(tmp_path, 2, stop=7, name="fully_sharded")
    train(tmp_path, 1, stop=13, resume=True, name="single")
    train(tmp_path, 2, resume=True)
    check_same(tmp_path, alone)
    assert [line.split(",")[0] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        '{"step": 10',
        '{"step": 20',
        '{"step": 30',
    ]


@pytest.mark.full
def test_rows_of_its_own_for_each_process_make_the_same_whole_batch(tmp_path):
    """A batch of all examples has one gradient, in whatever order they come."""
    for processes in (1, 2):
        train(tmp_path / str(processes), processes, name="local_rows", batch_size=600)
    check_same(tmp_path / "2", tmp_path / "1")


def test_without_others_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("JAXNN_COORDINATOR", raising=False)
    join()
    with joined():
        assert is_writer()
    with pytest.raises(KeyError), joined():
        raise KeyError


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"JAXNN_COORDINATOR": "here:1"}, "received '' and ''"),
        ({"JAXNN_COORDINATOR": "here:1", "JAXNN_PROCESSES": "2", "JAXNN_PROCESS": "2"}, "received '2' and '2'"),
        ({"JAXNN_COORDINATOR": "here:1", "JAXNN_PROCESSES": "2", "JAXNN_PROCESS": "-1"}, "received '2' and '-1'"),
        ({"JAXNN_COORDINATOR": "here", "JAXNN_PROCESSES": "2", "JAXNN_PROCESS": "1"}, "must be host:port"),
    ],
)
def test_variables_that_tell_nonsense_are_refused(told, words):
    with pytest.raises(ValueError, match=words):
        seat_in(told)


def test_variables_that_tell_nothing_or_of_a_cluster():
    assert seat_in({}) is None
    assert seat_in({"JAXNN_PROCESSES": "2"}) is None
    assert seat_in({"JAXNN_COORDINATOR": "cluster"}) == Seat("cluster")
    assert seat_in(variables(Seat("10.0.0.1:7000", 16, 15))) == Seat("10.0.0.1:7000", 16, 15)


def test_a_shuffle_of_rows_apart_shows_every_row_once():
    place = parallel.placement("local_rows", jax.devices()[:4])
    assert place.global_examples(44) == 44
    order = np.asarray(place.epoch_order(44, 8)(jax.random.key(0), 1))
    assert order.shape == (6, 8)
    for part in np.split(order, 4, axis=1):
        assert sorted(part[part >= 0]) == list(range(11))
    assert (order[:, :2] != order[:, 2:4]).any()
    with pytest.raises(ValueError, match=r"equally many rows, a multiple of its 4 devices; received 45"):
        place.global_examples(45)


@pytest.mark.full
def test_rows_apart_train_as_one_whole_batch():
    data = {"image": np.random.default_rng(0).integers(0, 255, (40, 6, 6, 1), np.uint8), "label": np.arange(40) % 10}
    runs = [
        fit(MLP(features=(8,)), data, validation=data, optimizer=sgd(0.1), epochs=2, batch_size=40, placement=place)
        for place in (ONE_DEVICE, parallel.placement("local_rows", jax.devices()[:4]))
    ]
    for ours, theirs in zip(*(jax.tree.leaves(run.state.params) for run in runs), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=1e-6)
    assert runs[1].history[-1] == pytest.approx(runs[0].history[-1], rel=1e-5)
