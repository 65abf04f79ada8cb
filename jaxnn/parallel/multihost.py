"""Many processes run one training on JAX's multi-controller runtime; this module starts, joins and ends them.

Every process runs the same program with its own devices. `jax.devices()` lists the devices of all processes, and a
placement over them needs nothing else. Only the first process writes to disk; all processes read.

    jaxnn launch -n 4 -- train lenet5              on this machine, with one CPU device for each process
    srun jaxnn launch --cluster -- train lenet5    Slurm, Open MPI, Kubernetes, TPU pods: JAX asks the cluster
    with multihost.joined(): ...                   in your own script, started by one of the two above or by Ray

`joined` reads these environment variables:

| JAXNN_COORDINATOR | host:port at which the first process listens, or "cluster": JAX finds everything itself |
| JAXNN_PROCESSES   | the number of processes                                                                  |
| JAXNN_PROCESS     | the number of this process, from 0                                                       |
| JAXNN_LAUNCHER    | the id of the launcher, if any; this process ends when the launcher ends                 |
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

CLUSTER = "cluster"
# Seconds of silence after which JAX takes a process for dead and aborts the others. A launcher notices a death at once
# by itself, so the first number can be large: under thirty times the load that a machine can carry, living processes
# were silent for ten seconds.
HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_ON_CLUSTER = 100, 30
LOST_PEER = 75  # exit status of a process that ends because another has died: sysexits' "temporary failure"
_LOOPBACK = ("127.0.0.1", "localhost")


class Seat(NamedTuple):
    """Holds the address at which the first process listens, the number of processes, and the number of this one."""

    coordinator: str
    processes: int = 1
    process: int = 0


def seat_in(environment: Mapping[str, str]) -> Seat | None:
    """Reads the seat of this process from environment variables; returns None if they name no coordinator.

    Raises:
      ValueError: a variable is missing, is not a number, or is out of range.

    >>> seat_in({"JAXNN_COORDINATOR": "10.0.0.1:7000", "JAXNN_PROCESSES": "4", "JAXNN_PROCESS": "3"})
    Seat(coordinator='10.0.0.1:7000', processes=4, process=3)
    """
    coordinator = environment.get("JAXNN_COORDINATOR")
    if coordinator in (None, CLUSTER):
        return None if coordinator is None else Seat(CLUSTER)
    told = [environment.get(name, "") for name in ("JAXNN_PROCESSES", "JAXNN_PROCESS")]
    if not all(number.isdecimal() for number in told) or not int(told[1]) < int(told[0]):
        raise ValueError(
            "JAXNN_PROCESSES must be the number of processes and JAXNN_PROCESS a smaller one, from 0; received "
            f"{told[0]!r} and {told[1]!r}. `jaxnn launch` sets both."
        )
    if not coordinator.rpartition(":")[2].isdecimal():
        raise ValueError(f'JAXNN_COORDINATOR must be host:port, or "{CLUSTER}"; received {coordinator!r}.')
    return Seat(coordinator, int(told[0]), int(told[1]))


def variables(seat: Seat) -> dict[str, str]:
    """Returns the environment variables from which `seat_in` reads this seat.

    >>> seat_in(variables(Seat("127.0.0.1:7000", 2, 1)))
    Seat(coordinator='127.0.0.1:7000', processes=2, process=1)
    """
    names = "JAXNN_COORDINATOR", "JAXNN_PROCESSES", "JAXNN_PROCESS"
    return dict(zip(names, map(str, seat), strict=True))


def is_writer() -> bool:
    """Returns whether this process is the first, or the only one: it alone writes files and prints."""
    return jax.process_index() == 0


def join(seat: Seat | None = None) -> None:
    """Joins the other processes; must be called before the first use of a device.

    It does nothing where there are no other processes, or where the script has already called
    `jax.distributed.initialize`.

    Args:
      seat: by default the seat in the environment.

    Raises:
      ValueError: a variable of the environment is wrong, or the process runs in no known cluster.
    """
    seat = seat_in(os.environ) if seat is None else seat
    if seat is None or jax.distributed.is_initialized():
        return
    jax.config.update("jax_enable_preemption_service", False)  # it swallows SIGTERM
    if seat.coordinator == CLUSTER:
        _join_cluster()
        return
    jax.config.update("jax_num_cpu_devices", 1)  # several deadlock on few cores
    listens_to = {"coordinator_bind_address": seat.coordinator} if _is_local(seat) else {}
    jax.distributed.initialize(
        *seat,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        **listens_to,
    )


@contextlib.contextmanager
def joined(exit_status: Callable[[BaseException], int] = lambda error: 1):
    """Joins the other processes as `join` does, and makes an error inside the block end the process without waiting.

    Otherwise the process would wait at its exit for the other processes, which wait for it.

    Args:
      exit_status: a function that returns the exit status for an error.

    Raises:
      ConnectionError: another process has probably died.
    """
    _end_with_launcher()
    join()
    try:
        yield
    except BaseException as error:
        if not jax.distributed.is_initialized():
            raise
        if not _lost_a_peer(error):
            atexit.register(_leave, exit_status(error))
            raise
        atexit.register(_leave, LOST_PEER)
        raise ConnectionError(
            f"process {jax.process_index()} of {jax.process_count()} lost its connection to another, which has "
            f"probably died ({str(error).splitlines()[0]})."
        ) from error


def _join_cluster():
    try:
        jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_ON_CLUSTER)
    except ValueError as error:
        raise ValueError(
            "expected a process of Slurm, Open MPI, Kubernetes or a TPU pod; found none of them around this one "
            f"({error}). Start it by srun or mpirun, or several on this machine by `jaxnn launch -n 2`."
        ) from None


def _is_local(seat):
    return seat.coordinator.rpartition(":")[0] in _LOOPBACK


def _lost_a_peer(error):
    return isinstance(error, jax.errors.JaxRuntimeError) and "gloo" in str(error).lower()


def _leave(status):
    sys.stdout.flush()
    sys.stderr.flush()
    seat = seat_in(os.environ)
    if seat is not None and seat.process == 0:  # the others die with it; they get time to report the same error first
        time.sleep(0.3)
    os._exit(status)


def _end_with_launcher():
    """Makes this process end when its launcher ends, so that a killed launcher leaves no process behind."""
    launcher = os.environ.get("JAXNN_LAUNCHER", "")
    if launcher.isdecimal():
        threading.Thread(target=_await_end, args=[int(launcher)], daemon=True).start()


def _await_end(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
