"""More than a machine can hold or make is refused before it is begun, with the estimate and the limit."""

import dataclasses

import pytest

from jaxnn.cli import placement_flags, work_limits
from jaxnn.cli.main import main
from jaxnn.cli.training_flags import RECIPES, check_runnable
from jaxnn.cli.work_limits import check_members, check_processes, check_steps, check_widths

HUGE = str(10**9)
OVER = ["--over", "learning_rate=0.1,0.2"]
PRODUCT = [f"{name}={','.join(f'0.{i:02}' for i in range(1, 41))}" for name in ("b1", "b2", "dropout_rate", "eps")]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["train", "mlp", "--hidden", "10000000"], "--hidden (10000000,) makes 7950000010 parameters, 59.2 GiB with "),
        (["train", "mlp", "--hidden", HUGE], "--hidden must be an integer of at most 16777216; received 1000000000"),
        (["train", "mlp", "--hidden", *["9"] * 65], "--hidden must have at most 64 values; received 65"),
        (["train", "mlp", "--epochs", "2147483647"], "at most 2147483647 can be counted. Say --epochs 2410194 or less"),
        (["train", "mlp", "--devices", "9" * 23], "--devices must be an integer of at most 1024; received 999"),
        (
            ["train", "mlp", "--strategy", "downpour", "--workers", "1000"],
            "--workers and --servers start 1001 processes",
        ),
        (["launch", "-n", "1000", "--", "train", "mlp"], "-n start 1000 processes, which take 195.3 GiB at least"),
        (["launch", "-n", "2", "--", "train", "mlp", "--hidden", "10000000"], "makes 7950000010 parameters"),
        (
            ["summary", "mlp", "--placement", "shard_map", "--devices", "1000000"],
            "--devices must be an integer of at mo",
        ),
        (
            ["search", "mlp", *OVER, "--trials", "10000000000"],
            "--trials must be an integer of at most 100000; received",
        ),
        (["search", "mlp", *OVER, "--seeds", HUGE], "--seeds must be an integer of at most 100000"),
        (
            ["search", "mlp", *OVER, "--seeds", "5000", "--trials", "99"],
            "99 settings and --seeds 5000 make 495000 train",
        ),
        (
            ["search", "mlp", "--over", *PRODUCT],
            "the lists of --over, in all combinations, make 2560000 trainings; one",
        ),
        (["search", "mlp", "--over", "hidden=9,10000000"], "--over hidden: --hidden (10000000,) makes"),
        (["ensemble", "mlp", "--members", HUGE], "--members must be an integer of at most 100000"),
        (["ensemble", "mlp", "--hidden", "9000000"], "this machine has 31.2 GiB. Take narrower layers."),
        (["cross-validate", "mlp", *OVER, "--seeds", HUGE], "--seeds must be an integer of at most 100000"),
        (["cross-validate", "mlp", *OVER, "--seeds", "20000"], "2 settings, --folds and --seeds make 200000 trainings"),
        (["cross-validate", "mlp", *OVER, "--folds", HUGE], "--folds must be an integer of at most 100000"),
    ],
)
def test_what_is_too_much_is_refused_before_jax_looks_at_it(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work_limits, "total_memory", lambda: int(31.2 * 2**30))
    assert main(args) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["train", "mlp"],
            "this training needs about 53.8 MiB, 52.6 MiB of it for the data; 1.0 MiB are free here",
        ),
        (["ensemble", "mlp", "--members", "99"], "99 trainings side by side keep 151.1 MiB, 1.5 MiB each; 1.0 MiB"),
        (
            ["search", "mlp", *OVER],
            "2 trainings side by side keep 4.7 MiB, 2.3 MiB each; 1.0 MiB are free here. Make at most 1.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_compiled(args, words, capsys, tmp_path, monkeypatch):
    import jaxnn.populations.member_memory

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work_limits, "available_memory", lambda: 2**20)
    monkeypatch.setattr(jaxnn.populations.member_memory, "available_memory", lambda: 2**20)
    assert main(args) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_step_is_counted_where_the_batch_is_large(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    counted = []
    monkeypatch.setattr(placement_flags, "memory_of", lambda *args, **how: counted.append(how) or _Report())
    assert main(["train", "mlp", "--batch-size", "57000", "--hidden", "99999", "--epochs", "1"]) == 2
    assert counted == [{"batch_size": 57000}]
    assert "this training needs about 4294967296.1 GiB" in capsys.readouterr().err


class _Report:
    total = 2**62


def test_limits_let_through_what_fits():
    check_widths((4096, 4096))
    check_members(100, each=2**20)
    check_processes(2, "-n")
    assert check_steps(epochs=10, batch_size=64, examples=60_000) == 9380
    for recipe in RECIPES.values():
        assert check_runnable(recipe) is recipe
    assert check_runnable(dataclasses.replace(RECIPES["mlp"], strategy="downpour")).workers == 2
