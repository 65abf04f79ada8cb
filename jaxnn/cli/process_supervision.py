"""`supervise` starts the processes of a job, marks the lines of each, and ends all of them when one fails."""

import contextlib
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from jaxnn.cli.interruption import Received

WITNESSES = 0.5  # seconds to wait for processes that fail for the same reason, to find the first one
PATIENCE = 5.0  # seconds between the first end and the last, after all have received a signal
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows ends a process by either
_CONSEQUENCES = (-signal.SIGABRT, 75)  # when a peer dies, JAX aborts a process or it exits (`multihost.LOST_PEER`)
_CHATTER = b"[Gloo] Rank "  # lines on stdout that report the number of connected peers


class Ending(NamedTuple):
    """Describes how a job ended.

    Attributes:
      status: the exit status of the job; 0 if that of every process is 0.
      process: the number of the process that failed and so ended the job; None if there is none.
      returncode: the return code of that process.
    """

    status: int
    process: int | None = None
    returncode: int = 0


class Child(NamedTuple):
    """Holds a process and the threads that pass its lines on."""

    process: subprocess.Popen
    readers: tuple[threading.Thread, ...]


def supervise(command: Sequence[str], environments: Sequence[Mapping[str, str]]) -> Ending:
    """Starts the command once in each environment and waits for all of them; when one fails, ends the others.

    Ctrl-C in the terminal does not reach the processes directly. Each line of process 0 gets the prefix `[0] `, and so
    on. SIGINT and SIGTERM are passed on to every process. A second signal ends all of them at once, and so does a first
    signal before all have been started.
    """
    children = []
    with _received() as received:
        try:
            for number, environment in enumerate(environments):
                children.append(start(command, environment, number))
            received += received  # counts a signal received so far twice, since there is nothing to save yet
            failed = _watch(children, received)
        finally:
            _kill(children)
    for child in children:
        child.process.wait()
        for reader in child.readers:
            reader.join()
    return _ending(failed, received)


def start(command: Sequence[str], environment: Mapping[str, str], number: int) -> Child:
    """Starts one process of the job, and the threads that pass its lines on."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)
    pairs = (process.stdout, sys.stdout), (process.stderr, sys.stderr)
    readers = [threading.Thread(target=_pass_on, args=[*pair, f"[{number}] "], daemon=True) for pair in pairs]
    for reader in readers:
        reader.start()
    return Child(process, tuple(readers))


def describe_end(returncode: int) -> str:
    """Describes the end of a process in words.

    >>> describe_end(-9), describe_end(2)
    ('was ended by SIGKILL', 'ended with exit status 2, as it said')
    """
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit status {returncode}, as it said"


def _ending(failed: Mapping[int, int], received) -> Ending:
    if not failed:
        return Ending(0)
    process, returncode = min(failed.items(), key=lambda pair: (pair[1] in _CONSEQUENCES, pair[0]))
    status = 128 - returncode if returncode < 0 else returncode
    asked = received and (len(received) > 1 or status == 128 + received[0])
    return Ending(128 + received[0]) if asked else Ending(status, process, returncode)


def _failed(children) -> dict[int, int]:
    """Returns process -> return code for the processes that have failed."""
    codes = {number: child.process.poll() for number, child in enumerate(children)}
    return {number: code for number, code in codes.items() if code}


def _watch(children, received) -> dict[int, int]:
    """Passes signals on until all processes have ended, or until the time after the first failure is over."""
    passed, end = 0, math.inf
    while time.monotonic() < end and any(child.process.poll() is None for child in children):
        for number in received[passed:]:
            _send(children, _KILL if passed else number)
            passed += 1
        if end == math.inf and _failed(children):
            end = time.monotonic() + (PATIENCE if received else WITNESSES)
        time.sleep(0.02)
    return _failed(children)


def _kill(children):
    _send(children, _KILL)  # a process in a collective operation reacts to no other signal


def _send(children, number):
    for child in children:
        child.process.send_signal(number)


@contextlib.contextmanager
def _received() -> Iterator[Received]:
    """Yields the list of the signals received in the block; they are only recorded, so none can interrupt the code."""
    received = Received()
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield received
        return
    previous = {number: signal.signal(number, received) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _pass_on(source, target, prefix):
    with source:
        for line in source:
            if line.startswith(_CHATTER):
                continue
            print(prefix + line.decode(errors="replace"), end="", file=target, flush=True)
