"""These generators check a row of each type; each yields cases, which `verify` sums up and the tests assert."""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.layers.hand_written import run
from jaxnn.verification.comparison import TOLERANCE, pullback, relative_difference
from jaxnn.verification.optimizer_references import PROBLEMS, descend, descend_informed

BATCH, SEEDS = 17, 4
SHAPES = ((7, 5), (64, 48), (3, 3, 8, 16))
MEASURED = ((64, 48), (5, 5, 12, 20))
DRAWS = 2**16  # entries of which moments are taken


class Case(NamedTuple):
    """Holds one comparison."""

    quantity: str
    """what was compared: value, gradient, ..."""
    oracle: str
    difference: float
    tolerance: float


def function_cases(row, dtype: str) -> Iterator[Case]:
    """Compares values, and gradients (in float32 at least) where the oracle is a JAX function too."""
    ours, theirs = jax.jit(row.ours), jax.jit(row.oracle) if row.differentiable_oracle else row.oracle
    pulls = [jax.jit(partial(pullback, function)) for function in (row.ours, row.oracle)]
    for seed in range(SEEDS):
        arrays = row.arguments(np.random.default_rng(seed), BATCH)
        arguments = _cast(arrays, dtype)
        pair = ours(*arguments), theirs(*arguments)
        tolerance = TOLERANCE.get(str(pair[0].dtype), TOLERANCE[dtype])  # metrics are float32 whatever goes in
        yield Case("value", row.against, relative_difference(*pair), tolerance)
        if row.differentiable_oracle:
            wide = _cast(arrays, _at_least_float32(dtype))
            difference = relative_difference(*(pull(wide) for pull in pulls))
            yield Case("gradient", row.against, difference, TOLERANCE[_at_least_float32(dtype)])


def layer_cases(row, dtype: str, *, batch: int = BATCH) -> Iterator[Case]:
    """Compares the hand-written backward pass with automatic differentiation of the forward pass."""
    layer, key, dtype = row.layer, jax.random.key(0), _at_least_float32(dtype)

    @partial(jax.jit, static_argnames="train")
    def both(params, x, state, dy, *, train):
        forward = lambda params, x: run(layer, params, x, state=state, train=train, key=key)
        dparams, dx = layer.backward(forward(params, x)[1], dy)
        if dx is None:  # integers have no gradient
            return dparams, jax.vjp(lambda params: forward(params, x)[0], params)[1](dy)[0]
        return (dparams, dx), jax.vjp(lambda *both: forward(*both)[0], params, x)[1](dy)

    for seed in range(SEEDS):
        params, x, state, dy = layer_arguments(row, dtype, batch=batch, seed=seed)
        for train in (False, True):
            difference = relative_difference(*both(params, x, state, dy, train=train))
            yield Case("backward", "jax.vjp of its forward", difference, TOLERANCE[dtype])


def initializer_cases(row, dtype: str) -> Iterator[Case]:
    """Compares the draws with the reference's, where there is one; and mean and standard deviation of many draws."""
    key = jax.random.key(0)
    for shape in SHAPES if row.oracle else ():
        if len(shape) == 2 or not row.two_dimensional:
            pair = row.ours(key, shape, dtype), row.oracle(shape)(key, shape, dtype)
            yield Case("draws", row.against, relative_difference(*pair), TOLERANCE[dtype])
    for shape in MEASURED[: 1 if row.two_dimensional else None] if row.std else ():
        keys = jax.random.split(key, math.ceil(DRAWS / math.prod(shape)))
        draws = np.asarray(jax.vmap(partial(row.ours, shape=shape, dtype=jnp.float32))(keys), np.float64)
        std, error = row.std(shape), 5 / math.sqrt(draws.size)  # five standard errors of the mean
        yield Case("mean / std", "0", abs(draws.mean()) / std, error)
        yield Case("std", "its paper's formula", abs(draws.std() / std - 1), 2 * error)


def schedule_cases(row, dtype: str) -> Iterator[Case]:
    """Compares every step, and a quarter more."""
    steps = range(row.steps + row.steps // 4)
    pair = jnp.stack([row.ours(s) for s in steps]), jnp.stack([jnp.asarray(row.oracle(s), jnp.float32) for s in steps])
    yield Case("values", row.against, relative_difference(*pair), TOLERANCE["float32"])


def optimizer_cases(row, dtype: str) -> Iterator[Case]:
    """Compares whole paths over a hundred steps, of all problems at once, of the optimizer and of its adjustable form.

    The numbers are rounded to float32, as an adjustable form keeps them. In bfloat16 a path would say nothing.
    """
    dtype = _at_least_float32(dtype)
    numbers = {name: float(np.float32(number)) for name, number in row.numbers.items()}
    start = {problem.__name__: jax.tree.map(lambda x: jnp.asarray(x, dtype), at) for problem, at in PROBLEMS.items()}
    all_problems = lambda params: sum(problem(params[problem.__name__]) for problem in PROBLEMS)
    walkers = row.ours(**numbers), row.adjustable(**numbers), row.theirs(**numbers)
    walk = jax.jit(lambda start: [descend(walker, all_problems, start) for walker in walkers])
    ours, adjustable, theirs = walk(start)
    for problem, path in theirs.items():
        if not max(float(jnp.abs(x[-1] - x[0]).max()) for x in jax.tree.leaves(path)) > 1e-2:
            raise ValueError(f"the path of {problem} goes nowhere, and would prove nothing")
        for quantity, walked in (("path", ours), ("path, adjustable", adjustable)):
            yield Case(quantity, row.against, relative_difference(walked[problem], path), TOLERANCE[dtype])


def descent_cases(row, dtype: str) -> Iterator[Case]:
    """Compares paths from several starts, or their ends; the oracle starts where `dtype` rounds the start to."""
    dtype = _at_least_float32(dtype)
    ours = jax.jit(lambda start: descend_informed(row.ours, row.value_fn, start, steps=row.steps, **row.extra))
    for seed in range(SEEDS):
        start = jax.tree.map(lambda x: jnp.asarray(x, dtype), row.start(np.random.default_rng(seed)))
        path = ours(start)
        compared = jax.tree.map(lambda x: x[-1], path) if row.minimum else path
        difference = relative_difference(compared, row.oracle(start))
        tolerance = row.tolerance.get(dtype, TOLERANCE[dtype])
        yield Case("minimum" if row.minimum else "path", row.against, difference, tolerance)


def model_cases(row, dtype: str, *, batch: int = BATCH) -> Iterator[Case]:
    """Compares the number of parameters with the published one, and outputs for parameters that are nowhere zero."""
    dtype, rng = _at_least_float32(dtype), np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, *row.shape)), dtype)
    shapes = jax.eval_shape(row.module.init, jax.random.key(0), x)
    scale = lambda leaf: max(1, math.prod(leaf.shape[:-1])) ** -0.5
    variables = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * scale(leaf), dtype), shapes)
    counts = {layer: sum(leaf.size for leaf in jax.tree.leaves(own)) for layer, own in shapes["params"].items()}
    yield Case("parameters", "the published table", float(counts != row.layers), 0.0)
    pair = jax.jit(row.module.apply)(variables, x), row.oracle(variables["params"], x)
    yield Case("outputs", row.against, relative_difference(*pair), TOLERANCE[dtype])


def _cast(arrays, dtype):
    return tuple(jnp.asarray(a, dtype if a.dtype.kind == "f" else None) for a in arrays)


def layer_arguments(row, dtype: str, *, batch: int = BATCH, seed: int = 0):
    """Returns `(params, x, state, dy)`; the parameters are moved off their initial values, which may be 0 and 1."""
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    shape = (batch, *row.x_shape)
    normal = lambda shape: jnp.asarray(rng.normal(size=shape), dtype)
    x = normal(shape) if row.integers is None else jnp.asarray(rng.integers(row.integers, size=shape))
    params, state = row.layer.init(key, x), row.layer.init_state(x)
    params = jax.tree.map(lambda p: p.astype(dtype) + 0.1 * normal(p.shape), params)
    y, _ = jax.eval_shape(lambda: run(row.layer, params, x, state=state, key=key))
    return params, x, state, normal(y.shape)


def _at_least_float32(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype
