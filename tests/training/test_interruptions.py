"""What is left of a run that ends early, and what it leaves to its caller: states, handlers, means, memory."""

import gc
import resource
import signal
import weakref
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of

from jaxnn import training
from jaxnn.cli.main import main
from jaxnn.losses import squared_error
from jaxnn.metrics import Mean
from jaxnn.optimizers import adam
from jaxnn.training import (
    Compiled,
    Evaluated,
    Progress,
    Stopped,
    Stream,
    copy_state,
    fit,
    fitting,
    host_loop,
    init_state,
)
from jaxnn.training.placement_contract import OneDevice

MODEL = (lambda key, x: jnp.zeros((3, 1)), lambda params, x: x @ params)
X = np.random.default_rng(0).normal(size=(43, 3)).astype(np.float32)
DATA = {"image": X, "label": X.sum(axis=1, keepdims=True)}
SETTINGS = {"optimizer": adam(0.05), "loss": squared_error, "metrics": (), "batch_size": 4, "epochs": 3}
STEPS = 11  # of an epoch


@pytest.fixture
def short_calls(monkeypatch):
    """One step a call."""
    monkeypatch.setattr(host_loop, "FIRST_CALL", 1)
    monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", 0.0)


@pytest.fixture
def python_handler():
    """Ctrl-C as in a script or a notebook, whatever pytest has made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    left = signal.signal(signal.SIGINT, before)
    assert left is signal.default_int_handler


def run(data=DATA, model=MODEL, **how):
    return fit(model, data, **SETTINGS | how)


def pressing(*steps, kind=Progress):
    """A hook that presses Ctrl-C when it hears of such a step."""

    def hook(event):
        if isinstance(event, kind) and event.step in steps:
            signal.raise_signal(signal.SIGINT)

    return hook


def same(ours, theirs):
    is_key = lambda leaf: jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    leaves = ([leaf for leaf in jax.tree.leaves(tree) if not is_key(leaf)] for tree in (ours, theirs))
    return all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*leaves, strict=True))


# ---------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.usefixtures("short_calls", "python_handler")
@first_of(("kind", "step", "reached"), [(Progress, 5, 6), (Progress, 11, 11), (Evaluated, 11, 11)])
def test_an_interrupt_ends_after_the_running_call_and_what_was_reached_goes_on(kind, step, reached):
    heard = []
    fitted = run(hooks=[pressing(step, kind=kind), heard.append])
    assert fitted.stopped
    assert int(fitted.state.step) == reached
    assert len(fitted.history) == reached // STEPS
    assert isinstance(heard[-1], Stopped if reached % STEPS else Evaluated)
    again, whole = run(state=fitted.state, totals=fitted.totals, history=fitted.history), run()
    assert same(again.state, whole.state)
    assert [*fitted.history, *again.history] == whole.history


@pytest.mark.usefixtures("short_calls", "python_handler")
def test_an_interrupt_ends_a_stream_and_any_step_alike():
    stream = Stream(lambda epoch, first: [{k: v[:4] for k, v in DATA.items()}] * (STEPS - first), STEPS, 4)
    trial = training.supervised_trial(MODEL, squared_error, adam(0.05))
    fitted = training.train(trial.step, trial.init(0, DATA), stream, epochs=3, hooks=[pressing(5)])
    assert fitted.stopped
    assert int(fitted.state.step) == 6


@dataclass(frozen=True)
class Told(OneDevice):
    """Of several processes, of which this one tells the others."""

    told: list

    def max_over_processes(self, *numbers):
        self.told.append(numbers[0])
        return numbers


@pytest.mark.usefixtures("short_calls", "python_handler")
@first_of("kind", [Evaluated, Progress])
def test_an_interrupt_of_one_process_is_told_to_all(kind):
    told = []
    assert run(hooks=[pressing(11, kind=kind)], placement=Told(told)).stopped
    assert told == [0.0] * (11 if kind is Evaluated else 10) + [1.0] * (1 if kind is Evaluated else 2)


@pytest.mark.usefixtures("short_calls", "python_handler")
def test_a_second_interrupt_ends_at_once():
    with pytest.raises(KeyboardInterrupt):
        run(hooks=[pressing(5, 6)])


@pytest.mark.usefixtures("python_handler")
def test_an_interrupt_before_the_first_step_and_errors_leave_the_handler():
    with pytest.raises(KeyboardInterrupt):
        run(hooks=[lambda event: isinstance(event, Compiled) and signal.raise_signal(signal.SIGINT)])
    with pytest.raises(ZeroDivisionError):
        run(hooks=[lambda event: isinstance(event, Progress) and 1 / 0])


@pytest.mark.usefixtures("python_handler")
def test_a_program_that_answers_the_signal_itself_keeps_its_handler():
    heard = []
    own = lambda *_: heard.append(1)
    signal.signal(signal.SIGINT, own)
    assert not run(hooks=[pressing(11, kind=Evaluated)]).stopped
    assert signal.getsignal(signal.SIGINT) is own
    assert heard == [1]
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ---------------------------------------------------------------------------------------------------- states


def test_a_hook_may_keep_a_copy_and_one_that_was_given_away_is_named():
    kept, lost = [], []
    keep = lambda event: kept.append(copy_state(event.state)) if isinstance(event, Evaluated) else None
    lose = lambda event: lost.append(event.state) if isinstance(event, Evaluated) else None
    whole = run(hooks=[keep, lose])
    assert same(run(state=kept[0]).state, whole.state)
    assert [int(state.step) for state in kept] == [11, 22, 33]
    gone = lost[0]
    uses = {
        "state": [
            lambda: run(state=gone),
            lambda: training.evaluate(MODEL, gone, DATA, metrics={"loss": squared_error}),
            lambda: training.predict(MODEL, gone, X),
        ],
        "constants": [
            lambda: training.evaluate_objective(len, kept[0], {"x": X}, constants={"teacher": gone.params}),
        ],
        "data": [lambda: training.evaluate_objective(len, kept[0], {"x": gone.params})],
        "train": [lambda: run({"image": gone.params, "label": gone.params})],
    }
    for name, calls in uses.items():
        for call in calls:
            with pytest.raises(
                ValueError, match=rf"`{name}.*` was given away: a later step has its memory. Keep `copy"
            ):
                call()


@pytest.mark.parametrize("form", [fit, training.train])
def test_the_state_given_stays_usable(form):
    state = init_state(MODEL, adam(0.05), X[:1], key=0)
    step = training.supervised_trial(MODEL, squared_error, adam(0.05)).step
    ends = [
        run(state=state) if form is fit else training.train(step, state, DATA, epochs=3, batch_size=4) for _ in range(2)
    ]
    assert same(ends[0].state, ends[1].state)
    assert int(state.step) == 0


# ----------------------------------------------------------------------------------------------------- means


def test_means_do_not_depend_on_how_steps_are_put_into_calls(monkeypatch):
    whole = run().history
    for first, seconds in ((1, 0.0), (3, 0.0), (2, 1e6), (100, 1e6)):
        monkeypatch.setattr(host_loop, "FIRST_CALL", first)
        monkeypatch.setattr(host_loop, "SECONDS_PER_CALL", seconds)
        assert run().history == whole


def test_sums_do_not_depend_on_where_they_are_cut():
    """Of numbers so far apart that every order of adding them rounds otherwise."""
    values = (10 ** np.random.default_rng(0).uniform(-20, 20, (2, 60))).astype(np.float32)
    whole = host_loop.Totals()
    whole.add({"loss": Mean(*values)})
    for cuts in ([1, 2, 3], [30], range(1, 60), []):
        parts = host_loop.Totals()
        for part in np.split(values, cuts, axis=1):
            parts = host_loop.Totals(parts.pairs)
            parts.add({"loss": Mean(*part)})
        assert parts.pairs == whole.pairs


@pytest.mark.usefixtures("short_calls")
def test_means_do_not_depend_on_stops_within_an_epoch():
    """Three stops in one epoch, in each of which the sums so far are handed on."""
    whole, part, history = run(), run(hooks=[lambda event: isinstance(event, Progress)]), []
    for _ in range(2):
        assert all(isinstance(number, float) for pair in part.totals.values() for number in pair)
        history += part.history
        stop = {"hooks": [lambda event: isinstance(event, Progress)]}
        part = run(state=part.state, totals=part.totals, history=history, **stop)
    assert int(part.state.step) == 6
    last = run(state=part.state, totals=part.totals, history=history)
    assert [*history, *last.history] == whole.history
    assert last.totals == {}


# ---------------------------------------------------------------------------------------------------- memory


def train_on_new_arrays(width, value):
    """Trains once; True if all the arrays are gone, and none like them is on the device."""
    data = {"image": np.full((19, width), value, np.float32), "label": jnp.zeros((19, 1))}
    refs = [weakref.ref(array) for array in data.values()]
    run(data, (WIDE[width], MODEL[1]), epochs=1, validation=data)
    del data
    gc.collect()
    return [ref() for ref in refs] == [None, None] and (19, width) not in {x.shape for x in jax.live_arrays()}


WIDE = {width: (lambda key, x, width=width: jnp.zeros((width, 1))) for width in (31, 100_000)}


@pytest.mark.full
def test_many_runs_in_one_process_keep_nothing_of_their_data():
    assert all(train_on_new_arrays(31, value) for value in range(3))


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's account of the process")
def test_many_runs_in_one_process_take_no_more_memory_than_a_few():
    """8 MB each, and as many on the device: all of them would be 640 MB, while an allocator keeps some tens."""
    resident = []
    for value in range(45):
        assert train_on_new_arrays(100_000, value)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
    assert resident[-1] - resident[4] < 200e6


@pytest.mark.full
def test_commands_in_one_process_keep_nothing_of_their_data(tmp_path, monkeypatch):
    """Neither the pictures that are trained on, nor the file's whole array, of which they are a view, nor a copy."""
    small = ["--train-examples", "237", "--test-examples", "50", "--epochs", "1", "--no-pictures", "--no-tensorboard"]
    seen, count_examples = [], fitting.count_examples

    def watched(data):
        seen.extend(weakref.ref(array) for part in data.values() for array in owners(part))
        return count_examples(data)

    monkeypatch.setattr(fitting, "count_examples", watched)
    for i in range(2):
        assert main(["train", "mlp", *small, "--out", str(tmp_path / str(i))]) == 0
        gc.collect()
        assert len(seen) >= 2 * (i + 1)
        assert [ref().shape for ref in seen if ref() is not None] == []
        assert [array.shape for array in jax.live_arrays() if array.shape[:1] == (237,)] == []


def owners(array):
    """The array, and those whose memory it shows."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base
