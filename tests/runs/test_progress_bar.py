"""The bar: compilation as a phase of its own, speed, loss and time left; plain lines where there is no terminal."""

import io

from jaxnn.runs import ProgressBar
from jaxnn.training import Compiled, Evaluated, Progress, Started, Stopped

EVENTS = [
    Started(step=0, steps=20, steps_per_epoch=10, batch_size=64),
    Compiled(seconds=1.25, fused=True),
    Progress(step=10, epoch=0, metrics={"loss": 0.5}, examples=640, seconds=0.01),
    Evaluated(
        step=10,
        epoch=1,
        metrics={"train/loss": 0.5, "validation/accuracy": 0.9, "validation/count": 10_000},
        state=None,
    ),
    Progress(step=20, epoch=1, metrics={"loss": 0.25}, examples=640, seconds=0.01),
    Evaluated(
        step=20,
        epoch=2,
        metrics={"train/loss": 0.25, "validation/accuracy": 0.99, "validation/count": 10_000},
        state=None,
    ),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream, events):
    bar = ProgressBar(stream)
    for event in events:
        assert not bar(event), "a bar never asks to stop"
    bar.close()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    lines = show(io.StringIO(), EVENTS).splitlines()
    assert lines[0].startswith("compiling")
    assert lines[1].startswith("compiled in 1.2 s")
    assert lines[2:] == [
        "epoch 1  train loss 0.5000  validation accuracy 90.00 % of 10 000",
        "epoch 2  train loss 0.2500  validation accuracy 99.00 % of 10 000",
    ]


def test_a_bar_in_a_terminal():
    shown = show(Terminal(), EVENTS)
    assert "20/20" in shown
    assert "20/20, 64 000 examples/s, loss 0.2500" in shown
    assert "left]" in shown
    assert "epoch 2  train loss" in shown


def test_a_resumed_run_starts_where_it_was():
    events = [EVENTS[0]._replace(step=10), *EVENTS[1:2], *EVENTS[4:]]
    assert "10/20" in show(Terminal(), events)


def test_a_stopped_run_closes_the_bar():
    shown = show(Terminal(), [*EVENTS[:3], Stopped(step=10, epoch=0, state=None, totals={})])
    assert shown.endswith("\n")
