"""An activation is a function `f(x) -> y`, elementwise unless its name says otherwise.

Each docstring gives the derivative. No activation gives NaN, in its value or its gradient, for a finite or infinite
input, with one exception: a slope of exactly 0 times -inf. A NaN in the input stays a NaN, so that it is seen.

An activation is zero-centred if its outputs have mean 0 for inputs that are symmetric about 0. If all outputs are
positive, the gradients of the weights into one unit of the next layer all have the same sign.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def identity(x):
    """Returns `x`; this is the activation of a linear unit, for regression and for logits.

    Derivative: 1. The function never saturates and is zero-centred.

    >>> identity(2.5)
    2.5
    """
    return x


def threshold(x):
    """Computes the Heaviside step, which is 1 where `x >= 0` (at 0 too) and 0 elsewhere.

    Derivative: 0 everywhere, by our choice also at the jump, so gradient descent learns nothing through it. The
    function is saturated at 0 and 1 and is not zero-centred (McCulloch and Pitts 1943).

    >>> threshold(jnp.array([-0.5, 0.0, 0.5])).tolist()
    [0.0, 1.0, 1.0]
    """
    return jnp.where(x < 0, 0.0, jnp.where(x >= 0, 1.0, x))  # NaN is neither


def sigmoid(x):
    """Computes the logistic function `s(x) = 1 / (1 + exp(-x))`.

    Derivative: `s (1 - s)`, which is largest at x = 0, where it is 1/4. The function saturates at 0 and 1 and is not
    zero-centred (Verhulst 1838; as an activation, Rumelhart, Hinton and Williams 1986).

    >>> sigmoid(jnp.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    return lax.logistic(_floats(x))


def tanh(x):
    """Computes the hyperbolic tangent `(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = 2 sigmoid(2x) - 1`.

    Derivative: `1 - tanh(x)^2`, which is largest at x = 0, where it is 1. The function saturates at -1 and 1 and is
    zero-centred (LeCun et al. 1998, Efficient BackProp, section 4.4).

    >>> tanh(jnp.array([-1e4, 0.0, 1e4])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return jnp.tanh(x)


def scaled_tanh(x):
    """Computes LeCun's `1.7159 tanh(2x/3)`, for which f(+-1) = +-1 and the curvature is largest at +-1.

    Units with the targets +-1 therefore do not saturate. Derivative: `1.7159 (2/3) (1 - tanh(2x/3)^2)`. The function is
    zero-centred and saturates at +-1.7159 (LeCun et al. 1998, appendix A).

    >>> scaled_tanh(jnp.array([0.0, 1.0])).round(3).tolist()
    [0.0, 1.0]
    """
    return 1.7159 * jnp.tanh(2 / 3 * x)


def relu(x):
    """Computes the rectifier `max(x, 0)`.

    Derivative: 1 for x > 0, else 0, at the kink too. Since it is 0 for all negative inputs, a unit that always receives
    negative inputs may never learn again. The function is unbounded above and not zero-centred (Nair and Hinton 2010;
    Glorot et al. 2011).

    >>> relu(jnp.array([-2.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    return jnp.where(x <= 0, 0.0, x)


def leaky_relu(x, *, negative_slope=0.01):
    """Computes `x` for x > 0, else `a x`, where the small slope a lets a unit that has died learn again.

    Derivative: 1 for x > 0, else a, at the kink too (PyTorch uses a there as well, JAX uses 1). The function is
    unbounded on both sides and more nearly zero-centred than ReLU (Maas et al. 2013).

    >>> leaky_relu(jnp.array([-2.0, 2.0]), negative_slope=0.25).tolist()
    [-0.5, 2.0]
    """
    return relu(x) + negative_slope * jnp.where(x > 0, 0.0, x)


def prelu(x, slope):
    """Computes leaky ReLU with a learned slope `a`, one for all features or one for each feature of the last axis.

    Derivative: 1 for x > 0, else a, at the kink too. The derivative with respect to a is `min(x, 0)`, summed over all
    inputs that share this slope. Weight decay would pull a towards 0, which is ReLU; the paper applies no decay to a,
    and a starts at 0.25 (He et al. 2015, arXiv 1502.01852).

    Raises:
      ValueError: `slope` is neither a number nor of shape (features,).

    >>> prelu(jnp.array([[-2.0, -2.0], [2.0, 2.0]]), jnp.array([0.25, 0.5])).tolist()
    [[-0.5, -1.0], [2.0, 2.0]]
    """
    if jnp.ndim(slope) and jnp.shape(slope) != x.shape[-1:]:
        raise ValueError(
            f"`slope` must be a number or of shape {x.shape[-1:]}, one for each feature of the last axis; received "
            f"shape {jnp.shape(slope)}."
        )
    return leaky_relu(x, negative_slope=jnp.broadcast_to(slope, x.shape))


def rrelu(x, *, key=None, lowest=1 / 8, highest=1 / 3):
    """Computes leaky ReLU with random slopes in training; without a key, in test mode, with their mean.

    With a key, every element has a slope `a` of its own, uniform from `lowest` to `highest`. Without one, the slope is
    `(lowest + highest) / 2`. Derivative: 1 for x > 0, else a, at the kink too (Xu et al. 2015, arXiv 1505.00853).

    >>> rrelu(jnp.array([-48.0, 2.0])).tolist()
    [-11.0, 2.0]
    """
    if key is None:
        return leaky_relu(x, negative_slope=(lowest + highest) / 2)
    return leaky_relu(x, negative_slope=jax.random.uniform(key, x.shape, x.dtype, lowest, highest))


def relu6(x):
    """Computes `min(max(x, 0), 6)`, a rectifier whose outputs few bits can represent.

    Derivative: 1 for 0 < x < 6, else 0, at both kinks too. The function saturates at 0 and 6 and is not zero-centred
    (Krizhevsky 2010; Howard et al. 2017, arXiv 1704.04861).

    >>> relu6(jnp.array([-2.0, 2.0, 8.0])).tolist()
    [0.0, 2.0, 6.0]
    """
    return _between(x, 0.0, 6.0)


def threshold_linear(x, *, above, otherwise):
    """Computes `x` for x > `above`, and the number `otherwise` elsewhere (PyTorch's `Threshold`).

    Derivative: 1 for x > `above`, else 0, at the jump too. With zeros the function is ReLU. It is unbounded above.

    >>> threshold_linear(jnp.array([-2.0, 0.5, 2.0]), above=1.0, otherwise=-1.0).tolist()
    [-1.0, -1.0, 2.0]
    """
    return jnp.where(x <= above, otherwise, x)


def elu(x, *, alpha=1.0):
    """Computes the exponential linear unit, which is `x` for x > 0, else `a (exp(x) - 1)`.

    Derivative: 1 for x > 0, else `a exp(x)`. At 0 it is therefore a, and there is no kink if a = 1. The function
    saturates at -a, and its mean activation is nearer zero than ReLU's (Clevert et al. 2016, arXiv 1511.07289).

    >>> elu(jnp.array([-1e4, 0.0, 2.0])).tolist()
    [-1.0, 0.0, 2.0]
    """
    return relu(x) + alpha * jnp.expm1(jnp.where(x > 0, 0.0, x))


def celu(x, *, alpha=1.0):
    """Computes the continuously differentiable ELU, which is `x` for x > 0, else `a (exp(x / a) - 1)`.

    Derivative: 1 for x > 0, else `exp(x / a)`, so there is no kink for any a > 0. The function saturates at -a, and is
    ELU for a = 1 (Barron 2017, arXiv 1704.07483).

    >>> celu(jnp.array([-1e4, 0.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 0.0, 2.0]
    """
    return relu(x) + alpha * jnp.expm1(jnp.where(x > 0, 0.0, x) / alpha)


def selu(x):
    """Computes the scaled ELU `1.0507 elu(x, alpha=1.6733)`, which keeps mean 0 and variance 1 through many layers.

    This mean and variance are a fixed point of a layer whose weights have mean 0 and variance 1 / fan-in. Derivative:
    l = 1.0507... for x > 0, else `l a exp(x)` with a = 1.6733, so it is 1.7581 at the kink. The function saturates at
    -1.7581 (Klambauer et al. 2017, arXiv 1706.02515).

    >>> [round(y, 4) for y in selu(jnp.array([-1e4, 0.0, 1.0])).tolist()]
    [-1.7581, 0.0, 1.0507]
    """
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


def gelu(x, *, approximate: bool = False):
    """Computes the Gaussian error linear unit `x P(Z <= x)`, where Z is standard normal.

    The function is smooth and has its minimum of -0.17 at x = -0.75. Derivative: `P(Z <= x) + x p(x)`, where p is the
    density of Z. It tends to 0 far below and to 1 far above, so the function is not zero-centred and units far below
    are dead. With `approximate`, the function is the paper's `x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2`, which
    GPT-2 uses and which differs by less than 5e-4 (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    >>> [round(y, 4) for y in gelu(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()]
    [-0.0, 0.0, 0.8413]
    """
    return _gated(x, _tanh_gate if approximate else _normal_gate)


def silu(x):
    """Computes `x sigmoid(x)`, also called swish, which is smooth and has its minimum of -0.28 at x = -1.28.

    Derivative: `s + x s (1 - s)` with `s = sigmoid(x)`. It tends to 0 far below and to 1 far above, so the function is
    not zero-centred (Elfwing et al. 2018, arXiv 1702.03118; Ramachandran et al. 2017, arXiv 1710.05941).

    >>> [round(y, 4) for y in silu(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()]
    [-0.0, 0.0, 0.7311]
    """
    return _gated(x, sigmoid)


def mish(x):
    """Computes `x tanh(softplus(x))`, which is smooth and has its minimum of -0.31 at x = -1.19.

    Derivative: `t + x s (1 - t^2)` with `t = tanh(softplus(x))` and `s = sigmoid(x)`. It tends to 0 far below and to 1
    far above, so the function is not zero-centred (Misra 2020, arXiv 1908.08681).

    >>> [round(y, 4) for y in mish(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()]
    [-0.0, 0.0, 0.8651]
    """
    return _gated(x, lambda x: jnp.tanh(softplus(x)))


def hard_sigmoid(x):
    """Computes `min(max(x + 3, 0), 6) / 6`, a sigmoid of three straight lines.

    Derivative: 1/6 for -3 < x < 3, else 0, at both kinks too. The function saturates at 0 and 1 and is not zero-centred
    (Howard et al. 2019, arXiv 1905.02244; Courbariaux et al. 2015 and Keras before version 3 have other slopes).

    >>> hard_sigmoid(jnp.array([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return relu6(x + 3) / 6


def hard_swish(x):
    """Computes `x hard_sigmoid(x)`, which is close to `silu` and has its minimum of -0.375 at x = -1.5.

    Derivative: 0 for x <= -3, 1 for x >= 3, and `x / 3 + 1/2` between. The function is not zero-centred (Howard et al.
    2019, arXiv 1905.02244).

    >>> hard_swish(jnp.array([-4.0, 0.0, 1.5, 4.0])).tolist()
    [-0.0, 0.0, 1.125, 4.0]
    """
    inner = _between(x, -3.0, 3.0)
    return jnp.where(x >= 3, x, inner * ((inner + 3) / 6))


def hard_tanh(x):
    """Computes `min(max(x, -1), 1)`.

    Derivative: 1 for -1 < x < 1, else 0, at both kinks too (as in PyTorch; JAX has 1 there). The function saturates at
    -1 and 1 and is zero-centred (Collobert 2004).

    >>> hard_tanh(jnp.array([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    return _between(x, -1.0, 1.0)


def softsign(x):
    """Computes `x / (1 + |x|)`, which saturates like tanh but much more slowly.

    Derivative: `1 / (1 + |x|)^2`, which is largest at x = 0, where it is 1. The function saturates at -1 and 1 and is
    zero-centred (Turian et al. 2009; Glorot and Bengio 2010).

    >>> softsign(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()
    [-1.0, 0.0, 0.5]
    """
    finite = _within_range(x)
    return finite / (1 + jnp.abs(finite))


def tanh_shrink(x):
    """Computes `x - tanh(x)`, which is flat around 0 and nearly linear far from it.

    Derivative: `tanh(x)^2`. The function is unbounded on both sides and zero-centred.

    >>> [round(y, 4) for y in tanh_shrink(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()]
    [-inf, 0.0, 0.2384]
    """
    return x - jnp.tanh(x)


def soft_shrink(x, *, threshold=0.5):
    """Moves `x` towards 0 by the threshold t, and no farther than to 0: `sign(x) max(|x| - t, 0)`.

    It is the step of the lasso that makes coefficients exactly 0. Derivative: 1 for |x| > t, else 0, at both kinks too.
    The function is unbounded on both sides and zero-centred (Donoho 1995; Beck and Teboulle 2009).

    >>> soft_shrink(jnp.array([-2.0, 0.25, 2.0])).tolist()
    [-1.5, 0.0, 1.5]
    """
    return jnp.where(jnp.abs(x) <= threshold, 0.0, x - threshold * jnp.sign(x))


def hard_shrink(x, *, threshold=0.5):
    """Computes `x` for |x| > t, else 0.

    Derivative: 1 for |x| > t, else 0, at both jumps too. The function is unbounded on both sides and zero-centred
    (Donoho and Johnstone 1994).

    >>> hard_shrink(jnp.array([-2.0, 0.25, 2.0])).tolist()
    [-2.0, 0.0, 2.0]
    """
    return jnp.where(jnp.abs(x) <= threshold, 0.0, x)


def softplus(x):
    """Computes `log(1 + exp(x))`, a smooth ReLU, which turns any number into a positive one, such as a scale.

    Derivative: `sigmoid(x)`. The function tends to 0 far below and is unbounded above. It is not zero-centred: its
    value at 0 is 0.69 (Dugas et al. 2001).

    >>> [round(y, 4) for y in softplus(jnp.array([-jnp.inf, 0.0, 1.0])).tolist()]
    [0.0, 0.6931, 1.3133]
    """
    return jnp.logaddexp(x, 0.0)


def log_sigmoid(x):
    """Computes `log sigmoid(x) = -softplus(-x)`, which is exact where the sigmoid would be rounded to 0.

    Derivative: `1 - sigmoid(x)`. The function is nearly x far below and saturates at 0 above. Its values are negative:
    it is no activation of hidden units but the logarithm of a probability.

    >>> log_sigmoid(jnp.array([-1e4, 1e4])).tolist()
    [-10000.0, -0.0]
    """
    return -softplus(-x)


def softmax(x, *, axis=-1):
    """Computes the probabilities `p_k = exp(x_k) / sum_j exp(x_j)` along an axis, for inputs of any magnitude.

    Derivative: `dp_k/dx_j = p_k ([j = k] - p_j)`. The function saturates at 0 and 1, and adding one number to all
    inputs does not change it. Entries of +inf share the probability equally. If all entries are -inf, the probabilities
    are uniform. The gradient is 0 in both cases (Bridle 1990).

    >>> softmax(jnp.array([1e4, 1e4, 0.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    e = jnp.exp(_below_zero(x, axis))
    return e / jnp.sum(e, axis=axis, keepdims=True)


def softmin(x, *, axis=-1):
    """Computes the softmax of `-x`: the smallest entry has the largest probability.

    Derivative: `dp_k/dx_j = -p_k ([j = k] - p_j)`.

    >>> softmin(jnp.array([0.0, 0.0, 1e4])).tolist()
    [0.5, 0.5, 0.0]
    """
    return softmax(-x, axis=axis)


def log_softmax(x, *, axis=-1):
    """Computes `log p_k = x_k - log sum_j exp(x_j)`, which is exact where the softmax would be rounded to 0 or 1.

    The values are at most 0. Derivative: `d(log p_k)/dx_j = [j = k] - p_j`. If the largest entry is infinite, the
    result is the logarithm of what `softmax` gives, and the gradient is 0.

    >>> log_softmax(jnp.array([1e4, 0.0])).tolist()
    [0.0, -10000.0]
    """
    x = _below_zero(x, axis)
    return x - jnp.log(jnp.sum(jnp.exp(x), axis=axis, keepdims=True))


def glu(x, *, axis=-1):
    """Computes the gated linear unit `a sigmoid(b)`, where a and b are the first and the second half along an axis.

    Derivative: `s` with respect to a and `a s (1 - s)` with respect to b, where `s = sigmoid(b)`. The gate b learns
    what of a passes, and the gradient of a does not vanish where the gate is open (Dauphin et al. 2017, arXiv
    1612.08083).

    Raises:
      ValueError: the number of entries along the axis is odd.

    >>> glu(jnp.array([[4.0, 2.0, 0.0, 1e4]])).tolist()
    [[2.0, 2.0]]
    """
    if x.shape[axis] % 2:
        raise ValueError(
            f"`x` must have an even number of entries along axis {axis}, a and b; received shape {x.shape}. Let the "
            "layer before it have twice as many features."
        )
    a, b = jnp.split(x, 2, axis)
    finite, s = _within_range(a), sigmoid(b)
    return jnp.where(jnp.isinf(a) & (s > 0), a, finite * s)


def max_unit(x, *, axis=-1):
    """Computes the maximum along one axis and removes this axis.

    Derivative: 1 for the largest input and 0 for the others. If several inputs are equally large, the first has the
    derivative 1. The function is not zero-centred and never saturates.

    >>> max_unit(jnp.array([[1.0, 3.0], [2.0, -1.0]])).tolist()
    [3.0, 2.0]
    """
    is_first = jnp.argmax(x, axis=axis, keepdims=True) == lax.broadcasted_iota(int, x.shape, axis % x.ndim)
    return jnp.max(x, axis=axis, where=is_first, initial=-jnp.inf)


def maxout(x, *, pieces: int):
    """Computes the maximum of every `pieces` consecutive features of the last axis: (..., n pieces) -> (..., n).

    After a dense layer it is a convex, piecewise linear activation that is learned. Derivative: 1 for the largest input
    of a group, else 0. If several inputs are equally large, the first has the derivative 1 (Goodfellow et al. 2013,
    arXiv 1302.4389).

    Raises:
      ValueError: the number of features is not a multiple of `pieces`.

    >>> maxout(jnp.array([1.0, 3.0, 2.0, -1.0]), pieces=2).tolist()
    [3.0, 2.0]
    """
    *leading, features = jnp.shape(x) or (0,)
    if pieces < 1 or features == 0 or features % pieces:
        raise ValueError(
            f"`pieces` must be at least 1 and divide the features of the last axis of `x`; received {pieces} for "
            f"shape {jnp.shape(x)}. Let the layer before it have n * pieces features."
        )
    return max_unit(x.reshape(*leading, features // pieces, pieces))


def radial_basis(x, centres, *, widths):
    """Computes the Gaussian bumps `y_k = exp(-||x - c_k||^2 / (2 s_k^2))`, 1 at the centre c_k and 0 far from it.

    Derivative: `dy_k/dx = -y_k (x - c_k) / s_k^2 = -dy_k/dc_k` and `dy_k/ds_k = y_k ||x - c_k||^2 / s_k^3`; both are 0
    far from the centre. The function is not zero-centred (Broomhead and Lowe 1988).

    Args:
      x: (batch, features).
      centres: (units, features).
      widths: s, a number or an array (units,).

    Returns:
      (batch, units).

    Raises:
      ValueError: the arguments have other shapes.

    >>> y = radial_basis(jnp.zeros((1, 2)), jnp.array([[0.0, 0.0], [3.0, 4.0]]), widths=5.0)
    >>> y.round(3).tolist() == [[1.0, jnp.exp(-0.5).round(3)]]
    True
    """
    fits = x.ndim == centres.ndim == 2 and x.shape[1] == centres.shape[1]
    if not fits or jnp.shape(widths) not in ((), centres.shape[:1]):
        raise ValueError(
            "`x` must have shape (batch, features), `centres` (units, features) and `widths` () or (units,); received "
            f"{x.shape}, {centres.shape} and {jnp.shape(widths)}."
        )
    reach = float(jnp.finfo(x.dtype).max) ** 0.25  # y is 0 beyond it, where squares would overflow and give 0 * inf
    difference = jnp.clip(x[:, None] - centres[None], -reach, reach)
    return jnp.exp(-jnp.sum(difference**2, axis=-1) / (2 * jnp.broadcast_to(widths, centres.shape[:1])[None] ** 2))


def per_unit(activations: Sequence[Callable]) -> Callable:
    """Returns the activation of a layer whose units have one each: `activations[k]` acts on feature k of the last axis.

    All the functions are elementwise. Features with the same function are gathered and computed together, so each
    function runs once and sees only its own features. A value or gradient that overflows in one function therefore
    cannot spoil the others. Derivative: for feature k, the derivative of `activations[k]`.

    Raises:
      ValueError: `activations` is empty, or the returned function receives another number of features.

    >>> per_unit([relu, tanh, relu])(jnp.array([[-1.0, 0.0, 2.0]])).tolist()
    [[0.0, 0.0, 2.0]]
    """
    units = len(activations)
    if not units:
        raise ValueError("`activations` must hold one function for each feature; received none.")
    which = lambda f: np.array([k for k in range(units) if activations[k] is f], np.int32)
    features_of = {f: which(f) for f in dict.fromkeys(activations)}
    order = np.argsort(np.concatenate(list(features_of.values()))).astype(np.int32)

    def of_every_unit(x):
        if jnp.shape(x)[-1:] != (units,):
            raise ValueError(f"`x` must have {units} features on its last axis; received shape {jnp.shape(x)}.")
        parts = [f(x[..., features]) for f, features in features_of.items()]
        return jnp.concatenate(parts, axis=-1)[..., order]

    return of_every_unit


def _below_zero(x, axis):
    """Returns `x - max x`, whose exponential cannot overflow, or its limit (0 or -inf) if the maximum is infinite."""
    largest = lax.stop_gradient(jnp.max(x, axis=axis, keepdims=True))
    limit = jnp.where(x == largest, 0.0, -jnp.inf)
    return jnp.where(jnp.isinf(largest), limit, x - largest)


def _between(x, lowest, highest):
    """Computes `min(max(x, lowest), highest)`, which is flat at both kinks too."""
    return jnp.where(x <= lowest, lowest, jnp.where(x >= highest, highest, x))


def _gated(x, gate):
    """Computes `x gate(x)` for a gate from 0 to 1, or its limit where the product or its derivative is 0 * inf."""
    finite = _within_range(x)
    return jnp.where(x == jnp.inf, x, finite * gate(finite))


def _within_range(x):
    """Returns `x` as floats, with each infinity replaced by the largest finite number of the same sign."""
    x = _floats(x)
    largest = jnp.finfo(x.dtype).max
    return lax.clamp(-largest, x, largest)


def _floats(x):
    return x if jnp.issubdtype(jnp.result_type(x), jnp.inexact) else jnp.asarray(x, float)


def _normal_gate(x):
    return lax.erfc(-(0.5**0.5) * x) / 2  # exact in the left tail, as (1 + erf) / 2 is not


def _tanh_gate(x):
    x = jnp.clip(x, -50, 50)  # the gate is 0 or 1 there, and the cube cannot overflow
    return sigmoid(2 * (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))  # (1 + tanh u) / 2, exact in the left tail
