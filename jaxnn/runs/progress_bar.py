"""`ProgressBar` is a hook that shows the progress of a run: a bar in a terminal or notebook, plain lines elsewhere."""

import sys

from jaxnn.lenient_streams import LenientStream
from jaxnn.training.fit_events import Compiled, Evaluated, Event, Progress, Started, Stopped


class ProgressBar:
    """Shows the compilation first, then a bar with examples/s, loss and time left, and a line for every evaluation.

    Args:
      stream: the stream to write to, by default stderr. If it is not a terminal, and this is not a notebook, only the
        lines are written.
    """

    def __init__(self, stream=None):
        self.stream = LenientStream(sys.stderr if stream is None else stream)
        self.bar, self.started = None, None

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
                self._say(f"compiling the step for batches of {event.batch_size} ...")
            case Compiled():
                how = "many steps a call" if event.fused else "one step a call"
                self._say(f"compiled in {event.seconds:.1f} s ({how})")
                self._open()
            case Progress():
                self._move(event)
            case Evaluated() | Stopped():
                if isinstance(event, Evaluated):
                    self._write(describe_evaluation(event))
                if isinstance(event, Stopped) or event.step >= self.started.steps:
                    self.close()

    def close(self) -> None:
        """Ends the bar and leaves it on the screen; call it also if the run ends with an exception."""
        if self.bar is not None:
            self.bar.close()

    def _open(self):
        from tqdm.auto import tqdm

        shows_bar = self.stream.isatty() or "ipykernel" in sys.modules
        self.bar = tqdm(
            total=self.started.steps,
            initial=self.started.step,
            unit="step",
            file=self.stream,
            disable=not shows_bar,
            dynamic_ncols=True,
            bar_format="{desc}{percentage:3.0f} % |{bar}| step {n_fmt}/{total_fmt}{postfix} [{remaining} left]",
        )

    def _move(self, event):
        rate = f"{event.examples / event.seconds:,.0f}".replace(",", " ")
        name = next((name for name in event.metrics if name.endswith("loss")), next(iter(event.metrics)))
        told = f"{name} {event.metrics[name]:.4f}"
        self.bar.set_description(f"epoch {event.epoch + 1}", refresh=False)
        self.bar.set_postfix_str(f"{rate} examples/s, {told}", refresh=False)
        self.bar.update(event.step - self.bar.n)

    def _write(self, line):
        if self.bar is not None and not self.bar.disable:
            self.bar.write(line, file=self.stream)
        else:
            self._say(line)

    def _say(self, line):
        print(line, file=self.stream, flush=True)


def describe_evaluation(event: Evaluated) -> str:
    """Describes an evaluation in one line.

    An example: `epoch 3  train loss 0.0154  validation loss 0.0312  validation accuracy 99.05 % of 3 000`.

    >>> metrics = {"train/loss": 0.5, "validation/accuracy": 0.9, "validation/count": 10}
    >>> describe_evaluation(Evaluated(4, 2, metrics, None))
    'epoch 2  train loss 0.5000  validation accuracy 90.00 % of 10'
    """
    parts = [f"epoch {event.epoch}"]
    for name in sorted(event.metrics, key=lambda name: (not name.startswith("train/"), not name.endswith("/loss"))):
        if not name.endswith("/count"):
            value = event.metrics[name]
            shown = f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4f}"
            parts.append(f"{name.replace('/', ' ')} {shown}")
    line = "  ".join(parts)
    count = event.metrics.get("validation/count")
    return f"{line} of {count:,}".replace(",", " ") if count else line
