"""Ctrl-C in a notebook or a script asks a run to end after the running call; a second Ctrl-C ends it at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interruption:
    """Holds `requested`, which is True after Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def interruption() -> Iterator[Interruption]:
    """Makes a context in which the first SIGINT is a request, and the second raises KeyboardInterrupt as usual.

    A program that handles SIGINT by itself keeps its handler. Outside the main thread nothing is caught.
    """
    asked = Interruption()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked
        return

    def request(signum, frame):
        asked.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, request)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
