"""Processes of one job: started together, their lines told apart, and none left behind when one of them dies."""

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

WITNESSES = 0.5  # seconds to wait for those who die of the same cause, and to see who was first
PATIENCE = 5.0  # seconds between the first end and the last, after a signal that all have had
_CONSEQUENCES = (-signal.SIGABRT, 75)  # of a peer's death: JAX aborts a process, or it leaves (`multihost.LOST_PEER`)
_CHATTER = b"[Gloo] Rank "  # how many peers it is connected to, on the standard output


class Ending(NamedTuple):
    """How a job ended: `status` is 0 if every process's was; `process`, the one that ended it and was not asked to."""

    status: int
    process: int | None = None
    returncode: int = 0


class Child(NamedTuple):
    """A process with the threads that pass its lines on."""

    process: subprocess.Popen
    readers: tuple[threading.Thread, ...]


def supervise(command: Sequence[str], environments: Sequence[Mapping[str, str]]) -> Ending:
    """Starts the command once in each environment and waits for the end of all; when one fails, ends the others.

    The processes are out of reach of the terminal's Ctrl-C; their lines get `[0] ` in front. SIGINT and SIGTERM are
    passed on to each; the second one ends all at once, and so does a first one before all have been started.
    """
    children = []
    with _received() as received:
        try:
            for number, environment in enumerate(environments):
                children.append(start(command, environment, number))
            received += received  # nothing is worth a checkpoint yet
            failed = _watch(children, received)
        finally:
            _kill(children)
    for child in children:
        child.process.wait()
        for reader in child.readers:
            reader.join()
    return _ending(failed, received)


def start(command: Sequence[str], environment: Mapping[str, str], number: int) -> Child:
    """One process of the job, and the threads that pass its lines on."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)
    pairs = (process.stdout, sys.stdout), (process.stderr, sys.stderr)
    readers = [threading.Thread(target=_pass_on, args=[*pair, f"[{number}] "], daemon=True) for pair in pairs]
    for reader in readers:
        reader.start()
    return Child(process, tuple(readers))


def describe_end(returncode: int) -> str:
    """In words.

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
    """Process -> return code, of those that ended badly by themselves."""
    codes = {number: child.process.poll() for number, child in enumerate(children)}
    return {number: code for number, code in codes.items() if code}


def _watch(children, received) -> dict[int, int]:
    """Passes on what is received until all have ended, or the others had their time after the first to fail."""
    passed, end = 0, math.inf
    while time.monotonic() < end and any(child.process.poll() is None for child in children):
        for number in received[passed:]:
            _send(children, signal.SIGKILL if passed else number)
            passed += 1
        if end == math.inf and _failed(children):
            end = time.monotonic() + (PATIENCE if received else WITNESSES)
        time.sleep(0.02)
    return _failed(children)


def _kill(children):
    _send(children, signal.SIGKILL)  # hard: a collective hears no other signal


def _send(children, number):
    for child in children:
        child.process.send_signal(number)


@contextlib.contextmanager
def _received() -> Iterator[Received]:
    """The list of the signals received inside; nothing is done about them here, so that none can come at a bad time."""
    received = Received()
    if threading.current_thread() is not threading.main_thread():  # it has no signals
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
