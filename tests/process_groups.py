"""Real processes for tests: every one with a hard end."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

from jaxnn.parallel.multihost import Seat, variables


@contextmanager
def running(*command, **environment):
    """A process in a session of its own, killed with all that is in it."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run_alone(*command, timeout=240):
    """(status, stdout, stderr) of a process."""
    with running(*command) as process:
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err


def run_group(code, processes, *args, timeout=240):
    """The same code in so many processes that are told of each other; each must end with 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    seats = [variables(Seat(coordinator, processes, process)) for process in range(processes)]
    _run_all([("-c", code, *args)] * processes, seats, timeout)


def _run_all(commands, environments, timeout):
    if not commands:
        return
    with running(*commands[0], **environments[0]) as process:
        _run_all(commands[1:], environments[1:], timeout)
        _, err = process.communicate(timeout=timeout)
        assert process.returncode == 0, err
