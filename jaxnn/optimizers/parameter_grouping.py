"""Each group of parameters has its own optimizer, or none; patterns of paths select the groups."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_transformation, run_update
from jaxnn.optimizers.leafwise_update import leafwise
from jaxnn.parameter_paths import Pattern, path_names, select

_NO_REST = object()
_LISTED = 10


class ParameterGroupsState(NamedTuple):
    """Holds the states of the groups in their order, the rest's last; a frozen group has an empty state."""

    groups: tuple[Any, ...]


def parameter_groups(groups: Mapping[Pattern, Any], *, rest=_NO_REST) -> GradientTransformation:
    """Moves each parameter by the optimizer of the first group whose pattern fits its path.

    An optimizer sees its own group only (all other leaves are None). So a norm over all its gradients, as in
    `clip_by_global_norm`, is the norm over the group. A frozen parameter gets updates of zero and has no moments. Its
    gradient is not used, so a compiled step does not compute it.

    Args:
      groups: pattern (`jaxnn.parameter_paths.select`) -> optimizer, or None to freeze; tried in the given order.
      rest: optimizer, or None, for the leaves that no pattern fits; without `rest` every leaf must be in a group.

    Raises:
      ValueError: at `init`, a leaf is in no group, a pattern fits no path, or all its leaves fit earlier patterns.

    >>> from jaxnn.optimizers import sgd
    >>> optimizer = parameter_groups({"encoder/*": None, "bias": sgd(2.0)}, rest=sgd(0.1))
    >>> params = {"encoder": {"kernel": jnp.ones(1)}, "head": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}}
    >>> optimizer.update(params, optimizer.init(params), params)[0]
    {'encoder': {'kernel': Array([0.], dtype=float32)},
     'head': {'bias': Array([-2.], dtype=float32), 'kernel': Array([-0.1], dtype=float32)}}
    """
    members = _members(groups, rest)
    for name, optimizer in members.items():
        if optimizer is not None:
            check_transformation(f"groups[{name!r}]" if name in groups else "rest", optimizer)

    def init(params):
        belongs = partial(_only, params, _labels(members, params))
        states = [() if optimizer is None else optimizer.init(belongs(i)) for i, optimizer in _numbered(members)]
        return ParameterGroupsState(tuple(states))

    def update(grads, state, params=None, **extra):
        labels = _labels(members, grads if params is None else params)
        updates, states = leafwise(lambda g: (jnp.zeros_like(g),), grads)[0], []
        for (i, optimizer), own in zip(_numbered(members), state.groups, strict=True):
            if optimizer is not None:
                theirs = None if params is None else _only(params, labels, i)
                moved, own = run_update(optimizer, _only(grads, labels, i), own, theirs, extra)
                updates = _merged(updates, moved, labels, i)
            states.append(own)
        return updates, ParameterGroupsState(tuple(states))

    return GradientTransformation(init, update)


def explain_groups(groups: Mapping[Pattern, Any], params, *, rest=_NO_REST) -> str:
    """Returns a table of the groups: group, optimizer, number of leaves and of parameters, the first paths.

    >>> from jaxnn.optimizers import sgd
    >>> params = {"conv1": {"kernel": jnp.ones((3, 3, 1, 8)), "bias": jnp.ones(8)}, "head": jnp.ones((8, 2))}
    >>> print(explain_groups({"conv1/*": None}, params, rest=sgd(0.1)))
    group    optimizer  leaves  parameters  paths
    conv1/*  frozen     2       80          conv1/bias, conv1/kernel
    rest     sgd        1       16          head
    """
    members = _members(groups, rest)
    labels, leaves = jax.tree.leaves(_labels(members, params)), jax.tree.leaves(params)
    paths, rows = jax.tree.leaves(path_names(params)), [("group", "optimizer", "leaves", "parameters", "paths")]
    for (i, optimizer), name in zip(_numbered(members), members, strict=True):
        sizes = [jnp.size(leaf) for leaf, label in zip(leaves, labels, strict=True) if label == i]
        own = [path for path, label in zip(paths, labels, strict=True) if label == i]
        examples = ", ".join(own[:3]) + (", ..." if len(own) > 3 else "")
        shown = "rest" if name is _NO_REST else getattr(name, "__name__", name)
        rows.append((str(shown), _optimizer_name(optimizer), str(len(own)), f"{sum(sizes):,}", examples))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _members(groups, rest):
    """Returns the groups, with the rest as the last one."""
    return dict(groups) if rest is _NO_REST else {**groups, _NO_REST: rest}


def _numbered(members):
    return enumerate(members.values())


def _labels(members, params):
    """Returns the tree with the number of its group at each leaf; it is static, because only the paths decide."""
    labels = jax.tree.map(lambda _: -1, params)
    if not jax.tree.leaves(params):
        return labels
    for i, pattern in enumerate(members):
        fits = jax.tree.map(lambda _: True, params) if pattern is _NO_REST else select(params, pattern)
        taken = jax.tree.map(lambda fit, label: label if label >= 0 or not fit else i, fits, labels)  # noqa: B023
        if pattern is not _NO_REST and jax.tree.leaves(taken) == jax.tree.leaves(labels):
            raise ValueError(
                f"each group must have a leaf; received {pattern!r}, whose leaves all fit an earlier pattern as well. "
                "The first that fits decides: put the special patterns before the general ones."
            )
        labels = taken
    lost = [p for p, i in zip(*map(jax.tree.leaves, (path_names(params), labels)), strict=True) if i < 0]
    if lost:
        more = f", and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
        raise ValueError(
            f"each parameter must be in a group; received none for {', '.join(lost[:_LISTED])}{more}. Add a pattern, "
            "or `rest=optimizer` (`rest=None` freezes what is left)."
        )
    return labels


def _only(tree, labels, i):
    """Returns the leaves of one group, with None in place of the others."""
    return jax.tree.map(lambda label, leaf: leaf if label == i else None, labels, tree)


def _merged(updates, moved, labels, i):
    leaves, tree = jax.tree.flatten(labels)
    rows = zip(leaves, tree.flatten_up_to(updates), tree.flatten_up_to(moved), strict=True)
    return tree.unflatten([new if label == i else old for label, old, new in rows])


def _optimizer_name(optimizer):
    """Returns the name of the function that made the optimizer.

    This is the name in front of `<locals>`, or the factory of an adjustable optimizer.
    """
    if optimizer is None:
        return "frozen"
    function = optimizer.update
    while isinstance(function, partial):
        function = function.args[0] if function.args else function.func
    return getattr(function, "__qualname__", type(function).__name__).split(".")[0]
