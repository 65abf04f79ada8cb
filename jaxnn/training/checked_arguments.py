"""What people pass to `fit`, brought into one form or refused with the remedy before anything is compiled."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.metrics import accuracy
from jaxnn.naming import unknown
from jaxnn.training.batching import count_examples
from jaxnn.training.compilation import result_like

_METRICS = {"accuracy": accuracy}


def as_constants(constants, fields) -> dict:
    """What every batch has besides its fields, as arrays.

    Raises:
      ValueError: a name that is a field's, or "mask"; what is no number, nor an array of numbers.
    """
    check_alive(constants=constants)
    taken = sorted({*fields, "mask"} & set(constants or {}))
    if taken:
        raise ValueError(f"`constants` must not have the names of a batch's fields; received {taken}. Rename them.")
    try:
        return jax.tree.map(jnp.asarray, dict(constants or {}))
    except TypeError as error:
        raise ValueError(
            f"`constants` must hold arrays and numbers; {error} What is none belongs to the step, not to its batch."
        ) from error


def as_epochs(epochs) -> int:
    """A count of at least 1; a float may be whole."""
    if isinstance(epochs, bool) or not isinstance(epochs, int | float | np.number) or epochs != int(epochs):
        raise ValueError(f"`epochs` must be a whole number; received {epochs!r}.")
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1; received {epochs}.")
    return int(epochs)


def as_metrics(metrics) -> dict[str, Any]:
    """Name -> metric, of a dict, of pairs, or of names of the package's own metrics.

    >>> list(as_metrics(["accuracy"]))
    ['accuracy']
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    pairs = metrics.items() if isinstance(metrics, dict) else [(m, m) if isinstance(m, str) else m for m in metrics]
    named = {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(
                f"`metrics` must be a dict, pairs (name, metric) or names of metrics; received {pair!r} among them."
            )
        named[pair[0]] = _named_metric(pair[1])
    return named


def as_optimizer(optimizer):
    """The pair (init, update) itself, or an error that says how to make one."""
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return optimizer
    if isinstance(optimizer, str):
        remedy = f"Call its function with a learning rate: jaxnn.optimizers.{optimizer}(1e-3)."
    elif callable(optimizer):
        remedy = f"Call it first, with a learning rate: {getattr(optimizer, '__name__', 'it')}(1e-3)."
    else:
        remedy = "jaxnn.optimizers and Optax make such pairs."
    raise ValueError(f"`optimizer` must be a pair (init, update); received {optimizer!r}. {remedy}")


def as_split(data, fields: tuple[str, str], name: str, *, like=None) -> dict[str, Any]:
    """The used fields of a split as arrays that a device can hold.

    Args:
      data: a dict of arrays, or the pair (inputs, targets).
      fields: the names of inputs and targets.
      name: what to call the split in errors.
      like: another split, whose examples have the same shapes.
    """
    if isinstance(data, tuple | list) and len(data) == 2:
        data = dict(zip(fields, data, strict=True))
    if not hasattr(data, "keys"):
        raise ValueError(
            f"`{name}` must be a dict of arrays with the fields {list(fields)}, or the pair (inputs, targets); "
            f"received a {type(data).__name__}."
        )
    if not set(fields) <= set(data):
        count_examples(data, fields)
    split = {field: as_array(data[field], f"{name}[{field!r}]") for field in fields}
    count_examples(split, fields)
    for field in fields if like is not None else ():
        if split[field].shape[1:] != like[field].shape[1:]:
            raise ValueError(
                f"`{name}` must have examples like those of `train`, {field!r} of shape {like[field].shape[1:]}; "
                f"received {split[field].shape[1:]}."
            )
    return split


def as_arrays(data, name: str) -> dict[str, Any]:
    """All fields of a split as arrays that a device can hold; `name` is what errors call it."""
    if not hasattr(data, "keys"):
        raise ValueError(f"`{name}` must be a dict of arrays, or a Stream; received a {type(data).__name__}.")
    return {field: as_array(data[field], f"{name}[{field!r}]") for field in data}


def check_state(state, init=None, example=None) -> None:
    """Raises ValueError for a state that was given away, or that is of another model or optimizer than `init` makes."""
    for attribute in ("step", "key"):
        if not hasattr(state, attribute):
            raise ValueError(
                f"`state` must have `step` and `key`, as a TrainState has; received a {type(state).__name__} without "
                f"`{attribute}`."
            )
    check_alive(state=state)
    if init is not None:
        _check_same_tree(state, result_like(init, state.key, example))


def check_alive(**arguments) -> None:
    """Raises ValueError for an argument whose arrays were given away to a step."""
    for name, tree in arguments.items():
        if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in jax.tree.leaves(tree)):
            raise ValueError(
                f"`{name}` was given away: a later step has its memory. Keep `copy_state(event.state)` in a hook, or "
                "go on with the state that `fit` returned."
            )


def check_targets(trial, example, *splits) -> None:
    """Lets a loss of the package look at the concrete targets once, beside outputs of which only the shape is known.

    It raises ValueError for labels that name no class, or targets of another shape.
    """
    objective, init = trial.objective, trial.init
    loss = objective.loss.func if isinstance(objective.loss, partial) else objective.loss
    if not getattr(loss, "__module__", "").startswith("jaxnn.losses."):  # others may not bear NumPy's arrays
        return
    params, model_state = (getattr(result_like(init, jax.random.key(0), example), n) for n in ("params", "model_state"))
    apply = lambda p, s, x: objective.model.apply(p, s, objective.preprocess(x), train=False)[0]  # noqa: E731
    outputs = jax.eval_shape(apply, params, model_state, example[objective.fields[0]])
    for split in splits:
        targets = None if split is None else split[objective.fields[1]]
        if not isinstance(targets, np.ndarray):
            continue
        many = jax.tree.map(partial(_of_examples, len(targets)), outputs)
        jax.eval_shape(lambda outputs, targets=targets: objective.loss(outputs, targets), many)


def _of_examples(count, shape):
    return jax.ShapeDtypeStruct((count, *shape.shape[1:]), shape.dtype)


def _named_metric(metric):
    if not isinstance(metric, str):
        return metric
    if metric not in _METRICS:
        raise unknown("metric", metric, _METRICS)
    return _METRICS[metric]


def as_array(values, where: str):
    """Numbers, in the machine's byte order if they are NumPy's; what JAX would cut off to 32 bits must fit there."""
    check_alive(**{where: values})
    if isinstance(values, jax.Array):
        return values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"`{where}` must hold numbers; received an array of {array.dtype}.")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        low, high = int(array.min()), int(array.max())
        if not -(2**31) <= low <= high < 2**31:
            raise ValueError(f"`{where}` must fit into 32 bits; received integers from {low} to {high}.")
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if len(bad):
            raise ValueError(f"`{where}` must be finite; example {bad[0]} is not, one of {len(bad)}.")
    return array


def _check_same_tree(state, expected) -> None:
    """Names the first difference between a state and the one that the model and the optimizer would have."""
    own, wanted = (_shapes(tree) for tree in (state, expected))
    for path in [*wanted, *own]:
        if own.get(path) != wanted.get(path):
            raise ValueError(
                f"`state` must be of this model and optimizer; {path} is {own.get(path, 'missing')} in it, expected "
                f"{wanted.get(path, 'nothing')}."
            )


def _shapes(tree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")  # noqa: E731
    return {name(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}
