"""An initializer is a function `init(key, shape, dtype) -> array`, the contract of `jax.nn.initializers`.

The fan-in F of a shape is the product of all its axes except the last, so dense kernels (in, out) and convolution
kernels HWIO need no options. The fan-out is the receptive field times the last axis. With inputs of variance 1 and
weights of mean 0 and variance 1/F, a sum of F products has variance 1 again; each rule below is a variant of this.
Every random draw has mean 0. `lecun_*`, `xavier_*` and `he_*` draw the same numbers as `jax.nn.initializers`.
"""

import math
import numbers
from functools import partial

import jax
import jax.numpy as jnp

_NORMAL = jax.random.normal, 1.0  # a distribution, and its standard deviation
_TRUNCATED = partial(jax.random.truncated_normal, lower=-2, upper=2), 0.87962566103423978
_UNIFORM = partial(jax.random.uniform, minval=-1, maxval=1), 3**-0.5


def zeros(key, shape, dtype=jnp.float32):
    """Returns zeros, which are right for biases and wrong for the kernels of hidden layers.

    Units of a layer that start equal receive equal gradients and stay equal, so the layer acts as one unit for ever.
    With kernels of zeros no gradient reaches the layers below at all. The kernel of a last layer may be zero.

    >>> zeros(jax.random.key(0), (2,)).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros(shape, dtype)


def constant(value):
    """Returns an initializer with the same `value` everywhere; as with `zeros`, equal hidden units stay equal.

    >>> constant(0.1)(jax.random.key(0), (2,), jnp.bfloat16).tolist()
    [0.10009765625, 0.10009765625]
    """
    return lambda key, shape, dtype=jnp.float32: jnp.full(shape, value, dtype)


def normal(stddev: float = 1.0):
    """Draws from `N(0, stddev^2)`, not truncated, for any shape; AlexNet uses 0.01.

    Raises:
      ValueError: a `stddev` that is not positive.

    >>> normal(0.01)(jax.random.key(0), (3, 4)).shape
    (3, 4)
    """
    _check_positive("stddev", stddev)
    return lambda key, shape, dtype=jnp.float32: jax.random.normal(key, shape, dtype) * jnp.asarray(stddev, dtype)


def fan_in_uniform(scale: float = 1.0, *, exponent: float = 0.5):
    """Draws from `U(-b, b)` with `b = scale / F^exponent`, where F is the fan-in: all axes of the shape but the last.

    The default, the lectures' 1/sqrt(n), has variance 1/(3F), a sixth of He's. LeCun et al. 1998 (appendix A) use
    `scale=2.4, exponent=1`.

    Raises:
      ValueError: a `scale` that is not positive, a shape of one axis (ZeroDivisionError: of fan-in 0).

    >>> w = fan_in_uniform()(jax.random.key(0), (5, 5, 6, 16))
    >>> bool(abs(w).max() <= 150**-0.5)
    True
    """
    _check_positive("scale", scale)

    def init(key, shape, dtype=jnp.float32):
        bound = scale / _fan_in(shape) ** exponent
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def fan_in_normal(scale: float = 1.0):
    """Draws from `N(0, scale^2/F)`, not truncated, where F is the fan-in.

    The default is the lectures' `randn(n) / sqrt(n)`; `scale=sqrt(2)` is He's rule as published.

    Raises:
      ValueError: a `scale` that is not positive, a shape of one axis (ZeroDivisionError: of fan-in 0).

    >>> round(float(fan_in_normal()(jax.random.key(0), (400, 100)).std()), 3)
    0.05
    """
    _check_positive("scale", scale)
    return _variance_scaling(_NORMAL, scale, _fan_in)


def lecun_normal():
    """Draws from a normal distribution truncated at two standard deviations and rescaled to variance 1/F.

    Raises:
      ValueError: a shape of one axis (ZeroDivisionError: of fan-in 0).

    LeCun, Bottou, Orr and Mueller 1998, Efficient BackProp, 4.6. Self-normalizing networks need it (arXiv 1706.02515).

    >>> round(float(lecun_normal()(jax.random.key(0), (400, 100)).std()), 3)
    0.05
    """
    return _variance_scaling(_TRUNCATED, 1.0, _fan_in)


def lecun_uniform():
    """Draws from `U(-sqrt(3/F), sqrt(3/F))`, of variance 1/F (LeCun et al. 1998, Efficient BackProp, 4.6).

    Raises:
      ValueError: a shape of one axis (ZeroDivisionError: of fan-in 0).

    >>> round(float(lecun_uniform()(jax.random.key(0), (300, 100)).max()), 3)
    0.1
    """
    return _variance_scaling(_UNIFORM, 1.0, _fan_in)


def xavier_normal(gain: float = 1.0):
    """Draws from a normal distribution of variance `2 gain^2/(fan_in + fan_out)`, truncated as in `lecun_normal`.

    This is between the variance that keeps the scale of activations (1/fan_in) and the variance that keeps the scale of
    gradients (1/fan_out). It is meant for units that are linear around 0, such as tanh.

    Raises:
      ValueError: a `gain` that is not positive, a shape of one axis (ZeroDivisionError: of fan-in 0).

    Xavier Glorot and Bengio 2010; also called Glorot's.

    >>> round(float(xavier_normal()(jax.random.key(0), (500, 300)).std()), 3)
    0.05
    """
    _check_positive("gain", gain)
    return _variance_scaling(_TRUNCATED, gain, _mean_fan)


def xavier_uniform(gain: float = 1.0):
    """Draws from `U(-b, b)` with `b = gain sqrt(6/(fan_in + fan_out))`, of variance `2 gain^2/(fan_in + fan_out)`.

    Raises:
      ValueError: a `gain` that is not positive, a shape of one axis (ZeroDivisionError: of fan-in 0).

    Xavier Glorot and Bengio 2010, eq. 16; also called Glorot's.

    >>> round(float(xavier_uniform()(jax.random.key(0), (400, 200)).max()), 3)
    0.1
    """
    _check_positive("gain", gain)
    return _variance_scaling(_UNIFORM, gain, _mean_fan)


def he_normal(*, negative_slope: float = 0.0):
    """Draws from a normal distribution of variance `2/((1 + a^2) F)`, truncated as in `lecun_normal`.

    The paper's distribution is not truncated: see `fan_in_normal`. A ReLU halves the second moment, and a leaky ReLU of
    slope a = `negative_slope` keeps (1 + a^2)/2 of it; the factor `2/(1 + a^2)` compensates for that.

    Raises:
      ValueError: a shape of one axis (ZeroDivisionError: of fan-in 0).

    He, Zhang, Ren and Sun 2015, arXiv 1502.01852, eq. 15.

    >>> round(float(he_normal()(jax.random.key(0), (800, 100)).std()), 3)
    0.05
    """
    return _variance_scaling(_TRUNCATED, math.sqrt(2 / (1 + negative_slope**2)), _fan_in)


def he_uniform(*, negative_slope: float = 0.0):
    """Draws from `U(-b, b)` with `b = sqrt(6/((1 + a^2) F))`, of variance `2/((1 + a^2) F)`.

    Here a = `negative_slope` is the slope of a leaky ReLU.

    Raises:
      ValueError: a shape of one axis (ZeroDivisionError: of fan-in 0).

    He, Zhang, Ren and Sun 2015, arXiv 1502.01852.

    >>> round(float(he_uniform()(jax.random.key(0), (600, 100)).max()), 3)
    0.1
    """
    return _variance_scaling(_UNIFORM, math.sqrt(2 / (1 + negative_slope**2)), _fan_in)


def orthogonal(gain: float = 1.0):
    """Draws `gain Q`, where Q (fan_in, last axis) is a uniformly random matrix with orthonormal columns.

    If there are more columns than rows, the rows are orthonormal instead. Q preserves lengths, so a deep linear network
    neither shrinks nor grows its signals. Entries have variance `gain^2 / max(fan_in, last axis)`. The Q of a normal
    matrix's QR decomposition is uniform (Haar) after the diagonal of R is made positive.

    Raises:
      ValueError: a `gain` that is not positive; a shape of fewer than two axes.

    Saxe, McClelland and Ganguli 2013, arXiv 1312.6120; Mezzadri 2006, arXiv math-ph/0609050.

    >>> q = orthogonal()(jax.random.key(0), (5, 3))
    >>> bool(jnp.allclose(q.T @ q, jnp.eye(3), atol=1e-5))
    True
    """
    _check_positive("gain", gain)

    def init(key, shape, dtype=jnp.float32):
        rows, columns = _as_matrix(shape)
        wide = jnp.promote_types(dtype, jnp.float32)  # there is no QR in half precision
        q, r = jnp.linalg.qr(jax.random.normal(key, (max(rows, columns), min(rows, columns)), wide))
        q = q * jnp.where(jnp.diagonal(r) < 0, -1, 1)[None]
        return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)

    return init


def sparse(nonzero: int = 15, *, stddev: float = 1.0):
    """Draws `nonzero` incoming weights of each unit (last axis) from `N(0, stddev^2)`; the other weights are 0.

    The variance of the sums then does not depend on the fan-in F, and units differ much. Entries have variance
    `stddev^2 k/F`, where k is the number of nonzero weights: `nonzero`, or F if F is smaller. (PyTorch's `sparse_`
    counts zeros instead.)

    Raises:
      ValueError: `nonzero` below 1, a `stddev` that is not positive; a shape of fewer than two axes.

    Martens 2010, Deep learning via Hessian-free optimization, section 5.

    >>> (sparse(2)(jax.random.key(0), (100, 3)) != 0).sum(axis=0).tolist()
    [2, 2, 2]
    """
    _check_positive("stddev", stddev)
    if nonzero < 1:
        raise ValueError(f"`nonzero` must be at least 1; received {nonzero}. Martens takes 15.")

    def init(key, shape, dtype=jnp.float32):
        rows, columns = _as_matrix(shape)
        of_places, of_values = jax.random.split(key)
        ranks = jnp.broadcast_to(jnp.arange(rows)[:, None], (rows, columns))
        chosen = jax.random.permutation(of_places, ranks, axis=0, independent=True) < nonzero
        return jnp.where(chosen, normal(stddev)(of_values, (rows, columns), dtype), 0).reshape(shape)

    return init


def lsuv(layers, x, *, key, tolerance: float = 0.1, steps: int = 10):
    """Draws orthogonal kernels and rescales each until its layer's output has variance 1 (LSUV).

    LSUV is layer-sequential unit variance. For each layer, from the first on, it computes `W <- W / sqrt(Var(y))` at
    most `steps` times, until `|Var(y) - 1| < tolerance`. The variance is that of all outputs on the batch, with biases
    included. A layer whose output is one constant is not rescaled.

    Args:
      layers: pairs (apply, params) in order, with `apply(params, x) -> y`. A layer is rescaled if params is a dict with
        a "kernel"; other layers (activations, pooling) are only applied. For a hand-written layer, apply is
        `lambda params, x: layer.forward(params, x)[0]`.
      x: a batch of a few hundred inputs, preprocessed as in training.
      key: the key of the orthogonal draws.
      tolerance: the largest allowed distance of the variance from 1.
      steps: the largest number of rescalings of a layer.

    Returns:
      The list of the layers' params, with "kernel" replaced.

    Raises:
      ValueError: no layer has a kernel; `tolerance` not positive, `steps` below 1.

    Mishkin and Matas 2015, arXiv 1511.06422, algorithm 1.

    >>> matmul = lambda params, x: x @ params["kernel"]
    >>> x = jax.random.normal(jax.random.key(1), (500, 8)) * 7 + 3
    >>> (params,) = lsuv([(matmul, {"kernel": jnp.zeros((8, 4))})], x, key=jax.random.key(0))
    >>> bool(abs(matmul(params, x).var() - 1) < 0.1)
    True
    """
    _check_positive("tolerance", tolerance)
    if steps < 1 or not any(_has_kernel(params) for _, params in layers):
        raise ValueError(
            "`layers` must hold a pair (apply, params) with a params['kernel'], and `steps` be at least 1; received "
            f"{len(layers)} layers and {steps} steps. Are the layers of a chain inside? Pass them one by one."
        )
    initialized = []
    for i, (apply, params) in enumerate(layers):
        if _has_kernel(params):
            kernel = orthogonal()(jax.random.fold_in(key, i), params["kernel"].shape, params["kernel"].dtype)
            params = {**params, "kernel": _unit_variance(apply, {**params, "kernel": kernel}, x, tolerance, steps)}
        initialized.append(params)
        x = apply(params, x)
    return initialized


def _unit_variance(apply, params, x, tolerance, steps):
    def variance(kernel):
        y = apply({**params, "kernel": kernel}, x)
        return jnp.var(y.astype(jnp.promote_types(y.dtype, jnp.float32)))

    def goes_on(carry):
        _, v, step = carry
        return (jnp.abs(v - 1) >= tolerance) & (v > 0) & (step < steps)

    def rescale(carry):
        kernel, v, step = carry
        kernel = (kernel / jnp.sqrt(v)).astype(kernel.dtype)
        return kernel, variance(kernel), step + 1

    return jax.lax.while_loop(goes_on, rescale, (params["kernel"], variance(params["kernel"]), 0))[0]


def _has_kernel(params):
    return isinstance(params, dict) and "kernel" in params


def _variance_scaling(distribution, gain, fan):
    draw, std = distribution

    def init(key, shape, dtype=jnp.float32):
        return draw(key, shape=shape, dtype=dtype) * jnp.asarray(gain / std / fan(shape) ** 0.5, dtype)

    return init


def _fan_in(shape):
    fan, _ = _as_matrix(shape)
    if fan == 0:
        raise ZeroDivisionError(
            f"`shape` must have a fan-in (the product of all axes but the last) of at least 1; received {tuple(shape)}."
            " Is the layer's input empty?"
        )
    return fan


def _mean_fan(shape):
    return (_fan_in(shape) + math.prod(shape[:-2]) * shape[-1]) / 2


def _as_matrix(shape):
    """Returns the fan-in and the length of the last axis."""
    if len(shape) < 2:
        raise ValueError(
            f"`shape` must have two axes or more, (..., in, out); received {tuple(shape)}. Start a bias with zeros."
        )
    return math.prod(shape[:-1]), shape[-1]


def _check_positive(name, value):
    if isinstance(value, numbers.Real) and not value > 0:
        raise ValueError(f"`{name}` must be greater than 0; received {value}. To start with zeros, take `zeros`.")
