"""Ctrl-C and `kill` as a request: finish the step, write the checkpoint, leave with the right exit status.

with graceful_stop() as stop:
    for chunk in epochs:
        state, metrics = run(state, chunk)
        if stop.requested:
            break
sys.exit(stop.exit_status)
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Stop:
    """What the signals said so far.

    Attributes:
        requested: the number of the first signal received, or None.
    """

    def __init__(self) -> None:
        self.requested: int | None = None

    @property
    def exit_status(self) -> int:
        """The shell's convention: 128 + signal number (SIGINT 130, SIGTERM 143); 0 when nothing was received."""
        return 0 if self.requested is None else 128 + self.requested


@contextlib.contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into `stop.requested`, and lets the second one act as usual.

    The first signal also gives both signals back to Python's defaults, so the second one aborts: SIGINT raises
    KeyboardInterrupt, SIGTERM ends the process at once, even inside a long compiled call. In the program `jaxnn` the
    second SIGINT does that, too, with exit status 130; the last checkpoint is whole. The handlers found on entry are
    back on exit. Python delivers signals to the main thread only: in any other thread this catches nothing.

    Returns:
        A context manager that yields a `Stop`.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(signum: int, frame: FrameType | None) -> None:
        stop.requested = signum
        for number, default in _DEFAULTS.items():
            signal.signal(number, default)
        _announce(f"{signal.Signals(signum).name}: stopping after this step; again to abort")

    previous = {number: signal.signal(number, request) for number in _DEFAULTS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            # None: a handler that C code installed, which Python can neither name nor put back.
            signal.signal(number, _DEFAULTS[number] if handler is None else handler)


def _announce(line: str) -> None:
    """Prints to stderr; a handler that interrupted a write to that very stream must go around its buffer."""
    try:
        print(line, file=sys.stderr, flush=True)
    except RuntimeError:
        os.write(2, f"{line}\n".encode())
