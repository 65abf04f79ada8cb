"""Streams that fail: a character the encoding lacks, a reader that went away, a full disk, a closed descriptor."""

import io
import os
import subprocess
import sys

import pytest

from jaxnn.lenient_streams import LenientStream, lenient_output


class Failing(io.StringIO):
    """A stream on a full disk."""

    encoding = "ascii"

    def write(self, text):
        raise OSError(28, "No space left on device")

    flush = isatty = lambda self: self.write("")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_character_that_the_encoding_lacks_is_escaped_and_the_rest_is_shown(encoding):
    raw = io.BytesIO()
    stream = LenientStream(io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    print("97 ± 1 % ≤ 3", file=stream, flush=True)
    shown = {"ascii": "97 \\xb1 1 % \\u2264 3", "cp1252": "97 ± 1 % \\u2264 3", "utf-8": "97 ± 1 % ≤ 3"}[encoding]
    assert raw.getvalue().decode(encoding) == f"{shown}\n"
    assert stream.failure is None


def test_a_failure_is_noted_and_raises_nothing():
    stream = LenientStream(Failing())
    print("a result", file=stream, flush=True)
    assert stream.failure.errno == 28
    assert not stream.isatty()
    assert stream.encoding == "ascii"


def test_no_stream_and_a_closed_one_swallow_everything():
    closed = io.StringIO()
    closed.close()
    for stream in (LenientStream(None), LenientStream(closed)):
        print("a result", file=stream, flush=True)
        assert not stream.isatty()


def test_what_is_no_failure_of_the_stream_is_raised():
    def interrupted(text):
        raise KeyboardInterrupt

    stream = io.StringIO()
    stream.write = interrupted
    with pytest.raises(KeyboardInterrupt):
        LenientStream(stream).write("a result")


def test_the_streams_are_lenient_in_the_block_alone(monkeypatch):
    failing = Failing()
    monkeypatch.setattr(sys, "stdout", failing)
    monkeypatch.setattr(sys, "stderr", None)
    with lenient_output() as output:
        print("a result")
        print("a message", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == (failing, None)
    assert output.failure.errno == 28


OPENED = """
import os, sys
from jaxnn.lenient_streams import open_descriptors
open_descriptors()
file = open(sys.argv[1], "w")
os.write(2, b"a library in C says this")
assert file.fileno() > 2
"""


def test_no_file_gets_the_number_of_a_closed_descriptor(tmp_path):
    """Otherwise messages on stderr would be written into it."""
    env = {**os.environ, "TARGET": str(tmp_path / "checkpoint"), "CODE": OPENED, "PYTHON": sys.executable}
    done = subprocess.run(["bash", "-c", '"$PYTHON" -c "$CODE" "$TARGET" 0<&- 1>&- 2>&-'], env=env)
    assert done.returncode == 0
    assert (tmp_path / "checkpoint").read_text() == ""
