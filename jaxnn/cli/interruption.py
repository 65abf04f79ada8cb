"""`answer_signals` ends the program `jaxnn` at once after SIGINT or SIGTERM, with exit status 130 or 143.

It acts from the first line of the program on. No KeyboardInterrupt is raised, because an import, a callback from C or a
thread that is waited for could suppress it or replace it by another error. Code that must finish some work first
handles the signals itself during that time: a training (`jaxnn.runs.graceful_stop`), a launcher (`process_supervision`)
and a search (`raised`). The files of a run folder are complete at any moment.
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
_LAST = threading.RLock()  # held by the thread that ends the program, so that the message is printed once
_PATIENCE = 1.0  # seconds in which the main thread can end the program by itself


class Received(list[int]):
    """Records every signal, as a handler; while it is installed, a second signal does not end the program."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.append(number)


def answer_signals() -> None:
    """Makes the first signal end the program, or the second one if other code handles the first.

    This also works while the main thread is inside compiled code, where Python calls no handler: a thread watches for
    signals. If it is not called in the main thread, the function does nothing, because only the main thread can have
    handlers. On Windows, where no thread can wait for a pipe, Ctrl-C raises KeyboardInterrupt as usual.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGKILL"):
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SAID:
        signal.signal(number, _end)
    threading.Thread(target=_watch, args=[reading], name="jaxnn-signals", daemon=True).start()


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Lets the first SIGINT in the block raise KeyboardInterrupt, as usual in Python; the second ends the program."""
    if signal.getsignal(signal.SIGINT) is not _end:  # here jaxnn is a library in another program
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the stream is closed, or the signal interrupted a write to it
            stream.flush()
    _leave(number)


def _watch(pipe: int) -> None:
    """Reads the pipe, which has a byte for every signal, even if its handler has not been called yet."""
    first = _next(pipe)
    if signal.getsignal(first) is _end:
        select.select([pipe], [], [], _PATIENCE)
    else:  # other code handles it; its handler may not have run yet when the second signal arrives
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
