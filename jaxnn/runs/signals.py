"""`graceful_stop` turns Ctrl-C and `kill` into a request to stop after the step, with a checkpoint and an exit status.

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

from jaxnn.lenient_streams import LenientStream

_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Stop:
    """Holds whether a signal has asked the run to stop.

    Attributes:
        requested: the number of the first signal received, or None.
    """

    def __init__(self) -> None:
        self.requested: int | None = None

    @property
    def exit_status(self) -> int:
        """Returns 128 + the signal number, as shells do (SIGINT 130, SIGTERM 143), or 0 if no signal was received."""
        return 0 if self.requested is None else 128 + self.requested


@contextlib.contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into `stop.requested`, and lets the second one act as usual.

    The first signal also restores the default handlers of Python for both signals, so a second signal aborts: SIGINT
    raises KeyboardInterrupt, and SIGTERM ends the process at once, even inside a long compiled call. In the program
    `jaxnn` the second SIGINT also ends the process at once, with exit status 130; the last checkpoint is intact. The
    handlers that were set on entry are restored on exit. Python delivers signals to the main thread only, so in any
    other thread `graceful_stop` catches nothing.

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
            # None is a handler that C code installed; Python can neither name nor restore it.
            signal.signal(number, _DEFAULTS[number] if handler is None else handler)


def _announce(line: str) -> None:
    """Prints to stderr; if the signal interrupted a write to stderr, the line bypasses the buffer of the stream."""
    try:
        print(line, file=LenientStream(sys.stderr), flush=True)
    except RuntimeError:
        with contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())
