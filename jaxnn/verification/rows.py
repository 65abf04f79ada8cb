"""A row compares a piece of jaxnn with an oracle written by someone else, on arguments for both.

Each variant is a row: "max_pool, overlapping" is a case of the piece "max_pool". The tests run their properties over
the same rows that `jaxnn verify` runs on a user's device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxnn import optimizers
from jaxnn.layers import Layer


def exact(x):
    """Returns an argument as the NumPy oracles take it: float64, integers left alone."""
    x = np.asarray(x)
    return x if x.dtype.kind in "iub" else x.astype(np.float64)


class FunctionRow(NamedTuple):
    """`ours(*arguments)` is an array, and so is what the oracle returns; most have a batch axis first."""

    name: str
    """the piece; a comma begins the variant"""
    public: Callable
    """what the package exports: has the docstring and counts in `tests/test_catalog.py`"""
    ours: Callable
    oracle: Callable
    against: str
    """who wrote the oracle: `jax.nn.relu`, `optax.hinge_loss`, `scipy.special.expit`, `NumPy` for a plain formula"""
    arguments: Callable
    """`(rng, batch) -> tuple of NumPy arrays`; floats are cast to the dtype under test"""
    differentiable_oracle: bool = False
    """the oracle is a JAX function too: the gradients of both, by `jax.vjp`, must agree"""


class LayerRow(NamedTuple):
    """Compares the backward pass of a layer, as networks compose it, with `jax.vjp` of its own forward pass."""

    name: str
    public: Callable
    """the constructor, such as `layers.Dense`"""
    layer: Layer
    x_shape: tuple[int, ...]
    """without the batch axis"""
    integers: int | None = None
    """inputs are integers below this (an embedding's); else standard normal floats"""


class InitializerRow(NamedTuple):
    """Compares an initializer with one that draws the same numbers, or with the moments that its paper gives."""

    name: str
    public: Callable
    ours: Callable
    oracle: Callable | None
    """`(shape) -> initializer` that draws the same numbers from the same key, where there is one"""
    against: str
    std: Callable[[tuple[int, ...]], float] | None = None
    """`(shape) -> standard deviation` of an entry, of mean 0; None where the draw is not random"""
    two_dimensional: bool = False
    """draws matrices only"""


class ScheduleRow(NamedTuple):
    """Compares a schedule with its reference from step 0 to beyond the last."""

    name: str
    public: Callable
    ours: Callable
    oracle: Callable
    against: str
    steps: int


class OptimizerRow(NamedTuple):
    """`factory(**numbers, **options)` and `oracle(**numbers, **options)` walk the same path."""

    name: str
    factory: Callable
    oracle: Callable
    against: str
    numbers: dict[str, Any]
    options: dict[str, Any] = {}  # noqa: RUF012
    covers: tuple[Callable, ...] = ()
    """what else the row checks: the links of the chain that its factory makes"""

    def ours(self, **changes):
        return self.factory(**{**self.numbers, **changes}, **self.options)

    def theirs(self, **changes):
        return self.oracle(**{**self.numbers, **changes}, **self.options)

    def adjustable(self, **changes):
        return optimizers.adjustable(self.factory)(**{**self.numbers, **changes}, **self.options)


class DescentRow(NamedTuple):
    """Compares the path of a second-order optimizer or a line search on one problem, from several starts."""

    name: str
    public: Callable
    ours: Any
    """the pair, made"""
    oracle: Callable
    """`start -> (steps, ...)`, the parameters after each step"""
    against: str
    value_fn: Callable
    start: Callable
    """`(rng) -> parameters`: a tree of NumPy arrays, cast to the dtype under test"""
    steps: int
    extra: dict[str, Any] = {}  # noqa: RUF012
    """what `update` takes besides `value_fn`: `residual_fn`, `outputs_fn`"""
    minimum: bool = False
    """the oracle is a minimizer by another way, and returns one point: only where ours ends is compared"""
    tolerance: dict[str, float] = {}  # noqa: RUF012
    """by dtype, where rounding is amplified; else that of the table"""


class ModelRow(NamedTuple):
    """`oracle(params, x)` is the forward pass written with plain lax, Flax or NumPy."""

    name: str
    module: Any
    shape: tuple[int, ...]
    parameters: int
    layers: dict[str, int]
    """the published table: layer -> parameters"""
    oracle: Callable
    against: str
    bad_shape: tuple[int, ...]
    message: str
    half_logits: str = "bfloat16"
    """the dtype of the logits of a bfloat16 model on bfloat16 images"""
