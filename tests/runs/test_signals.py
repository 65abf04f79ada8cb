"""Signals are sent for real: to this process, and to a child where the answer is to die."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from jaxnn.runs.signals import graceful_stop

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _handlers_come_back():
    def mine(signum, frame):
        raise AssertionError("the caller's handler must not run inside")

    before = [signal.signal(number, mine) for number in BOTH]
    yield
    after = [signal.signal(number, handler) for number, handler in zip(BOTH, before, strict=True)]
    assert after == [mine, mine]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_is_a_request(number, status, capsys):
    with graceful_stop() as stop:
        assert stop.requested is None
        assert stop.exit_status == 0
        os.kill(os.getpid(), number)
        assert stop.requested == number
    assert stop.exit_status == status
    assert capsys.readouterr().err == f"{number.name}: stopping after this step; again to abort\n"


def test_handlers_come_back_without_a_signal():
    with graceful_stop():
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM)
        inside = signal.getsignal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is not inside


def interrupted_after(first):
    """Sends `first`, then SIGINT, which must abort."""
    with graceful_stop() as stop:
        os.kill(os.getpid(), first)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    return stop


def test_second_interrupt_aborts():
    assert interrupted_after(signal.SIGINT).exit_status == 130


def test_interrupt_after_terminate_aborts_but_the_first_signal_counts():
    assert interrupted_after(signal.SIGTERM).exit_status == 143


def test_second_terminate_ends_the_process():
    child = (
        "import os, signal; from jaxnn.runs.signals import graceful_stop\n"
        "with graceful_stop():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('never', flush=True)"
    )
    result = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=60)
    assert result.returncode == -signal.SIGTERM
    assert result.stdout == "still here\n"


def test_handlers_come_back_after_an_exception_and_a_signal():
    def work():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), graceful_stop():
        work()  # the fixture compares the handlers


def test_other_threads_get_a_stop_that_never_comes():
    seen = []

    def work():
        with graceful_stop() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def test_announcement_survives_a_stream_that_is_being_written(monkeypatch, capfd):
    class Busy:
        def write(self, text):
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

        flush = write

    with graceful_stop() as stop:
        monkeypatch.setattr(sys, "stderr", Busy())
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.undo()
    assert stop.requested == signal.SIGINT
    assert "stopping after this step" in capfd.readouterr().err
