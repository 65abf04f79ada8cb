"""The files of a run and of its asynchronous servers, and what reads them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
from checkpoint_parsers import checkpoint_damages
from damaged_subjects import Damage, Subject, damages_of, files_in
from file_mutations import damaged, damaged_json, damaged_lines, damaged_safetensors, rendered

from jaxnn import optimizers
from jaxnn.cli.field_records import record_of
from jaxnn.cli.main import main
from jaxnn.cli.population_flags import Settings, SettingsWithoutTest
from jaxnn.cli.training_flags import Training, to_record
from jaxnn.models import MLP
from jaxnn.training import init_state

_OVER = {"over": ["learning_rate=log:1e-4:1e-1"], "trials": 4, "seeds": 1, "metric": "accuracy", "out": None}
_MLP = {"training": record_of(Settings("mlp"))}
_UNTESTED = {"training": record_of(SettingsWithoutTest("mlp"))}
CONFIGURATIONS = {
    "train": to_record(Training("mlp", hidden=(8, 4), dropout_rate=0.5, train_examples=100)),
    "search": {"command": "search", **_OVER, "strategy": "random", "validation": 0.1, **_UNTESTED},
    "cross-validate": {"command": "cross-validate", **_OVER, "folds": 5, **_UNTESTED},
    "ensemble": {"command": "ensemble", "members": 3, "bagging": False, "out": None, **_MLP},
}


def configuration(command: str) -> Callable[[Path], Subject]:
    """`config.json`, as far as `jaxnn resume` reads it before it does anything."""

    def make(folder: Path) -> Subject:
        record = {"jaxnn": "0", "versions": {"jax": "0"}, "platform": {}, "created": "now", "command": ["jaxnn"]}
        content = json.dumps(record | {"config": CONFIGURATIONS[command]}, indent=2).encode()
        parse = lambda: read_configuration(folder, command)
        return Subject(
            {"config.json": content}, damages_of("config.json", content, damaged, *[damaged_json] * 3), parse
        )

    return make


def read_configuration(folder: Path, command: str):
    from jaxnn.cli.cross_validation_command import CrossValidationFlags
    from jaxnn.cli.ensemble_command import EnsembleFlags
    from jaxnn.cli.hyperparameters import parse_over
    from jaxnn.cli.population_records import read_settings
    from jaxnn.cli.search_command import SearchFlags
    from jaxnn.cli.training_commands import read_run, training_of

    _, record, _ = read_run([str(folder)])
    if command == "train":
        return training_of(folder, record)
    kind = {"search": SearchFlags, "cross-validate": CrossValidationFlags, "ensemble": EnsembleFlags}[command]
    read = read_settings(kind, record, folder=folder)
    return parse_over(read.over, read.training) if command != "ensemble" else read


def extension_file(folder: Path) -> Subject:
    from jaxnn.cli.run_extensions import Extension, read_extension

    content = json.dumps(record_of(Extension(5, 4, 16))).encode()
    damages = damages_of("extension.json", content, damaged, damaged_json)
    return Subject({"extension.json": content}, damages, lambda: read_extension(folder, Training("mlp", epochs=3)))


def metrics_file(folder: Path) -> Subject:
    from jaxnn.runs.loggers import MetricsFile, read_metrics

    file = MetricsFile(folder / "metrics.jsonl")
    for step in (8, 16, 24, 32):
        file.write(step, {"test/loss": 1 / step, "test/accuracy": 0.5, "seconds": float("nan")})

    def parse():
        history = read_metrics(folder / "metrics.jsonl")
        MetricsFile(folder / "metrics.jsonl", 16).write(20, {"test/loss": 0.0})
        return history

    files = files_in(folder)
    return Subject(files, damages_of(*files.popitem(), damaged, damaged_lines), parse)._replace(files=files_in(folder))


def tensorboard(folder: Path) -> Subject:
    from jaxnn.runs.loggers import TensorBoard

    writer = TensorBoard(folder)
    for step in (8, 16, 24, 32):
        writer.write(step, {"test/loss": 1 / step, "test/accuracy": 0.5})
    writer.close()
    files = files_in(folder)
    ((name, content),) = files.items()
    return Subject(files, damages_of(name, content, damaged), lambda: TensorBoard(folder, 16).close())


def push_log(folder: Path) -> Subject:
    from jaxnn.parameter_server import lost_updates
    from jaxnn.parameter_server.log_replay import gradient_log
    from jaxnn.parameter_server.push_log import Fetch, Push, PushLog, Version, push_rows, read_log

    for origin in (None, Version(0, 2)):
        log = PushLog(folder, 0, origin)
        for i in range(4):
            log.append(Push(i % 2, log.life, i // 2, (Fetch(i // 2, (Version(log.life, i),)),), i))
        log.close()

    def parse():
        lives = read_log(folder)
        push_rows(lives)
        lost_updates(lives)
        gradient_log(lives[:1])

    files = files_in(folder)
    damages = (one for name, content in files.items() for one in damages_of(name, content, damaged, damaged_lines))
    return Subject(files, tuple(damages), parse)


def shard_checkpoint(folder: Path) -> Subject:
    from jaxnn.parameter_server.parameter_shards import divide
    from jaxnn.parameter_server.push_log import Version
    from jaxnn.parameter_server.shard_checkpoints import ShardCheckpoint, newest_shard, save_shard

    optimizer = optimizers.adam(0.1)
    state = init_state(MLP(features=(3,), classes=2), optimizer, np.zeros((1, 2, 2, 1), np.uint8), key=0)
    (part,) = divide(state, optimizer.init, 1)
    for number in (2, 4):
        save_shard(folder, 0, ShardCheckpoint(part._replace(step=np.int32(number)), Version(0, number), {0: 2, 1: 3}))
    files = files_in(folder)

    def metadata(rng, content):
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        name = rng.choice([*header["__metadata__"]])
        header["__metadata__"][name] = damaged_json(rng, header["__metadata__"][name].encode()).decode()
        text = rendered(header)
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    hows = (damaged, damaged_safetensors, metadata)
    damages = (one for name, content in files.items() for one in damages_of(name, content, *hows))
    return Subject(files, tuple(damages), lambda: newest_shard(folder, 0, part))


RUN = (
    "train",
    "mlp",
    "--hidden",
    "2",
    "--epochs",
    "2",
    "--train-examples",
    "64",
    "--batch-size",
    "16",
    "--test-examples",
    "20",
    "--no-pictures",
)


def command(name: str, *patterns: str) -> Callable[[Path], Subject]:
    """`jaxnn NAME RUN` of a finished run in which files of the patterns are damaged."""

    def make(folder: Path) -> Subject:
        if main([*RUN, "--out", str(folder / "run")]):
            raise RuntimeError("the run to be damaged could not be trained.")
        files = files_in(folder)
        chosen = {str(path.relative_to(folder)) for pattern in patterns for path in folder.glob(f"run/{pattern}")}
        return Subject(files, tuple(run_damages(files, chosen)), lambda: main([name, str(folder / "run")]))

    return make


def run_damages(files, chosen) -> Iterator[Damage]:
    yield from (one for one in checkpoint_damages(files) if {*one(Random(0))} <= chosen)
    for name in chosen:
        mutate = damaged_lines if name.endswith(".jsonl") else damaged_json
        if not name.endswith((".safetensors", "tfevents")) and "checkpoints" not in name:
            yield from damages_of(name, files[name], damaged, mutate)
