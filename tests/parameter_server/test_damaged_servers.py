"""Folders of parameter servers that somebody has edited, or a disk: one sentence, and nothing is made of them."""

import contextlib
import json
import os
import random

import numpy as np
import pytest
import safetensors.numpy

from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.log_replay import _check_of_run, gradient_log, lost_updates
from jaxnn.parameter_server.push_log import Fetch, Life, Push, PushLog, Version, files_of_shard, push_rows, read_log
from jaxnn.parameter_server.shard_checkpoints import ShardCheckpoint, newest_shard, save_shard
from jaxnn.training.train_state import TrainState

HUGE, NAN = 10**30, float("nan")
PART = TrainState(
    np.int32(7), {"kernel": np.ones((2, 3), np.float32)}, {}, {"sum": np.ones((2, 3), np.float32)}, None, np.uint32(0)
)


@pytest.fixture
def log(tmp_path):
    """The file of the second life of a shard; the first is empty."""
    PushLog(tmp_path, 0, None).close()
    log = PushLog(tmp_path, 0, Version(0, 5))
    for step in range(3):
        log.append(Push(0, 0, step, (Fetch(step, (Version(1, 5 + step),)),), applied=5 + step))
    log.close()
    return tmp_path / "shard-0" / "life-0001.jsonl"


def edit(path, number, **changes):
    """Other values in one line; Ellipsis takes one away."""
    lines = path.read_text().splitlines()
    line = {name: value for name, value in (json.loads(lines[number]) | changes).items() if value is not ...}
    lines[number] = json.dumps(line)
    path.write_text("\n".join(lines) + "\n")


HEADS = [
    {"origin": [0, HUGE]},
    {"origin": [1, 0]},
    {"origin": [7, 0]},
    {"origin": [0, -1]},
    {"origin": [0, NAN]},
    {"origin": []},
    {"origin": "00"},
    {"life": 0},
    {"life": True},
    {"shard": 3},
    {"shard": ...},
    {"more": 1},
]
PUSHES = [
    {"worker": float("inf")},
    {"worker": -1},
    {"worker": 0.0},
    {"worker": ...},
    {"life": HUGE},
    {"step": 2**31},
    {"step": "1"},
    {"applied": None},
    {"fetches": []},
    {"fetches": None},
    {"fetches": [[0]]},
    {"fetches": [[0, []]]},
    {"fetches": [[0, [[1, HUGE]]]]},
    {"fetches": [[2, [[1, 5]]]]},
    {"fetches": [[1, [[1, 5]]], [0, [[1, 5]]]]},
    {"fetches": [[0, [[1, 5]]], [1, [[1, 5], [0, 0]]]]},
    {"more": 1},
]


def test_the_log_of_the_fixture_is_in_order(log):
    assert [life.origin for life in read_log(log.parent.parent)] == [None, (0, 5)]


@pytest.mark.parametrize("number", [0, 2], ids=["head", "push"])
def test_a_log_that_was_edited_is_refused(number, log):
    """All in one test, for each takes a millisecond."""
    whole = log.read_text()
    for changes in (HEADS, PUSHES)[number > 0]:
        log.write_text(whole)
        edit(log, number, **changes)
        with pytest.raises(
            ValueError, match=rf"life-0001\.jsonl is damaged near line {number + 1}: expected .*received"
        ):
            read_log(log.parent.parent)


@pytest.mark.parametrize("text", ["[]\n", "7\n", "[" * 100_000 + "\n", "\0" * 10 + "\n", "\n", "", "1" * 5000 + "\n"])
def test_a_log_of_something_else_is_refused(text, log):
    log.write_text(text)
    with pytest.raises(ValueError, match=r"life-0001\.jsonl is damaged near line 1: .*Restore the file from a copy"):
        read_log(log.parent.parent)


def no_file(path, kind):
    """Puts something else in the place of a file."""
    path.unlink()
    {"pipe": os.mkfifo, "folder": os.mkdir, "loop": lambda path: path.symlink_to(path)}[kind](path)


def sparse(path, size=30 * 2**30):
    """Takes no room on the disk."""
    with open(path, "wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_what_is_no_file_is_not_waited_for(kind, log, checkpoint):
    no_file(log, kind)
    with pytest.raises((ValueError, OSError), match=r"life-0001\.jsonl"):
        read_log(log.parent.parent)
    no_file(checkpoint, kind)
    with pytest.raises((ValueError, OSError), match=checkpoint.name):
        newest_shard(checkpoint.parent.parent, 0, PART)


def test_a_file_of_30_gib_is_not_read(log, checkpoint):
    sparse(log)
    with pytest.raises(ValueError, match=r"damaged near line 1: expected lines of less than 1048576 bytes"):
        read_log(log.parent.parent)
    sparse(checkpoint)
    with pytest.raises(ValueError, match=r"must have at most \d+ bytes, by its model; it has 32212254720"):
        newest_shard(checkpoint.parent.parent, 0, PART)


@pytest.mark.parametrize("stand", [lambda path: path.write_text(""), lambda path: path.symlink_to("gone")])
def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(stand, tmp_path):
    assert files_of_shard(tmp_path, 0, ".jsonl") == []
    stand(tmp_path / "shard-0")
    for read in (lambda: read_log(tmp_path), lambda: newest_shard(tmp_path, 0, PART)):
        with pytest.raises(OSError, match="shard-0 must be a folder that can be listed"):
            read()


@pytest.fixture
def checkpoint(tmp_path):
    return save_shard(tmp_path, 0, ShardCheckpoint(PART, Version(2, 7), {0: 3, 1: 4}))


def test_the_checkpoint_of_the_fixture_is_in_order(checkpoint, tmp_path):
    assert newest_shard(tmp_path, 0, PART)[1:] == (Version(2, 7), {0: 3, 1: 4})


@pytest.mark.parametrize(
    "about",
    [
        None,
        {},
        {"version": "[2,7]"},
        {"version": "[2,7]", "next_steps": "[]", "more": ""},
        {"version": "null", "next_steps": "[]"},
        {"version": "[2,1e400]", "next_steps": "[]"},
        {"version": "[2,8]", "next_steps": "[]"},
        {"version": "[1,7]", "next_steps": "[]"},
        {"version": "[2", "next_steps": "[]"},
        {"version": "[2,7]", "next_steps": "3"},
        {"version": "[2,7]", "next_steps": "[3]"},
        {"version": "[2,7]", "next_steps": "[[0,-3]]"},
        {"version": "[2,7]", "next_steps": "[" * 100_000},
    ],
)
def test_a_checkpoint_whose_texts_were_edited_is_refused(about, checkpoint, tmp_path):
    arrays = safetensors.numpy.load_file(checkpoint)
    checkpoint.write_bytes(safetensors.numpy.save(arrays, metadata=about))
    with pytest.raises(ValueError, match=rf"{checkpoint.name} is damaged: .*Restore it from a copy, or remove it"):
        newest_shard(tmp_path, 0, PART)


def test_a_damaged_checkpoint_alone_is_not_taken_for_none(checkpoint, tmp_path):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"must hold a checkpoint that is whole; found 1, all damaged"):
        newest_shard(tmp_path, 0, PART)


def test_a_checkpoint_is_not_written_through_a_link(checkpoint, tmp_path):
    (tmp_path / "precious").write_text("mine")
    checkpoint.with_suffix(".jaxnn-tmp").symlink_to(tmp_path / "precious")
    save_shard(tmp_path, 0, ShardCheckpoint(PART, Version(2, 7), {}))
    assert (tmp_path / "precious").read_text() == "mine"
    assert not checkpoint.is_symlink()


def test_any_mutation_is_refused_or_harmless(log, checkpoint):
    """What can be read can be used, too."""
    chance, folder = random.Random(0), log.parent.parent
    texts = [b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"true", b"9" * 20, b"\xff", b"\n", b""]
    for path, use in ((log, use_log), (checkpoint, lambda folder: newest_shard(folder, 0, PART))):
        whole = path.read_bytes()
        for _ in range(400):
            start = chance.randrange(min(len(whole), 400))
            path.write_bytes(whole[:start] + chance.choice(texts) + whole[start + chance.randrange(8) :])
            with contextlib.suppress(ValueError):
                use(folder)
        path.write_bytes(whole)


def use_log(folder):
    lives = read_log(folder)
    lost_updates(lives)
    push_rows(lives)
    gradient_log(lives[1:])


@pytest.mark.full
def test_a_thousand_deaths_can_be_counted():
    lives = [Life(number, Version(number - 1, number) if number else None, []) for number in range(3000)]
    assert lost_updates(lives) == [0] * 2999


def push(worker=0, step=0, first=0, servers=1):
    return Push(worker, 0, step, (Fetch(first, (Version(0, 0),) * servers),), applied=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (push(worker=2), r"must be of 2 workers and 1 servers, as `settings` say; received a push of worker 2"),
        (push(servers=2), r"received a push of worker 0, beside 2 servers"),
        (push(step=2**30), r"not whole: worker 0 made 1073741824 steps in its life 0 and pushed 1 times"),
    ],
)
def test_pushes_of_another_run_are_not_replayed(wrong, message):
    """The replay would look for a worker that is not there, or compute for a year."""
    with pytest.raises(ValueError, match=message):
        _check_of_run([[Life(0, None, [wrong])]], Downpour())


@pytest.mark.parametrize("wrong", [push(step=5, first=3), push(step=2**30)])
def test_a_push_that_does_not_say_what_it_was_computed_from_is_not_simulated(wrong):
    with pytest.raises(ValueError, match="every push must say what its gradients"):
        gradient_log([Life(0, None, [wrong])])
    assert gradient_log([Life(0, None, [])]).worker.tolist() == []
