"""SIGINT and SIGTERM while the program `jaxnn` runs, from its first line on: it ends at once, with status 130 or 143.

No KeyboardInterrupt is raised: an import, a callback from C or a thread that is waited for could swallow it, or make
another error of it. Who has something to finish takes the signals over for that while: a training
(`jaxnn.runs.graceful_stop`), a launcher (`supervision`), a search (`raised`). A run folder is whole at any moment.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_SAID = {signal.SIGINT: b"jaxnn: interrupted\n", signal.SIGTERM: b"jaxnn: terminated\n"}
_LAST = threading.RLock()  # held by the thread that ends the program, so that it is said once
_PATIENCE = 1.0  # seconds that the main thread has to end the program by itself


class Received(list[int]):
    """A handler that writes down every signal; the program is not ended by the second one while it stands."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.append(number)


def answer_signals() -> None:
    """Ends the program by the first signal, or, where someone has taken that one over, by the second.

    It also does so while the main thread is inside compiled code, where Python calls no handler; a thread watches for
    that. Nothing happens in threads other than the main one, for they cannot have handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SAID:
        signal.signal(number, _end)
    threading.Thread(target=_watch, args=[reading], name="jaxnn-signals", daemon=True).start()


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside, the first SIGINT raises KeyboardInterrupt, as in any Python program; the second ends the program."""
    if signal.getsignal(signal.SIGINT) is not _end:  # jaxnn is not the program here
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or being written to where the signal came
            stream.flush()
    _leave(number)


def _watch(pipe: int) -> None:
    """The pipe has a byte for every signal, even for those that no handler has been called for yet."""
    first = _next(pipe)
    if signal.getsignal(first) is _end:
        select.select([pipe], [], [], _PATIENCE)
    else:  # taken over; perhaps that handler has not even been called when the second one comes
        while isinstance(signal.getsignal(_next(pipe)), Received):
            pass
    _leave(first)


def _next(pipe: int) -> int:
    while (number := os.read(pipe, 1)[0]) not in _SAID:
        pass
    return number


def _leave(number: int) -> None:
    with _LAST:
        with contextlib.suppress(OSError):
            os.write(2, _SAID[number])
        os._exit(128 + number)
