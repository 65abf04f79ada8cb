"""A lenient stream writes what it can, so that nothing that happens on the way to the screen costs a result.

Output has many ends: a terminal, a pipe whose reader went away (`| head`), a file on a full disk, a closed descriptor
(`2>&-`), nothing at all. Its encoding may lack a character (LANG=C). A training of an hour must survive all of them.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class LenientStream:
    """Wraps a text stream; a character that its encoding lacks is escaped, and a failed write is only noted.

    Args:
        stream: the text stream, or None, which swallows everything. Python has None for a closed descriptor.

    Attributes:
        failure: the first error of a write, or None.

    >>> import io
    >>> ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> _ = LenientStream(ascii).write("mean ± sd")
    >>> ascii.seek(0), ascii.read()
    (0, 'mean \\\\xb1 sd')
    """

    def __init__(self, stream: Any) -> None:
        self.stream, self.failure = stream, None

    def write(self, text: str) -> int:
        """Writes the text as well as the stream can, and returns its length."""
        self._attempt(lambda: self._write(text))
        return len(text)

    def flush(self) -> None:
        """Passes on what the stream holds back."""
        self._attempt(lambda: self.stream.flush())

    def isatty(self) -> bool:
        """Returns whether the stream is a terminal; a closed one is none."""
        return bool(self._attempt(lambda: self.stream.isatty()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _write(self, text):
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def _attempt(self, act):
        try:
            return None if self.stream is None else act()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self.failure = self.failure or error


@contextlib.contextmanager
def lenient_output(*, abandons: bool = False) -> Iterator[LenientStream]:
    """Makes `sys.stdout` and `sys.stderr` lenient in the block, and yields the former, which knows of its failure.

    Args:
        abandons: whether the descriptor of a stream that failed is led to nowhere at the end. Then what the stream
            still holds does not fail at the exit of Python. This is for a program that owns its streams.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams = LenientStream(before[0]), LenientStream(before[1])
    try:
        yield streams[0]
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.flush()
            if abandons and stream.failure is not None:
                _abandon(stream)


def open_descriptors() -> None:
    """Leads each of the descriptors 0, 1 and 2 that is closed to nowhere.

    Otherwise the next file that is opened gets the number of the closed one, and what a library in C writes to stderr
    gets into that file, which may be a checkpoint.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the smallest number that is free


def _abandon(stream):
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
