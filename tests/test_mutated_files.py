"""Damaged files: the damage can be repeated, what is not documented is seen, and no parser lets it through."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import file_mutations
import mutated_files
import pytest
from file_parsers import PARSERS

JSON = json.dumps({"step": 8, "tree": {"w": {"shape": [2, 3], "dtype": "float32"}}, "best": None}).encode()
MUTATIONS = [file_mutations.damaged, file_mutations.damaged_json, file_mutations.damaged_lines]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_the_same_seed_does_the_same_damage(mutate):
    first, again = ([mutate(Random(seed), JSON) for seed in range(300)] for _ in range(2))
    assert first == again
    assert len({repr(damage) for damage in first}) > 100


@pytest.mark.parametrize("content", [b"", b"x", b"[", JSON])
def test_any_bytes_can_be_damaged(content):
    for seed in range(300):
        assert isinstance(file_mutations.damaged(Random(seed), content), bytes | file_mutations.Special)


def test_what_is_no_ordinary_file_is_laid_and_taken_away(tmp_path):
    contents = [file_mutations.Sparse(b"x"), *map(file_mutations.Special, ("fifo", "folder", "loop", "missing"))]
    mutated_files.lay(tmp_path, {f"inner/{i}": content for i, content in enumerate(contents)})
    assert (tmp_path / "inner/0").stat().st_size == file_mutations.HUGE
    assert sorted(path.name for path in (tmp_path / "inner").iterdir()) == ["0", "1", "2", "3"]
    mutated_files.lay(tmp_path, {})
    assert not list(tmp_path.iterdir())


def words(*arguments):
    raise ValueError("`x` must be a number; received none of them.")


@pytest.mark.parametrize(
    ("parse", "kind"),
    [
        (lambda: 1, "accepted"),
        (lambda: 2, "refused"),  # the status of a command
        (Path("/no/such/file").read_bytes, "refused"),
        (lambda: {}["x"], "KeyError"),
        (lambda: int("no number at all of any kind"), "ValueError"),  # Python's own words
        (words, "ValueError"),  # not jaxnn's
        (lambda: bytes(2**60), "MemoryError"),
        (lambda: [][1], "IndexError"),
    ],
)
def test_only_errors_that_jaxnn_raises_itself_are_documented(parse, kind):
    assert mutated_files.outcome_of(parse).kind.split(" at ")[0] == kind


@pytest.mark.parametrize(
    ("message", "documented"),
    [("`x` must be a number.", True), ("x", False), ("\x1b[31m" * 10, False), ("x" * 5000, False)],
)
def test_a_message_must_be_words_without_escapes(monkeypatch, message, documented):
    monkeypatch.setattr(mutated_files, "PACKAGE", __file__)  # as if this file were jaxnn's
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        raise ValueError(message)
    assert mutated_files.is_documented(raised.value) == documented


def compute():
    while True:
        pass


@pytest.mark.parametrize(("bound", "hang"), [("SECONDS", compute), ("WAITING", lambda: time.sleep(60))])
def test_a_parser_that_computes_or_waits_for_ever_is_stopped(monkeypatch, bound, hang):
    monkeypatch.setattr(mutated_files, bound, 0.05)
    assert mutated_files.outcome_of(hang).kind.startswith("TooSlowError")


READS = re.compile(
    r"(open_regular|read_bounded|read_object|read_bytes|read_text|json\.loads?|safe_open|tarfile\.open|np\.load|Image\.open)\("
)
ROWS = {  # module -> the row that reaches what it reads
    "cli/run_extensions.py": "extension.json",
    "cli/training_journal.py": "search journal",
    "data/cifar.py": "CIFAR-10 batch",
    "data/datasets.py": "MNIST's folder",
    "data/download.py": "CIFAR-10's archive",
    "data/idx.py": "IDX, gzip",
    "data/keras_archives.py": "Keras's archive of MNIST",
    "data/picture_files.py": "picture, PNG",
    "parameter_server/push_log.py": "push log",
    "parameter_server/shard_checkpoints.py": "shard checkpoint",
    "runs/checkpoint_metadata.py": "checkpoint",
    "runs/checkpoints.py": "checkpoint",
    "runs/loggers.py": "metrics.jsonl",
    "runs/run_folder.py": "config.json of train",
}
OF_THEIR_OWN = {"bounded_files.py", "runs/illustration.py", "plots/figure_style.py", "machine_memory.py"}


def test_every_module_that_reads_files_has_a_row():
    package = Path(mutated_files.PACKAGE)
    texts = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*.py")}
    readers = {name for name, text in texts.items() if READS.search(text) and not name.startswith("verification/")}
    assert readers - OF_THEIR_OWN <= ROWS.keys()
    assert set(ROWS.values()) <= PARSERS.keys()


@pytest.mark.soak
def test_damaged_files_end_in_documented_errors_only():
    command = [sys.executable, mutated_files.__file__, "--files", "4000"]
    environment = os.environ | {"PYTHONPATH": str(Path(mutated_files.__file__).parent)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert finished.returncode == 0, finished.stderr
    assert len(finished.stdout.splitlines()) == len(PARSERS) + 3
