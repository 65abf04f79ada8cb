"""`jaxnn launch` runs one training in many processes, by a command of jaxnn or by a script of the user."""

import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

import jaxnn.cli.process_supervision as process_supervision
from jaxnn.cli.downpour_training import check_alone
from jaxnn.cli.main import COMMANDS, main, parse
from jaxnn.cli.placement_flags import check_divides, placement_of_many, resume_line
from jaxnn.cli.training_commands import read_run, read_training, training_of
from jaxnn.cli.training_flags import Processes, Training, load_data
from jaxnn.cli.work_limits import check_processes
from jaxnn.naming import unknown

LAUNCHABLE = ("train", "resume")
_EXAMPLE = "Say what behind two dashes: jaxnn launch -n 4 -- train lenet5"
_AGAIN = "start the script again: it goes on, if it keeps checkpoints"


@dataclass(frozen=True)
class LaunchFlags:
    """Trains or resumes in many processes, with the result of one process: jaxnn launch -n 4 -- train lenet5.

    On this machine each process has its own CPU device, and a process that dies ends all. On a cluster, the program
    that starts processes starts this command: srun jaxnn launch --cluster -- train lenet5. Your own script, which joins
    the other processes by jaxnn.parallel.multihost.joined, is launched in the same way:
    jaxnn launch -n 4 -- train.py --its flags.
    """

    processes: Annotated[Processes, tyro.conf.arg(aliases=["-n"])] = 2
    """Sets how many processes are started on this machine; they divide every batch among them."""
    cluster: bool = False
    """Starts no process: Slurm, Open MPI, Kubernetes or a TPU pod has started this one."""


def launch_command(args) -> int:
    """Starts the processes, waits for the last one to end, and returns the exit status of the job."""
    config, command = _read(args)
    if config.cluster:
        os.environ["JAXNN_COORDINATOR"] = "cluster"
        return os.execv(sys.executable, [sys.executable, *command]) if _is_script(command) else main(command)
    if _is_script(command):
        return _supervise(command, config.processes, lambda environment: _AGAIN)
    command, folder, training = _prepare(command, config.processes)
    try:
        return _supervise(["-m", "jaxnn", *command], config.processes, partial(_remedy, folder, training))
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if it is still empty


def _supervise(command, processes, remedy) -> int:
    """Runs the processes; `remedy(environment)` describes what to do if one of them fails."""
    environments = [_environment(seat) for seat in _seats(processes)]
    ending = process_supervision.supervise([sys.executable, *command], environments)
    if ending.process is not None:
        how = process_supervision.describe_end(ending.returncode)
        print(f"jaxnn: process {ending.process} of {processes} {how}; {remedy(environments[0])}", file=sys.stderr)
    return ending.status


def _is_script(command) -> bool:
    return command[0].endswith(".py")


def _remedy(folder, training, environment) -> str:
    saved = (folder / "config.json").is_file()
    return f"go on with: {resume_line(folder, environment, training)}" if saved else "nothing is saved yet; start anew"


def _read(args) -> tuple[LaunchFlags, list[str]]:
    """Returns the flags before the dashes and the command after them."""
    here = args.index("--") if "--" in args else len(args)
    config, command = parse(LaunchFlags, args[:here], command="launch"), list(args[here + 1 :])
    if not config.cluster:
        check_processes(config.processes, "-n")
    if not command:
        raise ValueError(f"no command to launch. {_EXAMPLE}")
    if _is_script(command):
        if not Path(command[0]).is_file():
            raise FileNotFoundError(f"{command[0]} is no file, expected a script. Check the name.")
        return config, command
    if command[0] not in COMMANDS:
        raise unknown("command", command[0], LAUNCHABLE)
    if command[0] not in LAUNCHABLE:
        raise ValueError(f"`{command[0]}` cannot be launched; {' and '.join(LAUNCHABLE)} can. {_EXAMPLE}")
    return config, command


def _prepare(command, processes) -> tuple[list[str], Path, Training]:
    """Returns the command with its run folder, the folder and the training; checks here once what all would check."""
    name, *args = command
    config, folder = _training(args) if name == "train" else _resumption(args)
    check_alone(config, launched=True)
    placement_of_many(config, processes, resume=name == "resume")
    if processes > 1:
        check_divides(config, processes)
    load_data(config)  # downloaded once, if at all
    if name == "train" and config.out is None:
        from jaxnn.runs import make_next

        folder = make_next(config.model)  # taken now, so that another command takes the next number
        command = [*command, "--out", str(folder)]
    return command, folder, config


def _training(args) -> tuple[Training, Path]:
    from jaxnn.runs import check_new, default_path

    config = read_training(args)
    folder = Path(config.out or default_path(config.model))
    check_new(folder)
    return config, folder


def _resumption(args) -> tuple[Training, Path]:
    folder, record, _ = read_run(args)
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
