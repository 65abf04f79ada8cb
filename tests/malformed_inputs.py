"""Three thousand malformed inputs for the command line: wrong words for every flag, damaged records and data files.

They are made from the annotations of the configurations, so that a new flag is among them. `refusals` runs them.
"""

import contextlib
import dataclasses
import gzip
import io
import json
import os
import tempfile
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from jaxnn.cli.cross_validation_command import CrossValidationFlags
from jaxnn.cli.ensemble_command import EnsembleFlags
from jaxnn.cli.field_records import record_of
from jaxnn.cli.field_rules import Between, OneOf, fields_of, flag_of, is_marked, is_union, plain, rules_of
from jaxnn.cli.inference_commands import EvaluationFlags, PredictionFlags
from jaxnn.cli.launch_command import LaunchFlags
from jaxnn.cli.listing_commands import ListingFlags, SummaryFlags
from jaxnn.cli.main import main
from jaxnn.cli.population_flags import Settings, SettingsWithoutTest
from jaxnn.cli.race_command import RaceFlags
from jaxnn.cli.search_command import SearchFlags
from jaxnn.cli.training_commands import ResumptionFlags
from jaxnn.cli.training_flags import RECIPES, Training
from jaxnn.cli.verification_command import VerificationFlags
from jaxnn.data.sources import SOURCES

PARSED = {
    "train": (Training, ["mlp"]),
    "search": (SearchFlags, ["mlp", "--over", "b1=0.1,0.2"]),
    "ensemble": (EnsembleFlags, ["mlp"]),
    "cross-validate": (CrossValidationFlags, ["mlp", "--over", "b1=0.1,0.2"]),
    "summary": (SummaryFlags, ["mlp"]),
    "race": (RaceFlags, ["beale"]),
    "verify": (VerificationFlags, []),
    "list": (ListingFlags, []),
    "launch": (LaunchFlags, []),
    "evaluate": (EvaluationFlags, ["RUN"]),
    "predict": (PredictionFlags, ["RUN", "image.png"]),
    "resume": (ResumptionFlags, ["RUN"]),
}
WORDS = {
    int: ["", " ", "abc", "1.5", "nan", "inf", "-1", "0", "1e3", "9" * 23, "9" * 5000, "[1]", "½", "0x10", "1,2", "-"],
    float: ["", "abc", "nan", "inf", "-inf", "-1", "1e39", "1e400", "[0.1]", "½", "0,1", "1e", "0.1.2", "true"],
    str: ["", "\0", "a" * 5000, "\x1b[31mx", "漢字", "../../nowhere"],
    bool: [],
}
RECORDS = {
    "train": RECIPES["mlp"],
    "search": SearchFlags(SettingsWithoutTest(**vars(RECIPES["mlp"])), over=("learning_rate=0.1,0.2",)),
    "ensemble": EnsembleFlags(Settings(**vars(RECIPES["mlp"]))),
    "cross-validate": CrossValidationFlags(SettingsWithoutTest(**vars(RECIPES["mlp"])), over=("hidden=8,16",)),
}
WRONG_VALUES = {
    int: [None, True, 1.5, "1", [], {}, 10**30, -1],
    float: [True, "0.1", float("nan"), float("inf"), [0.1], {}, -1.0, 1e39],
    str: [1, True, [], {}, "", "a\0b"],
    bool: [None, 0, 1, "true", []],
    tuple: [None, 1, "8", {}, [1.5], [float("nan")], [True], [None], [[1]], [10**30]],
}
OVER = [
    "", "=", "x", "x=", "b1", "b1=", "b1=a", "b1=1,1", "b1=0.5:", "b1=:", "b1=1:0", "b1=0.1:0.2:0.3", "b1=log:0:1",
    "b1=log:-1:1", "b1=nan,0.1", "b1=0.1:inf", "learning_rate=1e39,1", "hidden=0,1", "hidden=1:9", "hidden=1.5,2",
    "hidden=99999999999", "optimizer=adam,adm", "schedule=", "seed=1,2", "batch_size=0,1", "momentum=0.1,0.2",
    "decay_rate=0.1,0.2", "dropout_rate=1,0.5", "label_smoothing=-1,0", "model=mlp,lenet5", "b1=" + "9" * 5000,
]  # fmt: skip


class Case(NamedTuple):
    """A command line, and what kind of damage it has."""

    kind: str
    args: list[str]


def all_cases(folder: Path) -> list[Case]:
    """Every case; their files are made in the folder."""
    run = make_run(folder)
    cases = [*commands(), *words(run), *overs(), *numbers(), *records(folder), *files(folder, run)]
    return [Case(kind, [str(run) if arg == "RUN" else arg for arg in args]) for kind, args in cases]


def make_run(folder: Path) -> Path:
    """A run that trained a little."""
    run, tiny = folder / "run", ["--train-examples", "64", "--test-examples", "64", "--epochs", "1", "--hidden", "4"]
    tiny += ["--batch-size", "16"]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "mlp", *tiny, "--no-tensorboard", "--no-pictures", "--out", str(run)]) == 0
    return run


def commands() -> Iterator[Case]:
    """Commands that are none, flags that are none, words that nobody takes or that are missing."""
    for word in ("trian", "", "TRAIN", "--train", "-t", "漢", "a" * 5000, "train mlp", "\0"):
        yield Case("command", [word])
    for command, (_, base) in PARSED.items():
        for flag in ("--", "--x", "--lr", "-x", "--epoch=", "--" + "y" * 5000, "--Hidden", "--no-epochs", "--é"):
            if not (flag == "--" and command in ("launch", "list", "verify")):
                yield Case("unknown flag", [command, *base, flag, "1"])
        if command not in ("predict", "race", "search", "cross-validate"):
            yield Case("surplus word", [command, *base, "one", "two"])
    for command in ("evaluate", "predict", "resume", "launch", "search", "cross-validate"):
        yield Case("missing word", [command])


def words(run) -> Iterator[Case]:
    """Every flag of every command, with each word that it cannot take, with none, and twice."""
    for command, (config_class, base) in PARSED.items():
        for flag, hint in _flags(config_class):
            for word in _wrong_words(flag, hint):
                yield Case(f"words of {command}", [command, *base, flag, word])
            if plain(hint) is bool:
                yield from (Case(f"words of {command}", [command, *base, *twice]) for twice in _switched_twice(flag))
            elif flag != "--over":
                yield Case(f"words of {command}", [command, *base, flag])
                yield Case(f"words of {command}", [command, *base, flag, "1", flag, "1"])


def _switched_twice(flag):
    return [flag, flag], [flag, f"--no-{flag[2:]}"], [f"{flag}=yes"], [f"--no-{flag[2:]}=1"]


def _flags(config_class) -> Iterator[tuple[str, Any]]:
    for name, hint in fields_of(config_class).items():
        if dataclasses.is_dataclass(plain(hint)):
            yield from _flags(plain(hint))
        elif not (is_marked(hint, tyro.conf.Positional) or is_marked(hint, tyro.conf.Suppress)):
            yield flag_of(name, hint), hint


def _wrong_words(flag, hint) -> list[str]:
    kind = _kind(hint)
    rules = rules_of(hint, Between)
    words = [word for word in WORDS[kind] if not (word == "0" and rules and rules[0].low <= 0)]
    if kind is not str:
        return [word for word in words if not (flag == "--hidden" and word == "1,2")]  # a list takes commas
    if (
        rules_of(hint, OneOf)
        or typing.get_origin(plain(hint)) is typing.Literal
        or flag in ("--data", "--step", "--only")
    ):
        return words
    own = {"--out": ["/proc/1/x", "/dev/null", "/dev/null/x", "a" * 256], "--data-folder": ["/nowhere", "/dev/null"]}
    return ["", "\0", *own.get(flag, [])]


def _kind(hint) -> type:
    """int, float, str or bool, of the elements where there are many."""
    hint = plain(hint)
    kinds = [plain(part) for part in typing.get_args(hint)] if is_union(hint) else [hint]
    kinds = [typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind for kind in kinds]
    return next((plain(kind) for kind in kinds if plain(kind) in WORDS), str)


def overs() -> Iterator[Case]:
    """What `--over` cannot vary."""
    for command in ("search", "cross-validate"):
        yield from (Case("--over", [command, "mlp", "--over", text]) for text in OVER)


def numbers() -> Iterator[Case]:
    """Each number allowed, all together too much; and flags that change nothing."""
    over = ["--over", "b1=0.1,0.2"]
    for args in (
        ["train", "mlp", "--hidden", "16000000", "16000000"], ["train", "mlp", "--hidden", *["8"] * 99],
        ["train", "mlp", "--epochs", "2147483647"], ["train", "mlp", "--batch-size", "60001"],
        ["train", "mlp", "--strategy", "downpour", "--workers", "1024"], ["train", "mlp", "--devices", "1000"],
        ["launch", "-n", "1024", "--", "train", "mlp"], ["launch", "-n", "2", "--", "train", "mlp", "--hidden", "0"],
        ["search", "mlp", *over, "--trials", "99999", "--seeds", "99999"],
        ["search", "mlp", *over, "--trials", "9" * 11],
        ["search", "mlp", *over, "--strategy", "hyperband", "--epochs", "9999999"],
        ["search", "mlp", *over, "--strategy", "grid", "--seeds", "99999"],
        ["ensemble", "mlp", "--members", "99999", "--hidden", "999999"], ["ensemble", "mlp", "--seed", "4294967295"],
        ["ensemble", "mlp", "--members", "99999"], ["cross-validate", "mlp", *over, "--seeds", "99999"],
        ["cross-validate", "mlp", *over, "--folds", "99999"], ["cross-validate", "mlp", *over, "--folds", "5422"],
    ):  # fmt: skip
        yield Case("too much", args)
    for args in (
        ["--momentum", "0.5"], ["--decay-rate", "0.5"], ["--workers", "3"], ["--servers", "2"], ["--staleness", "1"],
        ["--address", "127.0.0.1:1"], ["--weight-decay", "0.1"], ["--optimizer", "sgd", "--b1", "0.5"],
        ["--optimizer", "lion", "--eps", "1e-8"], ["--optimizer", "lion", "--nesterov"],
        ["--placement", "single", "--devices", "2"], ["--strategy", "downpour", "--devices", "2"],
    ):  # fmt: skip
        yield Case("no effect", ["train", "mlp", *args])
    yield from (Case("no effect", [command, "lenet5", "--hidden", "8"]) for command in ("train", "summary", "ensemble"))
    yield from (Case("no effect", ["race", flag, "1"]) for flag in ("--mnist-steps", "--batch-size", "--seed"))


def records(folder: Path) -> Iterator[Case]:
    """config.json of every command with each field of every wrong type or value, and files that are no JSON object."""
    for command, config in RECORDS.items():
        own = {} if command == "train" else {"command": command}
        for place, name, hint, default in _record_fields(config):
            kind = type(default) if default is not None else _kind(hint)
            for value in WRONG_VALUES[kind]:
                if value is None and is_union(plain(hint)):
                    continue
                record = json.loads(json.dumps({**own, **record_of(config)}))
                (record["training"] if place else record)[name] = value
                run = _write_config(folder, {"config": record})
                yield Case(f"record of {command}", ["evaluate" if command == "train" else "resume", str(run)])
    for text in (
        "",
        "null",
        "3",
        "[]",
        "{",
        "{}",
        '"x"',
        "\0\1",
        "[" * 100_000,
        '{"config":' * 50_000,
        '{"config": 3}',
    ):
        yield Case("config.json", ["resume", str(_write_config(folder, {}, text))])
    for config in (
        [],
        {"command": []},
        {"command": "x" * 9999},
        {"command": {}},
        {"training": None, "command": "search"},
    ):
        for command in ("resume", "evaluate", "predict"):
            run = _write_config(folder, {"config": config})
            yield Case("config.json", [command, str(run), *(["x.png"] if command == "predict" else [])])


def _record_fields(config):
    for name, hint in fields_of(type(config)).items():
        if name == "training":
            yield from ((True, *field[1:]) for field in _record_fields(config.training))
        elif name != "out" or isinstance(config, Training):  # that of the others is where the record lies
            yield False, name, hint, getattr(config, name)


def _write_config(folder: Path, changes: dict, text: str | None = None) -> Path:
    run = Path(tempfile.mkdtemp(dir=folder))
    record = json.loads((folder / "run/config.json").read_text()) | changes
    (run / "config.json").write_text(json.dumps(record) if text is None else text)
    return run


def files(folder: Path, run: Path) -> Iterator[Case]:
    """Files of every kind of damage: config.json, the data's, pictures."""
    for damage in DAMAGES:
        place = Path(tempfile.mkdtemp(dir=folder))
        damage_file(run / "config.json", place / "config.json", damage)
        yield Case("config.json", ["resume", str(place)])
        for name in SOURCES["mnist"].contents:
            place = Path(tempfile.mkdtemp(dir=folder))
            for other in SOURCES["mnist"].contents:
                (place / other).symlink_to(SOURCES["mnist"].folder / other)
            (place / name).unlink()
            damage_file(SOURCES["mnist"].folder / name, place / name, damage)
            yield Case("data file", ["train", "mlp", "--data-folder", str(place), "--out", str(folder / "never")])
        picture = folder / f"{damage}.png"
        damage_file(_picture(folder), picture, damage)
        yield Case("picture", ["predict", str(run), str(picture)])


DAMAGES = ("missing", "empty", "truncated", "text", "pipe", "device", "folder", "loop", "sparse", "bomb")


def damage_file(whole: Path, path: Path, damage: str) -> None:
    """Something in the place of a file."""
    content = whole.read_bytes()
    match damage:
        case "missing":
            pass
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop" | "device":
            path.symlink_to(path if damage == "loop" else "/dev/zero")
        case "sparse":
            path.write_bytes(content[:100])
            os.truncate(path, 30 * 2**30)
        case _:
            bomb = gzip.compress(bytes([0, 0, 8, 1]) + (2**31).to_bytes(4, "big") + bytes(2**20))
            half = content[: len(content) // 2]
            path.write_bytes({"empty": b"", "truncated": half, "text": b"not this", "bomb": bomb}[damage])


def _picture(folder: Path) -> Path:
    from PIL import Image

    path = folder / "whole.png"
    Image.new("L", (28, 28)).save(path)
    return path
