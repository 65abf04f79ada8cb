"""`jaxnn launch`: one training in many processes."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli import supervision
from jaxnn.cli.configurations import Training, load_data
from jaxnn.cli.main import COMMANDS, main, parse
from jaxnn.cli.placement_flags import check_divides, placement_of_many, resume_line
from jaxnn.cli.training_commands import read_run, read_training, training_of
from jaxnn.naming import unknown

LAUNCHABLE = ("train", "resume")
_EXAMPLE = "Say what behind two dashes: jaxnn launch -n 4 -- train lenet5"


@dataclass(frozen=True)
class Launch:
    """Train or resume in many processes, to the result of one: jaxnn launch -n 4 -- train lenet5.

    On this machine each process has a CPU device of its own, and one that dies ends all. On a cluster, what starts
    processes there starts this command: srun jaxnn launch --cluster -- train lenet5.
    """

    processes: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2
    """How many processes to start on this machine; they divide every batch among them."""
    cluster: bool = False
    """Start none: this process is one of Slurm's, Open MPI's, Kubernetes' or a TPU pod's."""


def launch_command(args) -> int:
    """Starts the processes and stays until the last has ended; the status is that of the job."""
    config, command = _read(args)
    if config.cluster:
        os.environ["JAXNN_COORDINATOR"] = "cluster"
        return main(command)
    command, folder = _prepare(command, config.processes)
    environments = [_environment(seat) for seat in _seats(config.processes)]
    resume = resume_line(folder, environments[0])
    children = supervision.start([sys.executable, "-m", "jaxnn", *command], environments)
    ending = supervision.supervise(children)
    if ending.process is not None:
        remedy = f"go on with: {resume}" if (folder / "config.json").is_file() else "nothing is saved yet; start anew"
        how = supervision.describe_end(ending.returncode)
        print(f"jaxnn: process {ending.process} of {config.processes} {how}; {remedy}", file=sys.stderr)
    return ending.status


def _read(args) -> tuple[Launch, list[str]]:
    """What stands before the dashes, and the command behind them."""
    here = args.index("--") if "--" in args else len(args)
    config, command = parse(Launch, args[:here], command="launch"), list(args[here + 1 :])
    if config.processes < 1:
        raise ValueError(f"-n must be an integer of at least 1; received {config.processes}.")
    if not command:
        raise ValueError(f"no command to launch. {_EXAMPLE}")
    if command[0] not in COMMANDS:
        raise unknown("command", command[0], LAUNCHABLE)
    if command[0] not in LAUNCHABLE:
        raise ValueError(f"`{command[0]}` cannot be launched; {' and '.join(LAUNCHABLE)} can. {_EXAMPLE}")
    return config, command


def _prepare(command, processes) -> tuple[list[str], Path]:
    """The command with its run folder; refuses here, once, what every process would refuse."""
    name, *args = command
    config, folder = _training(args) if name == "train" else _resumption(args)
    placement_of_many(config, processes, resume=name == "resume")
    if processes > 1:
        check_divides(config, processes)
    load_data(config)  # downloaded once, if at all
    return [*command, "--out", str(folder)] if name == "train" and config.out is None else command, folder


def _training(args) -> tuple[Training, Path]:
    from jaxnn.runs import check_new, default_path

    config = read_training(args)
    folder = Path(config.out or default_path(config.model))
    check_new(folder)
    return config, folder


def _resumption(args) -> tuple[Training, Path]:
    folder, record = read_run(args)
    return training_of(folder, record), folder


def _seats(processes):
    from jaxnn.parallel.multihost import Seat

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    return [Seat(coordinator, processes, process) for process in range(processes)]


def _environment(seat):
    from jaxnn.parallel.multihost import variables

    own = {"JAX_PLATFORMS": "cpu", "JAXNN_LAUNCHER": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
    return os.environ | own | variables(seat)
