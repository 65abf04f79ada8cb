"""A run folder does not decide which places outside of it are used; the user must name these places again.

A run folder may come from any person. The table lists its contents, their possible effects and the decisions:

| content                        | possible effect                                   | decision                        |
| ------------------------------ | ------------------------------------------------- | ------------------------------- |
| `address`                      | a connection, whose answers are unpickled         | `--address` again, or refused   |
| `data_folder`                  | files read anywhere, a download written there     | `--data-folder` again, or ...   |
| `data`                         | a download from our mirrors into the cache        | `--data-folder` again, or ...   |
| links out of the folder        | `resume` writes and removes files there           | refused by `resume`             |
| `out`                          | another folder is written to                      | ignored; the folder itself      |
| `command` in `config`          | the module that continues the run                 | one of three names, or refused  |
| `model`, `optimizer`, `over`.. | code that is looked up by name                    | names of our tables, or refused |
| numbers                        | processes, memory, time                           | bounded by `field_rules`        |
| `command`, `versions`, ...     | nothing: text beside `config`                     | never used                      |
| checkpoints, metrics, logs     | arrays and numbers, of any size                   | checked; nothing can execute    |

Commands that are printed for the user to type are quoted. The environment sets the address at which the processes of
one job meet. The mirrors are in `data.sources`.
"""

import contextlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxnn.cli.training_flags import Training


def place_data(record: dict[str, Any], folder: Path, given: str | None) -> dict[str, Any]:
    """Returns the record of a run with the data folder that was given on the command line.

    Args:
      record: the configuration that was read.
      folder: the folder of the run.
      given: the value of --data-folder, or None.

    Raises:
      ValueError: no data folder was given, and the record names one.
      FileNotFoundError: no data folder was given, and the data are not on this machine.
    """
    training = _training(record)
    if given is None and training.get("data_folder") is not None:
        raise ValueError(
            f"{folder} was trained on data in {training['data_folder']!r}, and a folder's word opens no other. "
            "Say where they lie now: --data-folder FOLDER"
        )
    if given is None:
        _check_here(training.get("data"))
    return _with(record, data_folder=given)


def place_cluster(record: dict[str, Any], folder: Path, given: str | None) -> dict[str, Any]:
    """Returns the record of a run with the address of the Ray cluster that was given on the command line.

    Raises:
      ValueError: no address was given and the record names one, or an address was given to a run that is not downpour.
    """
    training = _training(record)
    if given is None and training.get("address") is not None:
        again = shlex.join(["jaxnn", "resume", str(folder), "--address", "HOST:PORT"])
        raise ValueError(
            f"{folder} was trained on the Ray cluster at {training['address']!r}, and a folder's word opens no "
            f"connection. Say where the cluster is now: {again}"
        )
    if given is not None and training.get("strategy") != "downpour":
        raise ValueError(f"--address is of runs with --strategy downpour; {folder} is none. Leave it out.")
    return _with(record, address=given)


def check_links(folder: Path) -> None:
    """Raises ValueError for a link out of a run folder, because a resumed run would write through it."""
    inside = os.path.realpath(folder)
    for place, folders, files in os.walk(folder):
        for path in (os.path.join(place, name) for name in (*folders, *files)):
            if os.path.islink(path) and not os.path.realpath(path).startswith(inside + os.sep):
                raise ValueError(
                    f"{path} is a link out of the run folder, to {os.readlink(path)!r}; resuming would write, and "
                    "remove, files there. Put what it leads to in its place."
                )


def resumption(folder: str | Path, training: Training) -> list[str]:
    """Returns the words of the command that continues a run, including places that its folder does not decide.

    >>> shlex.join(resumption("my run", Training(data_folder="digits")))
    "jaxnn resume 'my run' --data-folder digits"
    """
    places = ("--data-folder", training.data_folder), ("--address", training.address)
    return ["jaxnn", "resume", str(folder), *(word for pair in places if pair[1] is not None for word in pair)]


def _training(record) -> Mapping[str, Any]:
    """Returns the part of a record about the training; {} if it is damaged, which the reader of the record reports."""
    training = record.get("training") if "command" in record else record
    return training if isinstance(training, dict) else {}


def _with(record, **places):
    training = _training(record)
    if not training:
        return record
    training = {**training, **places}
    return {**record, "training": training} if "command" in record else training


def _check_here(name):
    """Raises FileNotFoundError for data that would have to be downloaded."""
    from jaxnn import data

    with contextlib.suppress(ValueError):  # an unknown data set, which the reader of the record reports
        data.find(str(name), download=False)
