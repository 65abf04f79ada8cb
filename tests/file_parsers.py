"""Every parser of files in jaxnn, as a table."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from checkpoint_parsers import checkpoint, ensemble_checkpoint, search_journal
from damaged_subjects import Subject
from data_parsers import cifar, data_folder, idx, idx_gz, keras_archive, picture, tar_archive
from run_parsers import (
    CONFIGURATIONS,
    command,
    configuration,
    extension_file,
    metrics_file,
    push_log,
    shard_checkpoint,
    tensorboard,
)


class Parser(NamedTuple):
    """A row: what makes its subject, and how many files it gets for each of the others' 1000; it takes its time."""

    make: Callable[[Path], Subject]
    share: int = 1000


PARSERS = {
    **{f"config.json of {name}": Parser(configuration(name)) for name in CONFIGURATIONS},
    "extension.json": Parser(extension_file),
    "metrics.jsonl": Parser(metrics_file),
    "TensorBoard events": Parser(tensorboard, 200),
    "checkpoint": Parser(checkpoint),
    "search journal": Parser(search_journal, 300),
    "ensemble checkpoint": Parser(ensemble_checkpoint, 200),
    "push log": Parser(push_log),
    "shard checkpoint": Parser(shard_checkpoint),
    "IDX": Parser(idx),
    "IDX, gzip": Parser(idx_gz),
    "CIFAR-10 batch": Parser(cifar),
    "MNIST's folder": Parser(data_folder("mnist")),
    "CIFAR-10's folder": Parser(data_folder("cifar10")),
    "CIFAR-10's archive": Parser(tar_archive),
    "Keras's archive of MNIST": Parser(keras_archive),
    **{f"picture, {form}": Parser(picture(form)) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")},
    "`evaluate`, whole": Parser(command("evaluate", "config.json", "checkpoints/*"), 10),
    "`resume`, whole": Parser(command("resume", "metrics.jsonl", "checkpoints/*"), 10),
}
