"""These functions convert data to arrays that a device can hold, and check the values while these are on the host."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.training.batching import count_examples, first_example
from jaxnn.training.checked_arguments import check_alive, check_same_tree
from jaxnn.training.compilation import Identified, bind, result_like
from jaxnn.training.key_streams import Keys
from jaxnn.training.objectives import Supervised

_OWN = ("jaxnn.losses.", "jaxnn.metrics.")


def as_split(data, fields: tuple[str, str], name: str, *, like=None) -> dict[str, Any]:
    """Returns the used fields of a split as arrays that a device can hold.

    Args:
      data: a dict of arrays, or the pair (inputs, targets).
      fields: the names of inputs and targets.
      name: the name of the split in error messages.
      like: another split, whose examples must have the same shapes.

    Raises:
      ValueError: missing fields, arrays of different lengths, examples of other shapes than those of `like`, arrays
        that do not hold numbers, or numbers that a device cannot hold.
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
    """Returns all fields of a split as arrays that a device can hold; error messages use `name`."""
    if not hasattr(data, "keys"):
        raise ValueError(f"`{name}` must be a dict of arrays, or a Stream; received a {type(data).__name__}.")
    arrays = {field: as_array(data[field], f"{name}[{field!r}]") for field in data}
    count_examples(arrays)
    return arrays


def as_array(values, where: str):
    """Returns an array of finite numbers in the machine's byte order, each of which fits into the dtype that JAX uses.

    An array that is already on an accelerator stays there, and its values are not checked.
    """
    check_alive(**{where: values})
    if isinstance(values, jax.Array) and not _is_on_host(values):
        return values
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"`{where}` must be an array; received what is none: {error}") from error
    if array.dtype.kind not in "biuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"`{where}` must hold numbers; received an array of {array.dtype}. Leave it out?")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    held = jax.dtypes.canonicalize_dtype(array.dtype)
    if array.size and (held != array.dtype or jnp.issubdtype(held, jnp.floating)):
        _check_fits(array, held, where)
    return values if isinstance(values, jax.Array) else array


def check_targets(objective, state, *splits) -> None:
    """Checks the targets: runs the package's losses and metrics once on known targets and the shapes of outputs.

    Args:
      objective: a `Supervised` objective; any other is not checked.
      state: with `params` and `model_state`, or their shapes.
      splits: dicts of arrays, or None.

    Raises:
      ValueError: labels that are not classes, targets of another shape, inputs that the model does not take.
    """
    if not isinstance(objective, Supervised):
        return
    splits = [split for split in splits if split is not None]
    inputs, targets = objective.fields
    outputs = outputs_of(objective.model, state, first_example(splits[0])[inputs], preprocess=objective.preprocess)
    functions = [f for f in (objective.loss, *dict(objective.metrics).values()) if _is_own(f)]
    for known in [np.asarray(split[targets]) for split in splits if _is_known(split[targets])]:
        many = jax.tree.map(partial(_of_examples, len(known)), outputs)
        for function in functions:
            jax.eval_shape(lambda outputs, function=function, known=known: function(outputs, known), many)


def outputs_of(model, state, example, *, preprocess):
    """Returns the shapes of a model's outputs for one example with its batch axis.

    Raises:
      ValueError: a state of another model, inputs that the model does not take, or outputs without the batch axis.
    """
    shape = example.shape[1:]
    try:
        drawn = state.params, state.model_state, getattr(state, "key", None)
        outputs = result_like(bind(_outputs, model, preprocess), *drawn, example)
    except Exception as error:
        _check_model(model, state, example, preprocess)
        raise ValueError(
            f"examples of shape {shape} must suit the model; received {type(error).__name__}: {error} Does a single "
            "example lack its batch axis? Then pass x[None]."
        ) from error
    if any(leaf.shape[:1] != (1,) for leaf in jax.tree.leaves(outputs)):
        shapes = [leaf.shape for leaf in jax.tree.leaves(outputs)]
        raise ValueError(
            f"the model must keep the batch axis; received outputs of shapes {shapes} for one example of shape {shape}."
        )
    return outputs


def _check_model(model, state, example, preprocess) -> None:
    """Raises ValueError for a state of another model, which has other leaves; other errors are not reported here."""
    init = lambda key, x: dict(zip(("params", "model_state"), model.init(key, preprocess(x)), strict=True))
    try:
        expected = jax.eval_shape(init, jax.random.key(0), example)
    except Exception:
        return
    check_same_tree({"params": state.params, "model_state": state.model_state}, expected, shapes=False)


def _outputs(model, preprocess, params, model_state, key, x):
    return model.apply(params, model_state, preprocess(x), train=False, keys=Keys(key, 0))[0]


def _check_fits(array, held, where) -> None:
    low, high = array.min(), array.max()  # both are NaN if any value is
    most = jnp.finfo(held) if jnp.issubdtype(held, jnp.floating) else jnp.iinfo(held)
    if most.min <= low <= high <= most.max:
        return
    if np.isfinite(low) and np.isfinite(high):
        raise ValueError(
            f"`{where}` must fit into {8 * held.itemsize} bits, as {held}; received numbers from {low} to {high}."
        )
    bad = np.flatnonzero(~np.isfinite(array.reshape(*array.shape[:1], -1)).all(axis=-1))
    raise ValueError(f"`{where}` must be finite; example {bad[0]} is not, one of {len(bad)}.")


def _is_own(function) -> bool:
    """Returns whether a function is of this package, so that it accepts NumPy arrays."""
    while isinstance(function, partial | Identified):
        function = function.func if isinstance(function, partial) else function.function
    return getattr(function, "__module__", "").startswith(_OWN)


def _is_known(array) -> bool:
    return not isinstance(array, jax.Array) or array.is_fully_addressable


def _is_on_host(array) -> bool:
    return array.is_fully_addressable and all(device.platform == "cpu" for device in array.devices())


def _of_examples(count, shape):
    return jax.ShapeDtypeStruct((count, *shape.shape[1:]), shape.dtype)
