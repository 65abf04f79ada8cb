"""What people pass in the habit of other toolkits: accepted where it has one meaning, else refused with the remedy.

Refusals come before anything is compiled, so that these tests cost next to nothing.
"""

import functools

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jaxnn import losses, metrics, optimizers, populations, training
from jaxnn.models import MLP
from jaxnn.optimizers import adam, sgd
from jaxnn.training import checked_arguments as checked
from jaxnn.training.key_streams import as_key

LINEAR = (
    lambda key, x: {"w": jax.random.normal(key, (x.shape[-1], 3)) / 10, "b": jnp.zeros(3)},
    lambda params, x: x @ params["w"] + params["b"][None],
)
ONE_LOGIT = (lambda key, x: {"w": jnp.ones((x.shape[-1], 1))}, lambda params, x: x @ params["w"])


def blobs(n=50, **changes):
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(n, 4)).astype(np.float32), "label": rng.integers(3, size=n)} | changes


def state_of(model=LINEAR, optimizer=None):
    return training.init_state(model, optimizer or sgd(0.1), jnp.ones((1, 4)), key=0)


class Compiled(Exception):  # noqa: N818
    """Nothing was refused."""


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch):
    """Without the checker of the tests, which would refuse first, and without compiling."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

    def refuse(*_, **__):
        raise Compiled

    for module in ("training.engine", "training.evaluation", "training.training_loop", "training.feeds"):
        monkeypatch.setattr(f"jaxnn.{module}.prepare", refuse, raising=False)
        monkeypatch.setattr(f"jaxnn.{module}.call", refuse, raising=False)
    monkeypatch.setattr("jaxnn.populations.population_training.PopulationRun", refuse)


def fit(model=LINEAR, train=None, **changes):
    arguments = {"optimizer": sgd(0.1), "epochs": 1, "batch_size": 16} | changes
    return training.fit(model, blobs() if train is None else train, **arguments)


def population(model=LINEAR, data=None, members=None, **changes):
    arguments = {"optimizer": sgd(0.1), "epochs": 1, "batch_size": 16} | changes
    members = populations.members_of() if members is None else members
    return populations.fit(model, blobs() if data is None else data, members, **arguments)


def evaluate(model=LINEAR, state=None, data=None, **changes):
    return training.evaluate(
        model, state_of() if state is None else state, blobs() if data is None else data, **changes
    )


def predict(inputs, model=LINEAR, state=None):
    return training.predict(model, state_of() if state is None else state, inputs)


def train(data, state=None, **changes):
    step = training.TrainStep(training.supervised(LINEAR, losses.cross_entropy), sgd(0.1).update)
    return training.train(
        step, state_of() if state is None else state, data, **({"epochs": 1, "batch_size": 16} | changes)
    )


def train_population(data, **changes):
    build = functools.partial(_trial, training.supervised_trial(LINEAR, losses.cross_entropy, sgd(0.1)))
    return populations.train(build, data, populations.members_of(), **({"epochs": 1, "batch_size": 16} | changes))


def _trial(trial, values):
    return trial


def labels(values):
    return blobs(label=np.asarray(values))


UNIT = np.arange(50) % 3

REFUSED = {
    # names that are taken
    "a metric named loss": (lambda: fit(metrics={"loss": metrics.accuracy}), "must not name 'loss'.* Rename it"),
    "a metric named count": (lambda: fit(metrics={"count": metrics.accuracy}), "must not name 'count'"),
    "count in evaluate": (lambda: evaluate(metrics={"count": metrics.accuracy}), "none of the name 'count'"),
    "nothing in evaluate": (lambda: evaluate(metrics=()), "`metrics` must be one at least"),
    "a field named mask": (
        lambda: fit(train=blobs(mask=UNIT), fields=("image", "mask")),
        "must not have a field 'mask'",
    ),
    # labels
    "labels from 1": (lambda: fit(train=labels(UNIT + 1)), r"`labels` must lie in \[0, 2\]; received 1 to 3"),
    "labels of -1": (lambda: fit(train=labels(UNIT - 1)), "received -1 to 1"),
    "labels of 255": (lambda: fit(train=labels(np.where(UNIT, 255, 0))), "received 0 to 255. There are 3 classes"),
    "labels of JAX": (lambda: fit(train=blobs(label=jnp.asarray(UNIT + 1))), "received 1 to 3"),
    "labels of validation": (lambda: fit(validation=labels(UNIT + 1)), "received 1 to 3"),
    "labels in evaluate": (lambda: evaluate(data=labels(UNIT + 1)), "received 1 to 3"),
    "labels for accuracy": (lambda: evaluate(data=labels(UNIT + 1), metrics=["accuracy"]), "received 1 to 3"),
    "labels in populations": (lambda: population(data=labels(UNIT + 1)), "received 1 to 3"),
    "labels in train": (lambda: train(labels(UNIT + 1)), "received 1 to 3"),
    "labels in populations.train": (lambda: train_population(labels(UNIT + 1)), "received 1 to 3"),
    "labels of 2^32 + class": (
        lambda: fit(train=labels(UNIT + 2**32)),
        r"label'\]` must fit into 32 bits, as int32; received numbers",
    ),
    "labels (n, 1)": (lambda: fit(train=labels(UNIT[:, None])), r"received \(50, 1\).* pass labels\[:, 0\]"),
    "labels as floats": (lambda: fit(train=labels(UNIT / 1.0)), "must be integers; received float64"),
    "regression with accuracy": (
        lambda: fit(ONE_LOGIT, blobs(label=np.full((50, 1), 2.5, np.float32)), loss=losses.squared_error),
        "Is it a regression.* pass metrics=\\(\\)",
    ),
    # pictures
    "pixels of int64": (
        lambda: fit(train=blobs(image=np.full((50, 4), 7))),
        "uint8, uint16 or bool.*jaxnn.preprocessing.identity",
    ),
    "pixels that wrap": (lambda: fit(train=blobs(image=np.full((50, 4), 2**32))), "must fit into 32 bits, as int32"),
    "doubles beyond floats": (
        lambda: fit(train=blobs(image=np.full((50, 4), 1e39))),
        "must fit into 32 bits, as float32",
    ),
    "a NaN of JAX": (lambda: fit(train=blobs(image=jnp.full((50, 4), jnp.nan))), "must be finite; example 0"),
    "a NaN to predict": (lambda: predict(np.full((2, 4), np.nan)), "`inputs` must be finite"),
    "a NaN to evaluate": (lambda: evaluate(data=blobs(image=np.full((50, 4), np.inf))), "must be finite"),
    "another shape": (
        lambda: fit(validation=blobs(image=np.ones((50, 2)))),
        r"'image' of shape \(4,\); received \(2,\)",
    ),
    "text": (lambda: fit(train=labels(["a"] * 50)), "must hold numbers; received an array of <U1"),
    "text in train": (lambda: train(blobs(name=np.array(["a"] * 50))), r"name'\]` must hold numbers.* Leave it out"),
    "ragged lists": (lambda: fit(train=blobs(image=[[1], [1, 2]])), "must be an array; received what is none"),
    # habits
    "an array": (lambda: fit(train=np.ones((50, 4))), r"or the pair \(inputs, targets\); received a ndarray"),
    "a dict to predict": (lambda: predict(blobs()), r"must be an array; received a dict.* Pass data\['image'\]"),
    "one example to predict": (lambda: predict(np.ones(4)), r"lack its batch axis\? Then pass x\[None\]"),
    "a model that sums over the batch": (
        lambda: predict(np.ones((2, 4)), (LINEAR[0], lambda params, x: (x @ params["w"]).sum(axis=0))),
        r"the model must keep the batch axis; received outputs of shapes \[\(3,\)\]",
    ),
    "another width to predict": (
        lambda: predict(np.ones((3, 2)), MLP(classes=3), state_of(MLP(classes=3))),
        r"examples of shape \(2,\) must suit the model",
    ),
    "a metric unknown": (lambda: fit(metrics=["acuracy"]), "unknown metric 'acuracy'; did you mean 'accuracy'"),
    "a metric that is none": (lambda: fit(metrics={"a": 3}), r"`metrics\['a'\]` must be a function of"),
    "a metric without a name": (lambda: fit(metrics=[lambda o, t: t]), "must be a dict, pairs"),
    "a loss unknown": (lambda: fit(loss="crossentropy"), "unknown loss 'crossentropy'; did you mean 'cross_entropy'"),
    "no loss": (lambda: fit(loss=None), "`loss` must be a function"),
    "an optimizer by name": (lambda: fit(optimizer="adam"), r"no learning rate.*jaxnn.optimizers.adam\(1e-3\)"),
    "an optimizer unknown": (lambda: fit(optimizer="adamm"), "unknown optimizer 'adamm'; did you mean 'adam'"),
    "an optimizer uncalled": (lambda: fit(optimizer=adam), "received function adam. Did you forget to call it"),
    "no optimizer": (lambda: fit(optimizer=None), r"must be a pair \(init, update\); received NoneType"),
    "an optimizer uncalled in populations": (lambda: population(optimizer=adam), "do not suit what is built of them"),
    "a placement by name": (lambda: fit(placement="shard_map"), r'Make one: jaxnn.parallel.placement\("shard_map"\)'),
    "a placement by name in evaluate": (lambda: evaluate(placement="shard_map"), "`placement` must be a placement"),
    "no placement in train": (lambda: train(blobs(), placement=None), "`placement` must be a placement; received None"),
    "half epochs": (lambda: fit(epochs=2.5), "`epochs` must be a whole number; received 2.5"),
    "NaN epochs": (lambda: fit(epochs=float("nan")), "`epochs` must be a whole number"),
    "infinite epochs": (lambda: population(epochs=float("inf")), "`epochs` must be a whole number"),
    "true epochs": (lambda: train(blobs(), epochs=True), "`epochs` must be a whole number"),
    "epochs in words": (lambda: fit(epochs="2"), "`epochs` must be a whole number"),
    "half a batch": (lambda: fit(batch_size=16.5), "`batch_size` must be a whole number"),
    "no batch": (lambda: fit(batch_size=None), "`batch_size` must be a whole number"),
    "no patience": (lambda: fit(patience=0, validation=blobs()), "`patience` must be at least 1; received 0"),
    "patience without validation": (lambda: fit(patience=1), "Pass validation data, or another `monitor`"),
    "hooks that are none": (lambda: fit(hooks=[3]), "`hooks` must be functions of an event"),
    "one field": (lambda: fit(fields="image"), "`fields` must be two names"),
    "a raw key": (
        lambda: fit(key=np.zeros(2, np.uint32)),
        r"received an array of uint32\[2\].* jax.random.wrap_key_data",
    ),
    "a key in words": (lambda: fit(key="a"), "`key` must be an integer seed or a typed key"),
    "no key": (lambda: fit(key=None), "`key` must be an integer seed or a typed key.*; received None"),
    "a seed of 41 bits": (lambda: fit(key=2**40), "`key` must be a seed of 32 bits"),
    "seeds as a number": (lambda: populations.members_of(seeds=3), r"`seeds` must be a sequence.* range\(3\)"),
    "a grid of dicts": (lambda: populations.grid(a=[{}]), "`a` must be numbers, words or tuples"),
    # states
    "a state of another optimizer": (
        lambda: fit(state=state_of(optimizer=adam(0.1)), epochs=2),
        r"`state` must be of this model and optimizer; opt_state/m/b is float32\[3\] in it, expected nothing",
    ),
    "a state of another model": (
        lambda: fit(MLP(classes=3), state=state_of(), epochs=2),
        "params/hidden1/bias is missing in it",
    ),
    "a state of another model to evaluate": (lambda: evaluate(MLP(classes=3)), "params/hidden1/bias is missing in it"),
    "a state of another model to predict": (
        lambda: predict(np.ones((2, 4)), MLP(classes=3)),
        "params/hidden1/bias is missing in it",
    ),
    "parameters as a state": (
        lambda: evaluate(state={"w": 1}),
        "must have `params` and `model_state`.*received a dict",
    ),
    "a result as a state": (
        lambda: fit(state=training.Fitted(state_of(), [], False, {}), epochs=2),
        "received a Fitted without `step`. Pass its `.state`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_remedy(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "use",
    [
        evaluate,
        lambda state: predict(np.ones((2, 4)), state=state),
        lambda state: fit(state=state, epochs=2),
        lambda state: train(blobs(), state),
    ],
    ids=["evaluate", "predict", "fit", "train"],
)
def test_a_state_that_was_given_away_is_named(use):
    state = state_of()
    jax.tree.leaves(state.params)[0].delete()
    with pytest.raises(ValueError, match="`state` was given away"):
        use(state=state)


ACCEPTED = {
    "the pair (inputs, targets)": lambda: fit(train=tuple(blobs().values())),
    "the pair in populations": lambda: population(data=tuple(blobs().values())),
    "the pair to evaluate": lambda: evaluate(data=tuple(blobs().values())),
    "lists": lambda: fit(train={name: values.tolist() for name, values in blobs().items()}),
    "whole floats": lambda: fit(epochs=2.0, batch_size=16.0),
    "counts of NumPy": lambda: fit(epochs=np.int64(2), batch_size=np.int32(16)),
    "a metric by name": lambda: fit(metrics="accuracy"),
    "metrics by name": lambda: population(metrics=["accuracy"]),
    "metrics to evaluate by name": lambda: evaluate(metrics=["accuracy"]),
    "a metric alone": lambda: fit(metrics=metrics.accuracy),
    "no metrics": lambda: fit(metrics=None),
    "a loss by name": lambda: fit(loss="cross_entropy"),
    "a pair of functions as optimizer": lambda: fit(optimizer=tuple(sgd(0.1))),
    "a hook alone": lambda: fit(hooks=print),
    "unused text": lambda: fit(train=blobs(name=np.array(["a"] * 50), day=np.array(["2020-01-01"] * 50, "M8[D]"))),
    "unused objects": lambda: evaluate(data=blobs(made_of=np.array([object()] * 50))),
    "unused fields of another length": lambda: population(data=blobs(names=["a", "b"])),
    "big-endian arrays": lambda: fit(train=blobs(image=np.ones((50, 4), ">f4"), label=UNIT.astype(">i8"))),
    "big-endian arrays to predict": lambda: predict(np.ones((2, 4), ">f4")),
    "labels of bytes": lambda: fit(train=labels(UNIT.astype(np.uint8))),
    "one-hot labels": lambda: fit(train=labels(np.eye(3, dtype=np.float32)[UNIT])),
    "one logit": lambda: fit(ONE_LOGIT, labels(UNIT[:, None] > 1), loss="binary_cross_entropy"),
    "tokens": lambda: fit(train=blobs(image=np.full((50, 4), 7)), preprocess=lambda x: x / 10),
    "16-bit pictures": lambda: fit(train=blobs(image=np.full((50, 4), 7, np.uint16))),
    "an optimizer by name in populations": lambda: population(
        optimizer="adam", members=populations.members_of(populations.grid(learning_rate=jnp.logspace(-3, -1, 3)))
    ),
    "lists of widths": lambda: population(MLP(features=[8], classes=3)),
    "a grid of lists": lambda: population(
        MLP(classes=3), members=populations.members_of(populations.grid(features=[[8], [4, 4]]))
    ),
    "members with lists": lambda: population(
        MLP(classes=3), members=[populations.Member(0, {"features": [8]})]
    ),
    "seeds of JAX": lambda: population(members=populations.members_of(seeds=jnp.arange(2))),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted_for_it_has_one_meaning(case):
    with pytest.raises(Compiled):
        ACCEPTED[case]()


def test_accepted_arguments_take_one_form():
    assert checked.as_metrics(metrics.accuracy) == checked.as_metrics(["accuracy"]) == {"accuracy": metrics.accuracy}
    assert checked.as_loss("squared_error") is losses.squared_error
    assert checked.as_factory("adam") is adam
    assert checked.as_optimizer(pair := optimizers.sgd(0.1)) is pair
    assert checked.as_hooks(None) == []
    assert populations.grid(learning_rate=np.array([0.5]), features=[[8]]) == [{"learning_rate": 0.5, "features": (8,)}]
    assert type(populations.grid(rate=jnp.array([0.5]))[0]["rate"]) is float
    assert as_key(-1).shape == as_key(np.int64(3)).shape == as_key(jnp.int32(3)).shape == ()
