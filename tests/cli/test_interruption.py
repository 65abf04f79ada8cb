"""Signals are sent for real, to children that import no JAX: in Python, in an import, in C, which calls no handler."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from process_groups import running

from jaxnn.cli import interruption
from jaxnn.cli.main import main

BOTH = [signal.SIGINT, signal.SIGTERM]
BEGIN = """
import hashlib, os, signal, sys, threading, time
from jaxnn.cli import interruption
interruption.answer_signals()
def send(*moments):
    for number in moments:
        time.sleep(0.1)
        os.kill(os.getpid(), number)
def compute():
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes without a single Python instruction
"""


def ending(code) -> tuple[int, str]:
    """Status and stderr of the program."""
    with running("-c", BEGIN + code) as process:
        said = process.communicate(timeout=60)[1]
        return process.returncode, said


@pytest.mark.parametrize(("number", "word"), [(2, "interrupted"), (15, "terminated")])
def test_a_signal_ends_the_program_with_its_status(number, word):
    assert ending(f"send({number}); time.sleep(60)") == (128 + number, f"jaxnn: {word}\n")


def test_what_was_printed_is_not_lost():
    with running("-c", f"{BEGIN}print('half a table'); send(2); time.sleep(60)") as process:
        assert process.communicate(timeout=60) == ("half a table\n", "jaxnn: interrupted\n")


@pytest.mark.parametrize(
    "swallower",
    [
        "try: send(2)\nexcept BaseException: pass",
        "class Noisy:\n    def __del__(self): send(2)\nNoisy()",
        "import weakref\nclass Seen: pass\nseen = Seen(); kept = weakref.ref(seen, lambda _: send(2)); del seen",
        "sys.meta_path.insert(0, type('Finder', (), {'find_spec': lambda *_: send(2)}))\ntry: import nowhere\n"
        "except ImportError: pass",
        "import atexit; atexit.register(send, 2)",
    ],
    ids=["except", "finalizer", "callback", "import", "exit"],
)
def test_nothing_swallows_an_interrupt(swallower):
    assert ending(swallower) == (130, "jaxnn: interrupted\n")


@pytest.mark.parametrize("number", BOTH)
def test_compiled_code_that_calls_no_handler_is_ended_too(number):
    assert ending(f"threading.Thread(target=send, args=[{number}]).start(); compute()")[0] == 128 + number


@pytest.mark.parametrize(("first", "second"), [(2, 2), (15, 15), (15, 2), (2, 15)])
def test_the_second_ends_a_training_at_once_with_the_status_of_the_first(first, second):
    """As `graceful_stop` takes the first one over: a request, after which Python's own handlers are back."""
    training = f"""
defaults = {{2: signal.default_int_handler, 15: interruption._end}}
request = lambda number, frame: [print(number), [signal.signal(n, defaults[n]) for n in defaults]]
[signal.signal(n, request) for n in defaults]
send({first})
threading.Thread(target=send, args=[{second}]).start(); compute()
"""
    assert ending(training)[0] == 128 + first


def test_who_answers_every_signal_is_left_in_peace():
    """As `supervision` does, whose second signal is for its children."""
    code = "mine = interruption.Received(); signal.signal(2, mine); send(2, 2, 2); time.sleep(0.2); print(mine)"
    with running("-c", BEGIN + code) as process:
        assert process.communicate(timeout=60) == ("[2, 2, 2]\n", "")


def test_the_second_ends_compiled_code_in_which_the_first_was_not_heard():
    assert ending("signal.signal(2, print); threading.Thread(target=send, args=[2, 2]).start(); compute()")[0] == 130


def test_a_search_is_interrupted_by_an_exception_once():
    code = """
try:
    with interruption.raised():
        send(2)
except KeyboardInterrupt:
    print("measured until now", flush=True)
    send(2)
"""
    with running("-c", BEGIN + code) as process:
        assert process.communicate(timeout=60) == ("measured until now\n", "jaxnn: interrupted\n")
        assert process.returncode == 130


def test_a_command_within_another_program_leaves_its_signals_alone():
    """Such a program may run it in any thread, and its own handlers raise inside the command."""
    before, statuses = [signal.getsignal(number) for number in BOTH], []
    with interruption.raised():
        statuses.append(main(["--help"]))
    thread = threading.Thread(target=lambda: [interruption.answer_signals(), statuses.append(main(["--version"]))])
    thread.start()
    thread.join()
    assert statuses == [0, 0]
    assert [signal.getsignal(number) for number in BOTH] == before


@pytest.mark.parametrize("module", ["jaxnn", "jaxnn.cli.main"])
def test_the_program_answers_before_it_imports_anything_heavy(module):
    """A module that takes long stands for all those that `main` imports; `jaxnn --version` needs none."""
    code = f"""
import os, runpy, sys
heavy = {{"dataclasses", "tyro", "numpy", "jax", "inspect", "difflib", "concurrent.futures"}}
def watch(event, arguments):
    if event == "import" and arguments[0] in heavy:
        os.kill(os.getpid(), 2)
sys.addaudithook(watch)
sys.argv = ["jaxnn", "list"]
runpy.run_module({module!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stderr) == (130, "jaxnn: interrupted\n")
