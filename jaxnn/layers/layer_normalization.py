"""Layer, group and root-mean-square normalization normalize every example by itself.

Training and test are therefore the same. Let x_hat = (x - m) r, where the mean m and r = 1 / sqrt(E[(x - m)^2] + eps)
are computed over some axes, and let d be the gradient of x_hat. Then

    dx = r (d - E[d] - x_hat E[d x_hat]).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, Static, check_floats, differentiable


def layer_forward(params, x, *, eps=1e-5):
    """Computes `y = scale x_hat + bias`, where x_hat is standardized over the features of every position."""
    x_hat, r = _standardize(_wide(x), eps, _mean)
    return _affine(params, x_hat, x.dtype), (params["scale"], x_hat, r)


def layer_backward(residuals, dy):
    """Computes `dx = r (d - E[d] - x_hat E[d x_hat])`, `dscale = sum dy x_hat` and `dbias = sum dy`; `d = scale dy`."""
    return _backward(*residuals, dy, _mean)


def group_forward(params, x, *, groups, eps=1e-5):
    """Computes `y = scale x_hat + bias`, where x_hat is standardized over space and the features of a group."""
    x_hat, r = _standardize(_wide(x), eps, partial(_group_mean, groups=groups))
    return _affine(params, x_hat, x.dtype), (params["scale"], x_hat, r, Static(groups))


def group_backward(residuals, dy):
    """Computes the gradients as `layer_backward` does, with E over space and the features of a group."""
    *residuals, groups = residuals
    return _backward(*residuals, dy, partial(_group_mean, groups=groups.value))


def rms_forward(params, x, *, eps=1e-5):
    """Computes `y = scale x_hat` with `x_hat = x r` and `r = 1 / sqrt(E[x^2] + eps)`."""
    wide = _wide(x)
    r = lax.rsqrt((wide * wide).mean(axis=-1, keepdims=True) + eps)
    return (wide * r * _row(params["scale"], x)).astype(x.dtype), (params["scale"], x, r)


def rms_backward(residuals, dy):
    """Computes `dx = r (d - x_hat E[d x_hat])` with `d = scale dy`, and `dscale = sum dy x_hat`."""
    scale, x, r = residuals
    x_hat, d = _wide(x) * r, _wide(dy) * _row(scale, dy)
    dx = r * (d - x_hat * _mean(d * x_hat))
    return {"scale": _total(dy * x_hat, scale)}, dx.astype(dy.dtype)


def layer_norm(params, x, *, eps: float = 1e-5):
    """Computes `scale (x - m) / sqrt(v + eps) + bias`, where m and v are mean and variance over the last axis.

    Gradient: `dx = r (d - E[d] - x_hat E[d x_hat])` with `d = scale dy`, `r = 1 / sqrt(v + eps)`. Flax's eps is 1e-6,
    PyTorch's 1e-5.

    Args:
      params: `scale` and `bias` (features,).
      x: (batch, ..., features).
      eps: a small number that keeps the output finite where all features of a position are equal.

    Raises:
      ValueError: the parameters have another shape, or x has fewer than two axes.

    Source: Ba, Kiros and Hinton 2016, arXiv 1607.06450.

    >>> layer_norm({"scale": jnp.ones(2), "bias": jnp.zeros(2)}, jnp.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """
    _check(params, x, ("scale", "bias"))
    return differentiable(partial(layer_forward, eps=eps), layer_backward)(params, x)


def group_norm(params, x, *, groups: int, eps: float = 1e-5):
    """Computes `scale (x - m) / sqrt(v + eps) + bias`, where m and v are mean and variance over a group.

    For every example, the mean and the variance are over space and the features of the group. A group is
    `features / groups` neighbouring features. One group is layer normalization over space too, and as many groups as
    features are instance normalization. The gradient has the form of that of `layer_norm`, with E over space and the
    group.

    Args:
      params: `scale` and `bias` (features,).
      x: (batch, ..., features).
      groups: divides the number of features.
      eps: a small number that keeps the output of a constant group finite.

    Raises:
      ValueError: the parameters have another shape, x has fewer than two axes, or `groups` does not divide the number
        of features.

    Source: Wu and He 2018, arXiv 1803.08494.

    >>> x = jnp.array([[1.0, 3.0, 10.0, 30.0]])
    >>> group_norm({"scale": jnp.ones(4), "bias": jnp.zeros(4)}, x, groups=2).round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    _check(params, x, ("scale", "bias"), groups=groups)
    return differentiable(partial(group_forward, groups=groups, eps=eps), group_backward)(params, x)


def rms_norm(params, x, *, eps: float = 1e-5):
    """Computes `scale x / sqrt(E[x^2] + eps)`, where E is the mean over the features of every position.

    It subtracts no mean and adds no bias. Gradient: `dx = r (d - x_hat E[d x_hat])` with `d = scale dy`,
    `r = 1 / sqrt(E[x^2] + eps)` and `x_hat = x r`. The arguments and errors are those of `layer_norm`, except that
    `params` has only `scale`.

    Source: Zhang and Sennrich 2019, arXiv 1910.07467.

    >>> rms_norm({"scale": jnp.ones(2)}, jnp.array([[2.0, -2.0]])).round(3).tolist()
    [[1.0, -1.0]]
    """
    _check(params, x, ("scale",))
    return differentiable(partial(rms_forward, eps=eps), rms_backward)(params, x)


def LayerNorm(*, eps: float = 1e-5) -> Layer:
    """Returns a layer that computes `layer_norm`."""
    return _layer(partial(layer_forward, eps=eps), layer_backward, ("scale", "bias"))


def GroupNorm(groups: int, *, eps: float = 1e-5) -> Layer:
    """Returns a layer that computes `group_norm`."""
    return _layer(partial(group_forward, groups=groups, eps=eps), group_backward, ("scale", "bias"), groups=groups)


def RMSNorm(*, eps: float = 1e-5) -> Layer:
    """Returns a layer that computes `rms_norm`."""
    return _layer(partial(rms_forward, eps=eps), rms_backward, ("scale",))


def _layer(forward, backward, names, *, groups=1):
    initial = {"scale": jnp.ones, "bias": jnp.zeros}

    def init(key, x):
        return {name: initial[name](x.shape[-1], x.dtype) for name in names}

    def checked(params, x):
        _check(params, x, names, groups=groups)
        return forward(params, x)

    return Layer(init, checked, backward)


def _standardize(x, eps, mean):
    centred = x - mean(x)
    r = lax.rsqrt(mean(centred * centred) + eps)
    return centred * r, r


def _affine(params, x_hat, dtype):
    return (x_hat * _row(params["scale"], x_hat) + _row(params["bias"], x_hat)).astype(dtype)


def _backward(scale, x_hat, r, dy, mean):
    d = _wide(dy) * _row(scale, dy)
    dx = r * (d - mean(d) - x_hat * mean(d * x_hat))
    return {"scale": _total(dy * x_hat, scale), "bias": _total(dy, scale)}, dx.astype(dy.dtype)


def _mean(x):
    """Averages over the last axis and keeps it; on CPU by a matrix product, which is faster there than a sum."""
    if jax.default_backend() == "cpu":
        return x @ jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)
    return x.mean(axis=-1, keepdims=True)


def _group_mean(x, *, groups):
    """Averages over space and a group, and repeats the mean for each of its features: (batch, 1, ..., features)."""
    batch, features = x.shape[0], x.shape[-1]
    of_features = x.reshape(batch, -1, features).mean(axis=1)
    of_groups = of_features.reshape(batch, groups, -1).mean(axis=2)
    return jnp.repeat(of_groups, features // groups, axis=1).reshape(batch, *[1] * (x.ndim - 2), features)


def _total(dy, scale):
    """Sums over all axes except the last, in the dtype of the parameter."""
    return _wide(dy).sum(axis=tuple(range(dy.ndim - 1))).astype(scale.dtype)


def _row(v, x):
    """Reshapes a vector of the features so that it broadcasts against x."""
    return lax.expand_dims(v, range(x.ndim - 1))


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _check(params, x, names, *, groups=1):
    shapes = {name: params[name].shape for name in names}
    if x.ndim < 2 or {*shapes.values()} != {x.shape[-1:]}:
        raise ValueError(
            f"`x` must have shape (batch, ..., features) and {', '.join(f'`{name}`' for name in names)} (features,); "
            f"received {x.shape} and {', '.join(map(str, shapes.values()))}. Are the channels last?"
        )
    check_floats(x)
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"`groups` must divide the {x.shape[-1]} features; received {groups}.")
