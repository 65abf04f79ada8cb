"""`prepare` compiles programs before their first call, in parallel, and once for equal functions and shapes.

Functions are compared by value: equal functions share one compiled program. `bind` makes such a function from another
and its first arguments. Tracing happens in the caller's thread, where JAX keeps its settings; compilation, which takes
most of the time, happens in worker threads.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import jax

from jaxnn.compiler_options import compiler_options

MOST_PROGRAMS = 64  # more than these: the oldest is removed
_COMPILED: dict[tuple, Future] = {}


@dataclass(frozen=True)
class Bound:
    """Holds a function and its first arguments; equal to another `Bound` whose parts are equal."""

    function: Callable
    first: tuple[Any, ...]

    def __call__(self, *rest, **keywords):
        return self.function(*self.first, *rest, **keywords)


def bind(function: Callable, *first) -> Bound:
    """Binds the first arguments of a function; the results of equal parts are equal.

    >>> bind(pow, 2)(3), bind(pow, 2) == bind(pow, 2)
    (8, True)
    """
    return Bound(function, first)


class Identified:
    """Gives a hash to a function that has none, because it holds lists or arrays; it is equal only to itself."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args, **keywords):
        return self.function(*args, **keywords)

    def __eq__(self, other):
        return isinstance(other, Identified) and self.function is other.function

    def __hash__(self):
        return id(self.function)


def as_value(function):
    """Returns the function itself if it has a hash, else wraps it in `Identified`.

    >>> as_value(len) is len, as_value([].sort) == as_value([1].sort)
    (True, False)
    """
    return function if is_hashable(function) else Identified(function)


def is_hashable(function) -> bool:
    """Returns whether a function has a hash, so that a compiled program can be looked up by it."""
    try:
        hash(function)
    except TypeError:
        return False
    return True


def prepare(
    function, *args, donate: tuple[int, ...] = (), runs_once: bool = False, after: Future | None = None
) -> Future:
    """Starts to compile `function` for arguments like `args` (arrays or `ShapeDtypeStruct`s); returns a future.

    A program that is compiled already is not compiled again. A program that runs only once is compiled without
    optimization, five times faster. A program that is not needed first can wait for the future `after`, so that it does
    not slow that compilation down.
    """
    signature = _signature(function, donate, args)
    if signature not in _COMPILED:
        options = compiler_options(runs_once=runs_once)
        _COMPILED[signature] = _workers().submit(_compile, _trace(*signature).lower(), options, after)
        while len(_COMPILED) > MOST_PROGRAMS:
            _COMPILED.pop(next(iter(_COMPILED)))
    return _COMPILED[signature]


def call(function, *args, donate: tuple[int, ...] = ()):
    """Returns `function(*args)`, compiled; the arguments at the positions `donate` give up their memory."""
    return prepare(function, *args, donate=donate).result()(*args)


def result_like(function, *args):
    """Returns the shapes of the results of `function`, as `ShapeDtypeStruct`s; one trace serves this and `prepare`."""
    return _trace(*_signature(function, (), args)).out_info


def program(function, *args, donate: tuple[int, ...] = ()):
    """Returns the jaxpr of the program that `prepare` would compile; one trace serves both."""
    return _trace(*_signature(function, donate, args)).jaxpr.jaxpr


def _compile(lowered, options, after):
    if after is not None:
        wait([after])
    return lowered.compile(compiler_options=options)


@lru_cache(maxsize=MOST_PROGRAMS)
def _trace(function, donate, tree, avals, settings):
    args = jax.tree.unflatten(
        tree, [jax.ShapeDtypeStruct(shape, dtype, weak_type=w, sharding=s) for shape, dtype, w, s in avals]
    )
    return jax.jit(function, donate_argnums=donate).trace(*args)


def _signature(function, donate, args):
    leaves, tree = jax.tree.flatten(args)
    avals = tuple((leaf.shape, _dtype(leaf), getattr(leaf, "weak_type", False), _placed(leaf)) for leaf in leaves)
    config = jax.config
    settings = (config.jax_default_device, config.jax_default_matmul_precision, config.jax_enable_x64)
    return function, donate, tree, avals, settings


def _dtype(leaf):
    """Returns the dtype that JAX will use: 32 bits for NumPy's 64, unless JAX's 64-bit mode is on."""
    is_extended = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    return leaf.dtype if is_extended else jax.dtypes.canonicalize_dtype(leaf.dtype)


def _placed(leaf):
    """Returns the sharding of a committed array or a shape; None if JAX is free to choose."""
    if isinstance(leaf, jax.Array):
        return leaf.sharding if leaf.committed else None
    return getattr(leaf, "sharding", None)


@cache
def _workers():
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="jaxnn-compile")
