"""Sharding rules say which axis of which parameter is divided over which axis of the mesh; there are two presets.

A rule is a pattern of paths (`jaxnn.parameter_paths.select`) together with the axes to divide. `fully_sharded` is
ZeRO's third stage (Rajbhandari et al. 2020, arXiv 1910.02054): each device of "data" keeps one part of every large
leaf, gathers the other parts when they are used, and sums only its part of the gradient. `tensor_parallel` is the
division of Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053): the devices of "model" compute different outputs of the
same examples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax.sharding import PartitionSpec as P

from jaxnn.naming import unknown
from jaxnn.parameter_paths import Pattern, path_names, select
from jaxnn.training.placement_contract import AXIS

DATA, MODEL = AXIS, "model"


class Divide(NamedTuple):
    """Divides axis `axis` of a leaf (negative: from the last) in equal parts over the devices along the axis `over`."""

    axis: int
    over: str


class Largest(NamedTuple):
    """Divides, in each leaf with `at_least` elements or more, the largest free and divisible axis over `over`."""

    over: str = DATA
    at_least: int = 4096


@dataclass(frozen=True)
class ShardingRules:
    """Holds rules by path; a leaf that no rule fits stays whole on every device.

    Rules are compared by value, so equal rules share their compiled programs.

    Args:
      rules: pattern -> one `Divide`, several, or () to keep the leaf whole; the first pattern that fits a leaf decides.
      largest: the division applied to every leaf after the rules; None for no such division.

    Raises:
      ValueError: a rule that holds something else than `Divide`.

    >>> rules = ShardingRules({"kernel": Divide(-1, "model")}, largest=Largest("data", at_least=16))
    >>> sizes = {"data": 2, "model": 4}
    >>> params = {"kernel": jax.ShapeDtypeStruct((6, 8), "float32"), "bias": jax.ShapeDtypeStruct((8,), "float32")}
    >>> jax.tree.map(tuple, partition(rules, params, sizes))
    {'bias': (), 'kernel': ('data', 'model')}
    """

    rules: Mapping[Pattern, Any] | tuple[tuple[Pattern, tuple[Divide, ...]], ...] = ()
    largest: Largest | None = None

    def __post_init__(self):
        pairs = tuple((pattern, _divides(divides)) for pattern, divides in dict(self.rules).items())
        object.__setattr__(self, "rules", pairs)


def fully_sharded(*, over: str = DATA, at_least: int = 4096) -> ShardingRules:
    """Returns the rules of ZeRO's third stage (FSDP): each large leaf is divided over `over`.

    In every leaf with `at_least` elements or more, the largest divisible axis is divided. With W parameters, Adam's two
    moments and N devices, a device keeps 12 W / N bytes of float32 instead of 12 W. It sends 3 W (N-1)/N numbers a
    step, for two gathers and a sum, instead of 2 W (N-1)/N. Smaller leaves stay whole, because the latency of gathering
    them costs more than the memory that they take.
    """
    return ShardingRules(largest=Largest(over, at_least))


def tensor_parallel(
    *, columns=(), rows=(), embeddings=(), over: str = MODEL, largest: Largest | None = None
) -> ShardingRules:
    """Returns the rules of Megatron-LM, which divides layers named by their paths.

    Kernels have the axes (in, out) or (height, width, in, out). A column layer divides its outputs, in kernel and bias:
    `Y_i = f(X A_i)`; its forward pass needs no communication. The row layer that follows divides its inputs:
    `Z = sum_i Y_i B_i`; its forward pass has one all-reduce, and its bias stays whole. In the backward pass the column
    layer has the one all-reduce. An embedding divides its vocabulary.

    Args:
      columns, rows, embeddings: globs of the layers' paths, such as "hidden1"; alternate columns and rows.
      over: the axis of the mesh.
      largest: a further division, as in `fully_sharded`, for leaves that are not yet divided over its axis.

    Raises:
      ValueError: a layer is named twice.

    >>> tensor_parallel(columns=["hidden1"], rows=["hidden2"]).rules
    (('hidden1/*', (Divide(axis=-1, over='model'),)), ('hidden2/kernel', (Divide(axis=-2, over='model'),)))
    """
    columns, rows, embeddings = map(_listed, (columns, rows, embeddings))
    layers = columns + rows + embeddings
    twice = {layer for layer in layers if layers.count(layer) > 1}
    if twice:
        raise ValueError(
            "`columns`, `rows` and `embeddings` must name different layers; received "
            f"{', '.join(sorted(twice))} in two of them. Take columns and rows in turn."
        )
    rules = {f"{layer}/*": Divide(-1, over) for layer in columns}
    rules |= {f"{layer}/kernel": Divide(-2, over) for layer in rows}
    return ShardingRules(rules | {f"{layer}/embedding": Divide(-2, over) for layer in embeddings}, largest)


def partition(rules: ShardingRules, params, sizes: Mapping[str, int]):
    """Returns the tree with a `PartitionSpec` at each leaf.

    Args:
      params: arrays or `ShapeDtypeStruct`s.
      sizes: axis of the mesh -> number of devices along it; along an axis with one device nothing is divided.

    Raises:
      ValueError: a pattern that fits no path, or only leaves that an earlier pattern has decided; an axis that the mesh
        or the leaf does not have, that is divided twice, or whose length is no multiple of the number of devices.
    """
    return jax.tree.structure(params).unflatten([leaf.spec for leaf in _decide(rules, params, sizes)])


def follow(tree, params, specs):
    """Returns `PartitionSpec`s for a tree with leaves named and shaped as parameters, such as an optimizer's moments.

    A leaf gets the spec of a parameter if its path ends with the path of the parameter and both have the same shape;
    otherwise the leaf stays whole. If several parameters fit, the one with the longest path decides.
    """
    known = list(zip(*map(jax.tree.leaves, (path_names(params), params, specs)), strict=True))

    def spec(path, leaf):
        alike = [(len(p), s) for p, like, s in known if _ends(path, p) and like.shape == leaf.shape]
        return max(alike, key=lambda found: found[0], default=(0, P()))[1]

    return jax.tree.map(spec, path_names(tree), tree)


def explain_sharding(rules: ShardingRules, params, sizes: Mapping[str, int]) -> str:
    """Returns a table with a row for each leaf: path, shape, deciding rule, divided axes, and the part on one device.

    >>> params = {"hidden": {"kernel": jax.ShapeDtypeStruct((8, 64), "float32")}, "scale": jax.numpy.ones(8)}
    >>> print(explain_sharding(fully_sharded(at_least=100), params, {"data": 4}))
    path           shape  rule     divided           a device
    hidden/kernel  8x64   largest  axis 1 over data  8x16
    scale          8      -        whole             8
    """
    rows = [("path", "shape", "rule", "divided", "a device")]
    for path, shape, deciding, spec in _decide(rules, params, sizes):
        over = [*spec, *[None] * (len(shape) - len(spec))]
        part = [n // sizes.get(name, 1) for n, name in zip(shape, over, strict=True)]
        divided = ", ".join(f"axis {i} over {name}" for i, name in enumerate(over) if name) or "whole"
        rows.append((path, _cross(shape), " + ".join(deciding) or "-", divided, _cross(part)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


class _Leaf(NamedTuple):
    path: str
    shape: tuple[int, ...]
    deciding: tuple[str, ...]  # the rules, by name
    spec: P


def _decide(rules, params, sizes) -> list[_Leaf]:
    _check_axes(rules, sizes)
    decided, owners = [], _owners(rules.rules, params)
    for path, leaf, owner in zip(jax.tree.leaves(path_names(params)), jax.tree.leaves(params), owners, strict=True):
        pattern, divides = rules.rules[owner] if owner >= 0 else (None, ())
        named = () if owner < 0 else (getattr(pattern, "__name__", str(pattern)),)
        over = _divided(path, leaf.shape, divides, sizes)
        free = _largest(leaf.shape, over, rules.largest, sizes)
        if free is not None:
            over[free], named = rules.largest.over, (*named, "largest")
        decided.append(_Leaf(path, leaf.shape, named, _plain(over, sizes)))
    return decided


def _owners(rules, params) -> list[int]:
    """Returns the index of the rule that decides each leaf, -1 for none; it depends on the paths only."""
    owners = [-1] * len(jax.tree.leaves(params))
    for i, (pattern, _) in enumerate(rules):
        fits = jax.tree.leaves(select(params, pattern))
        own = [owner if owner >= 0 or not fit else i for owner, fit in zip(owners, fits, strict=True)]
        if own == owners:
            raise ValueError(
                f"each rule must decide for a leaf; received {pattern!r}, whose leaves all fit an earlier pattern as "
                "well. The first that fits decides: put the special patterns before the general ones."
            )
        owners = own
    return owners


def _divided(path, shape, divides, sizes) -> list[str | None]:
    """Returns the mesh axis over which each axis of the leaf is divided; None where it is not divided."""
    over = [None] * len(shape)
    for axis, name in divides:
        if not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"{path!r} must have the axis that is divided; received axis {axis} for shape {shape}. Narrow the "
                "pattern, or put one before it with () for whole."
            )
        if over[axis] is not None or name in over:
            raise ValueError(
                f"each axis of {path!r} and of the mesh must be divided once; received {list(map(tuple, divides))}."
            )
        if shape[axis] % sizes[name]:
            raise ValueError(
                f"axis {axis} of {path!r} must be a multiple of the {sizes[name]} devices along {name!r}; received "
                f"shape {shape}. {_remedy(shape, sizes[name])}"
            )
        over[axis] = name
    return over


def _remedy(shape, devices) -> str:
    other = [i for i, n in enumerate(shape) if n % devices == 0]
    return f"Divide axis {other[0]}, or take fewer devices." if other else "Take fewer devices, or leave it whole: ()."


def _largest(shape, over, largest, sizes) -> int | None:
    if largest is None or largest.over in over or math.prod(shape) < largest.at_least:
        return None
    free = [i for i, n in enumerate(shape) if over[i] is None and n % sizes[largest.over] == 0]
    return max(free, key=lambda i: shape[i], default=None)


def _plain(over, sizes) -> P:
    """Returns the spec in the form that XLA returns: without axes of one device, and without None at the end."""
    names = [name if name and sizes[name] > 1 else None for name in over]
    while names and names[-1] is None:
        names.pop()
    return P(*names)


def _check_axes(rules, sizes):
    wanted = [divide.over for _, divides in rules.rules for divide in divides]
    for name in [*wanted, *([rules.largest.over] if rules.largest else [])]:
        if name not in sizes:
            raise unknown("axis of the mesh", name, sizes)


def _divides(divides) -> tuple[Divide, ...]:
    """Returns the divisions of a rule as a tuple, also if the rule is a single `Divide`."""
    several = (divides,) if isinstance(divides, Divide) else tuple(divides)
    if not all(isinstance(divide, Divide) for divide in several):
        raise ValueError(
            f"a rule must be a `Divide`, several or (); received {divides!r}. Write Divide(axis, 'model')."
        )
    return several


def _listed(layers) -> list[str]:
    return [layers] if isinstance(layers, str) else list(layers)


def _ends(path: str, end: str) -> bool:
    return not end or f"/{path}".endswith(f"/{end}")


def _cross(shape) -> str:
    return "x".join(map(str, shape)) or "scalar"
