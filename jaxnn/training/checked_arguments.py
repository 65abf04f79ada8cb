"""These functions convert or refuse the arguments of a run, other than data and model, before anything is compiled."""

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import losses, optimizers
from jaxnn.metrics import accuracy
from jaxnn.naming import unknown
from jaxnn.optimizers import GradientTransformation
from jaxnn.optimizers.gradient_transformation import check_transformation
from jaxnn.training.compilation import result_like

_METRICS = {"accuracy": accuracy}


def as_constants(constants, fields) -> dict:
    """Converts the constants, which every batch has besides its fields, to arrays.

    Raises:
      ValueError: a name that is a field's, or "mask"; a value that is neither a number nor an array of numbers.
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


def as_count(name: str, value, *, least: float = 1) -> int:
    """Returns a value as an int of at least `least`; whole floats are accepted, too.

    >>> as_count("epochs", 2.0)
    2
    """
    number = value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else value
    if isinstance(number, bool) or not isinstance(number, numbers.Real) or not float(number).is_integer():
        raise ValueError(f"`{name}` must be a whole number; received {value!r}.")
    if number < least:
        raise ValueError(f"`{name}` must be at least {least}; received {value}.")
    return int(number)


def as_fields(fields) -> tuple[str, str]:
    """Returns the names of inputs and targets as a pair."""
    fields = (fields,) if isinstance(fields, str) else tuple(fields)
    if len(fields) != 2 or not all(isinstance(name, str) for name in fields):
        raise ValueError(f"`fields` must be two names, of inputs and of targets; received {fields}.")
    return fields


def as_hooks(hooks) -> list[Callable]:
    """Returns a list of hooks, from one function, several or none."""
    hooks = [] if hooks is None else [hooks] if callable(hooks) else list(hooks)
    if not all(map(callable, hooks)):
        raise ValueError(f"`hooks` must be functions of an event; received {hooks}.")
    return hooks


def as_loss(loss) -> Callable:
    """Returns a loss, a function of (outputs, targets); a name selects one of `jaxnn.losses`.

    >>> as_loss("squared_error") is losses.squared_error
    True
    """
    return _called("loss", loss, {name: f for name, f in vars(losses).items() if callable(f)})


def as_metrics(metrics) -> dict[str, Any]:
    """Returns name -> metric, from a dict, pairs, functions, or names of the package's own metrics.

    >>> list(as_metrics(["accuracy"]))
    ['accuracy']
    """
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    listed = metrics.items() if isinstance(metrics, dict) else [_named(metric) for metric in metrics or ()]
    return {name: _called(f"metrics[{name!r}]", metric, _METRICS) for name, metric in listed}


def as_optimizer(optimizer):
    """Returns the pair (init, update), or raises ValueError with advice on how to make one."""
    if isinstance(optimizer, str):
        as_factory(optimizer)  # raises another error for an unknown name
        raise ValueError(
            f"`optimizer` must be a pair (init, update); received {optimizer!r}, which has no learning rate. Call its "
            f"function: jaxnn.optimizers.{optimizer}(1e-3)."
        )
    if type(optimizer) is tuple and len(optimizer) == 2 and all(map(callable, optimizer)):
        return GradientTransformation(*optimizer)
    check_transformation("optimizer", optimizer)
    return optimizer


def as_factory(optimizer):
    """Returns the function that makes an optimizer from hyperparameters, or a pair (init, update) unchanged.

    A name selects one of the functions of `jaxnn.optimizers`.

    >>> as_factory("adam") is optimizers.adam
    True
    """
    if callable(optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        return as_optimizer(optimizer)
    factories = {name: f for name, f in vars(optimizers).items() if callable(f) and name.islower()}
    if optimizer not in factories:
        raise unknown("optimizer", optimizer, factories)
    return factories[optimizer]


def check_placement(placement) -> None:
    """Raises ValueError for a placement that has no `distribute`, such as a name."""
    if not hasattr(placement, "distribute"):
        name = placement if isinstance(placement, str) else "shard_map"
        raise ValueError(
            f'`placement` must be a placement; received {placement!r}. Make one: jaxnn.parallel.placement("{name}").'
        )


def check_state(state, init=None, example=None, *, needs=("step", "key")) -> None:
    """Raises ValueError for a state that cannot be used.

    Such a state lacks one of the attributes `needs`, was donated to a step, or is of another model or optimizer than
    `init` makes.
    """
    for attribute in needs:
        if not hasattr(state, attribute):
            remedy = " Pass its `.state`." if hasattr(state, "state") else ""
            raise ValueError(
                f"`state` must have {' and '.join(f'`{name}`' for name in needs)}, as a TrainState has; received a "
                f"{type(state).__name__} without `{attribute}`.{remedy}"
            )
    check_alive(state=state)
    if init is not None:
        check_same_tree(state, result_like(init, state.key, example))


def check_alive(**arguments) -> None:
    """Raises ValueError for an argument whose arrays were donated to a step."""
    for name, tree in arguments.items():
        if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in jax.tree.leaves(tree)):
            raise ValueError(
                f"`{name}` was given away: a later step has its memory. Keep `copy_state(event.state)` in a hook, or "
                "go on with the state that `fit` returned."
            )


def check_same_tree(state, expected, *, shapes: bool = True) -> None:
    """Raises ValueError that names the first difference between a state and the expected one.

    The expected state is the one that the model and the optimizer would make. Without `shapes` only the paths are
    compared.
    """
    own, wanted = (_leaves(tree) for tree in (state, expected))
    for path in [*wanted, *own]:
        if own.get(path) != wanted.get(path) and (shapes or path not in own or path not in wanted):
            raise ValueError(
                f"`state` must be of this model and optimizer; {path} is {own.get(path, 'missing')} in it, expected "
                f"{wanted.get(path, 'nothing')}."
            )


def _named(metric):
    """Returns the pair (name, metric)."""
    if isinstance(metric, str):
        return metric, metric
    if isinstance(metric, tuple | list) and len(metric) == 2 and isinstance(metric[0], str):
        return tuple(metric)
    if hasattr(metric, "__name__") and metric.__name__.isidentifier():
        return metric.__name__, metric
    raise ValueError(
        f"`metrics` must be a dict, pairs (name, metric), or functions or names of metrics; received {metric!r} among "
        "them."
    )


def _called(name, function, known):
    if isinstance(function, str) and function not in known:
        raise unknown("metric" if known is _METRICS else name, function, known)
    if not isinstance(function, str) and not callable(function):
        raise ValueError(f"`{name}` must be a function of (outputs, targets); received {function!r}.")
    return known[function] if isinstance(function, str) else function


def _leaves(tree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    return {name(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}
