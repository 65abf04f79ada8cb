"""Batch normalization has its gradient derived twice here: in closed form, and node by node on the lecture's graph.

Source: Ioffe and Szegedy 2015, arXiv 1502.03167.
"""

import numbers
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxnn.layers.hand_written import Layer, Static, check_floats, differentiable


class BatchStatistics(NamedTuple):
    """Holds the mean and the biased variance of every channel, in float32 or a wider type."""

    mean: Float[Array, " features"]
    var: Float[Array, " features"]


class CountedStatistics(NamedTuple):
    """Holds the averages of the statistics of `count` batches, each of which has the same weight."""

    mean: Float[Array, " features"]
    var: Float[Array, " features"]
    count: Float[Array, ""]


class Residuals(NamedTuple):
    """Holds the values that both backward passes read."""

    scale: Any
    x: Any
    statistics: BatchStatistics
    r: Any
    """Equals `1 / sqrt(var + eps)`."""
    of_batch: Static
    """Is True if the statistics are those of the batch itself."""
    axis_name: Static


def forward(params, x, *, eps=1e-5, axis_name=None):
    """Computes `y = scale (x - m) / sqrt(v + eps) + bias`, where `m = E[x]` and `v = E[(x - m)^2]`.

    E is the mean over the batch and over space.
    """
    m = _average_over(_mean(_wide(x)), axis_name)
    v = _average_over(_mean((_wide(x) - _row(m, x)) ** 2), axis_name)
    return _affine(params, x, BatchStatistics(m, v), eps, Static(True), Static(axis_name))


def backward(residuals, dy):
    """Computes `dx = scale r (dy - E[dy] - x_hat E[dy x_hat])`, `dscale = sum dy x_hat` and `dbias = sum dy`.

    If the statistics are constants, it computes `dx = scale r dy`. Here `r = 1 / sqrt(var + eps)`.
    """
    x, (mean, _), r = residuals.x, residuals.statistics, _row(residuals.r, dy)
    centred, wide_dy = _wide(x) - _row(mean, x), _wide(dy)
    dbias, dscale = _mean(wide_dy), _mean(wide_dy * centred) * residuals.r  # over the device's own examples
    if residuals.of_batch.value:
        e_dy, e_dy_xhat = (_average_over(e, residuals.axis_name.value) for e in (dbias, dscale))
        wide_dy = wide_dy - _row(e_dy, x) - centred * (r * _row(e_dy_xhat, x))
    dx = _row(residuals.scale, x) * r * wide_dy
    return _parameters(dscale, dbias, residuals, examples=x.size // x.shape[-1]), dx.astype(x.dtype)


def backward_step_by_step(residuals, dy):
    """Computes `backward` node by node, as CS231n derives it, for the statistics of the batch itself.

    It goes back through the graph m = E[x], c = x - m, q = c^2, v = E[q], s = sqrt(v + eps), r = 1 / s, h = c r,
    y = scale h + bias.
    """
    x, m, r = _wide(residuals.x), _row(residuals.statistics.mean, dy), _row(residuals.r, dy)
    scale, n, dy = _row(residuals.scale, dy), x.size // x.shape[-1], _wide(dy)
    total = lambda t: _row(_mean(t) * n, x)
    c, s = x - m, 1 / r
    h = c * r
    dbias = total(dy)
    dscale = total(dy * h)
    dh = dy * scale
    dr = total(dh * c)
    ds = -dr / s**2
    dv = ds / (2 * s)
    dq = dv / n
    dc = dh * r + dq * 2 * c
    dm = -total(dc)
    dx = dc + dm / n
    return _parameters(dscale.ravel() / n, dbias.ravel() / n, residuals, examples=n), dx.astype(residuals.x.dtype)


def inference_forward(params, x, *, eps=1e-5):
    """Computes `forward` with given statistics, where `params` is the pair (parameters, statistics)."""
    params, statistics = params
    return _affine(params, x, statistics, eps, Static(False), Static(None))


def inference_backward(residuals, dy):
    """Computes `backward` for given statistics, which get no gradient."""
    dparams, dx = backward(residuals, dy)
    return (dparams, None), dx


def _with_statistics(params, x, **static):
    y, residuals = forward(params, x, **static)
    return (y, residuals.statistics), residuals


_batch_norm = lambda **static: differentiable(
    partial(_with_statistics, **static), lambda residuals, dy: backward(residuals, dy[0])
)
_inference = lambda **static: differentiable(partial(inference_forward, **static), inference_backward)


def batch_norm(params, x, *, eps: float = 1e-5, axis_name: str | None = None):
    """Normalizes x by the mean m and the variance v of the batch, and returns the pair (y, statistics).

    `y = scale x_hat + bias` with `x_hat = (x - m) / sqrt(v + eps)`. Gradient:
    `dx = scale / sqrt(v + eps) (dy - E[dy] - x_hat E[dy x_hat])`. The parts of dy that are constant or parallel to
    x_hat contribute nothing (apart from eps), because y does not change when x is shifted or scaled. The statistics
    that are returned carry no gradient.

    Args:
      params: `scale` and `bias` (features,).
      x: (batch, ..., features); all axes but the last are averaged over.
      eps: a small number that keeps the output of a constant channel finite.
      axis_name: the axis of `pmap` or `shard_map` (with `check_vma=False`). The statistics are then averaged over the
        devices too, which must have equally many examples. `dscale` and `dbias` are those of the device's own
        examples, to be averaged over the devices with all other gradients.

    Raises:
      ValueError: the parameters have another shape, or x has fewer than two axes.

    >>> y, statistics = batch_norm({"scale": jnp.ones(1), "bias": jnp.zeros(1)}, jnp.array([[1.0], [3.0]]))
    >>> y.round(3).tolist(), statistics.mean.tolist(), statistics.var.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    _check(params, x)
    y, statistics = _batch_norm(eps=eps, axis_name=axis_name)(params, x)
    return y, lax.stop_gradient(statistics)


def batch_norm_inference(params, x, *, statistics: BatchStatistics, eps: float = 1e-5):
    """Computes `scale (x - mean) / sqrt(var + eps) + bias` with running statistics, which get no gradient.

    Gradient: `dx = scale / sqrt(var + eps) dy`. The other arguments and the errors are those of `batch_norm`.

    >>> running = BatchStatistics(jnp.array([2.0]), jnp.array([4.0]))
    >>> params = {"scale": jnp.ones(1), "bias": jnp.zeros(1)}
    >>> batch_norm_inference(params, jnp.array([[6.0]]), statistics=running).round(3).tolist()
    [[2.0]]
    """
    _check(params, x)
    return _inference(eps=eps)((params, BatchStatistics(*statistics)), x)


def moving_average(old, new, *, decay: float | Float[Array, ""] = 0.9):
    """Computes `decay old + (1 - decay) new`, leaf by leaf, so that `decay` is the weight of the past.

    Flax and Keras define it in the same way. In PyTorch `momentum` is the weight of the new value. PyTorch's running
    variance is unbiased (multiplied by n / (n - 1)), while the variance of `batch_norm` is biased; `BatchNorm` takes
    `unbiased=True`.

    >>> moving_average(jnp.array([1.0]), jnp.array([2.0]), decay=0.75).tolist()
    [1.25]
    """
    return jax.tree.map(lambda o, n: (decay * o + (1 - decay) * n).astype(o.dtype), old, new)


def cumulative_average(old: CountedStatistics, new: BatchStatistics) -> CountedStatistics:
    """Computes the mean of the statistics of all batches so far, `old + (new - old) / (count + 1)`.

    It is the moving average with the decay `count / (count + 1)`, and PyTorch's with `momentum=None`.

    >>> old = CountedStatistics(jnp.array([1.0]), jnp.array([3.0]), jnp.array(1.0))
    >>> [leaf.tolist() for leaf in cumulative_average(old, BatchStatistics(jnp.array([2.0]), jnp.array([5.0])))]
    [[1.5], [4.0], 2.0]
    """
    mean, var, count = old
    average = moving_average(BatchStatistics(mean, var), new, decay=count / (count + 1))
    return CountedStatistics(*average, count + 1)


def unbiased_statistics(residuals) -> BatchStatistics:
    """Returns the statistics of the batch with the variance multiplied by `n / (n - 1)`; n counts the averaged numbers.

    Of a single number (n = 1) the variance is 0 in any case.
    """
    x, (mean, var), axis_name = residuals.x, residuals.statistics, residuals.axis_name.value
    n = x.size // x.shape[-1] * (1 if axis_name is None else lax.psum(1, axis_name))
    return BatchStatistics(mean, var * (n / max(n - 1, 1)))


def BatchNorm(
    *, decay: float | None = 0.9, unbiased: bool = False, eps: float = 1e-5, axis_name: str | None = None
) -> Layer:
    """Returns a layer that computes `batch_norm` in training and `batch_norm_inference` in test mode.

    Its state is the moving average of the statistics, which starts at mean 0 and variance 1. PyTorch's layer is
    `BatchNorm(decay=1 - momentum, unbiased=True)`.

    Args:
      decay: the weight of the past in the moving average. With None, all batches have the same weight: the state is
        the `cumulative_average`, which counts them.
      unbiased: averages the variances multiplied by `n / (n - 1)`. Training uses the biased variance in either case.
      eps, axis_name: those of `batch_norm`.

    Raises:
      ValueError: `decay` is a number outside [0, 1].
    """
    if isinstance(decay, numbers.Real) and not 0 <= decay <= 1:
        raise ValueError(f"`decay` must be from 0 to 1; received {decay}. It is the weight of the past.")

    def init(key, x):
        return {"scale": jnp.ones(x.shape[-1], x.dtype), "bias": jnp.zeros(x.shape[-1], x.dtype)}

    def init_state(x):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        statistics = BatchStatistics(jnp.zeros(x.shape[-1], wide), jnp.ones(x.shape[-1], wide))
        return statistics if decay is not None else CountedStatistics(*statistics, jnp.zeros((), wide))

    def either_forward(params, x, *, state, train):
        _check(params, x)
        if train:
            return forward(params, x, eps=eps, axis_name=axis_name)
        return inference_forward((params, BatchStatistics(*state[:2])), x, eps=eps)

    def advance(state, residuals):
        if not residuals.of_batch.value:
            return state
        new = unbiased_statistics(residuals) if unbiased else residuals.statistics
        return cumulative_average(state, new) if decay is None else moving_average(state, new, decay=decay)

    return Layer(init, either_forward, backward, init_state, advance)


def _affine(params, x, statistics, eps, *static):
    r = lax.rsqrt(statistics.var + eps)
    y = (_wide(x) - _row(statistics.mean, x)) * _row(r * params["scale"], x) + _row(params["bias"], x)
    return y.astype(x.dtype), Residuals(params["scale"], x, statistics, r, *static)


def _parameters(dscale, dbias, residuals, *, examples):
    """Turns means into sums, in the dtype of the parameters."""
    return {name: (examples * d).astype(residuals.scale.dtype) for name, d in (("scale", dscale), ("bias", dbias))}


def _mean(x):
    """Averages over all axes except the last.

    On CPU it sums over space first and then over the batch, as a product with ones; both steps vectorize.
    """
    if jax.default_backend() != "cpu":
        return x.mean(axis=tuple(range(x.ndim - 1)))
    over_space = x.sum(axis=tuple(range(1, x.ndim - 1)))
    return jnp.ones(len(x), x.dtype) @ over_space / (x.size // x.shape[-1])


def _average_over(mean, axis_name):
    return mean if axis_name is None else lax.pmean(mean, axis_name)


def _row(v, x):
    """Reshapes a vector of the features so that it broadcasts against x."""
    return lax.expand_dims(v, range(x.ndim - 1))


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _check(params, x):
    shapes = params["scale"].shape, params["bias"].shape
    if x.ndim < 2 or shapes != (x.shape[-1:], x.shape[-1:]):
        raise ValueError(
            f"`x` must have shape (batch, ..., features), `scale` and `bias` (features,); received {x.shape}, "
            f"{shapes[0]} and {shapes[1]}. Are the channels last?"
        )
    check_floats(x)
