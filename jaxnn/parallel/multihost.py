"""One training in many processes, on JAX's own multi-controller runtime: how they find one another, and how they end.

Every process runs the same program, each with its own devices; `jax.devices()` are those of all, and a placement over
them needs nothing else. What is on disk is written by the first process alone and read by all.

    jaxnn launch -n 4 -- train lenet5              on this machine, a CPU device each
    srun jaxnn launch --cluster -- train lenet5    Slurm, Open MPI, Kubernetes, TPU pods: JAX asks the cluster
    with multihost.joined(): ...                   in a script of one's own, which one of the two above starts, or Ray

`joined` reads the environment:

| JAXNN_COORDINATOR | host:port at which the first process listens, or "cluster": JAX finds all by itself |
| JAXNN_PROCESSES   | how many there are                                                                   |
| JAXNN_PROCESS     | which of them this is, from 0                                                        |
| JAXNN_LAUNCHER    | the process to end with, if any                                                      |
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
# Seconds after which a silent process is taken for dead, and JAX aborts the others. A launcher sees deaths by itself at
# once; on a machine with thirty times more to do than it can, living processes were silent for ten seconds.
HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_ON_CLUSTER = 100, 30
LOST_PEER = 75  # exit status of a process that ends because another is gone: sysexits' "temporary failure"
_LOOPBACK = ("127.0.0.1", "localhost")


class Seat(NamedTuple):
    """The place of one process: where the first one listens, how many there are, which one this is."""

    coordinator: str
    processes: int = 1
    process: int = 0


def seat_in(environment: Mapping[str, str]) -> Seat | None:
    """The seat that the variables tell, None if they tell none.

    Raises:
      ValueError: one is missing, or no number, or out of range.

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
    """What `seat_in` reads.

    >>> seat_in(variables(Seat("127.0.0.1:7000", 2, 1)))
    Seat(coordinator='127.0.0.1:7000', processes=2, process=1)
    """
    names = "JAXNN_COORDINATOR", "JAXNN_PROCESSES", "JAXNN_PROCESS"
    return dict(zip(names, map(str, seat), strict=True))


def is_writer() -> bool:
    """Whether this process is the one that writes files and talks: the first, or the only one."""
    return jax.process_index() == 0


def join(seat: Seat | None = None) -> None:
    """Joins the other processes, before the first use of a device; does nothing where there are none.

    Args:
      seat: by default what the environment tells; a script that has called `jax.distributed.initialize` has joined.

    Raises:
      ValueError: the environment tells nonsense, or there is no cluster around.
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
    """`join`, and an error inside ends the process at once.

    Otherwise it would wait, at its exit, for the others, who wait for it.

    Args:
      exit_status: of an error; the status to end with.

    Raises:
      ConnectionError: another process is gone.
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
    if seat is not None and seat.process == 0:  # the others die with it: who has the same error is to say so first
        time.sleep(0.3)
    os._exit(status)


def _end_with_launcher():
    """A launcher that is killed takes its processes along."""
    launcher = os.environ.get("JAXNN_LAUNCHER", "")
    if launcher.isdecimal():
        threading.Thread(target=_await_end, args=[int(launcher)], daemon=True).start()


def _await_end(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
