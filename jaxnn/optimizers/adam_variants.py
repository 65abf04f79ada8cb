"""AdaMax, AMSGrad and RAdam are variants of Adam that measure the size of the gradients in another way.

AdaMax uses their maximum, AMSGrad uses the maximum of the second moment, and RAdam uses no measure until the second
moment can be trusted.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.adam_family import AdamState, check_moments, corrections
from jaxnn.optimizers.descent_direction import Direction, descend
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range
from jaxnn.optimizers.leafwise_update import filled_like, sizes_like, squared


class AdamaxState(NamedTuple):
    """Holds the first moment `m` and the exponentially weighted maximum `u` of the gradient."""

    step: jax.Array
    m: Any
    u: Any


def adamax(learning_rate, b1=0.9, b2=0.999, eps=1e-8) -> GradientTransformation:
    """Returns the optimizer AdaMax (Kingma and Ba 2014, arXiv 1412.6980, algorithm 2): Adam with the infinity norm.

    With t counted from 1:

        m <- b1 m + (1 - b1) g
        u <- max(b2 u, |g| + eps)
        w <- w - lr m / ((1 - b1^t) u)

    Args:
      learning_rate: number or schedule.
      b1, b2: decays in [0, 1).
      eps: keeps the division finite. It is inside the maximum, as in Optax and PyTorch. Keras divides by u + eps; the
        paper has no eps.

    Raises:
      ValueError: a number is out of its range.

    >>> optimizer = adamax(0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.1, 0.1]
    """
    return descend(adamax_direction(b1, b2, eps), learning_rate, name="adamax")


def adamaxw(learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=1e-4, mask=None) -> GradientTransformation:
    """Returns AdaMax with decoupled weight decay: to its step it adds `w <- w - lr weight_decay w`, as AdamW does.

    Args:
      learning_rate, b1, b2, eps: as in `adamax`.
      weight_decay, mask: as in `adamw`.

    Raises:
      ValueError: a number is out of its range; `update` has weight decay but no parameters.

    >>> optimizer, w = adamaxw(0.1, weight_decay=0.5), jnp.float32(2.0)
    >>> optimizer.update(jnp.float32(0.0), optimizer.init(w), w)[0]
    Array(-0.1, dtype=float32)
    """
    direction = adamax_direction(b1, b2, eps)
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask, name="adamaxw")


def adamax_direction(b1, b2, eps) -> Direction:
    """Computes `d = m / ((1 - b1^t) u)`, from which AdaMax and AdaMaxW are made.

    Args:
      b1, b2, eps: as in `adamax`.
    """
    check_moments(b1=b1, b2=b2, eps=eps)

    def init(params):
        return AdamaxState(jnp.zeros((), jnp.int32), filled_like(params), sizes_like(params))

    def begin(state):
        of_m, _, _ = corrections(state.step, b1, b2)

        def equation(g, m, u):
            m = b1 * m + (1 - b1) * g
            u = jnp.maximum(b2 * u, jnp.abs(g) + eps)
            return of_m * m / u, m, u

        return (state.step + 1,), equation

    return Direction(init, begin)


class AmsgradState(NamedTuple):
    """Holds Adam's moments `m` and `v`, and the largest second moment so far, `v_max`."""

    step: jax.Array
    m: Any
    v: Any
    v_max: Any


def amsgrad(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    maximum_of: str = "corrected",
) -> GradientTransformation:
    """Returns the optimizer AMSGrad (Reddi, Kale and Kumar 2018, arXiv 1904.09237, algorithm 2).

    It is Adam, except that a falling v cannot make the steps grow again:

        v_max <- max(v_max, v_hat),        w <- w - lr m_hat / (sqrt(v_max + eps_root) + eps)       (Optax)
        v_max <- max(v_max, v),            the step from v_max / (1 - b2^t)                         (PyTorch, "raw")

    with m_hat and v_hat as in `adam`. The paper has no bias correction at all.

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype: as in `adam`.
      bias_correction_mu, bias_correction_nu: False uses m_hat = m, and v_hat = v; with both False it is the paper's
        method.
      maximum_of: uses the maximum of the "corrected" or of the "raw" second moments. "raw" is the choice of PyTorch and
        Keras, which also place eps differently.

    Raises:
      ValueError: a number is out of its range, or `maximum_of` is unknown.

    >>> optimizer = amsgrad(0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.1, 0.1]
    """
    check_moments(b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    if maximum_of not in ("corrected", "raw"):
        raise unknown("moment for `maximum_of`", maximum_of, ("corrected", "raw"))

    def init(params):
        m = filled_like(params, dtype=mu_dtype)
        return AmsgradState(jnp.zeros((), jnp.int32), m, sizes_like(params), sizes_like(params))

    def begin(state):
        of_m, _, _ = corrections(state.step, b1, b2, bias_correction=bias_correction_mu)
        _, _, of_v = corrections(state.step, b1, b2, bias_correction=bias_correction_nu)
        before, after = (1.0, of_v) if maximum_of == "raw" else (of_v, 1.0)

        def equation(g, m, v, v_max):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + squared(g, 1 - b2)
            v_max = jnp.maximum(v_max, before * v)
            return of_m * m / (jnp.sqrt(after * v_max + eps_root) + eps), m, v, v_max

        return (state.step + 1,), equation

    return descend(Direction(init, begin), learning_rate)


def radam(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    threshold=5.0,
    *,
    nesterov: bool = False,
    eps_beside: str = "corrected",
) -> GradientTransformation:
    """Returns the optimizer RAdam (Liu et al. 2019, arXiv 1908.03265, algorithm 2).

    It uses momentum alone until v is the average of enough gradients:

        rho_inf = 2 / (1 - b2) - 1,        rho = rho_inf - 2 t b2^t / (1 - b2^t)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        w <- w - lr r m_hat / (sqrt(v_hat + eps_root) + eps)    if rho >= threshold
        w <- w - lr m_hat                                       else

    with t counted from 1, and m_hat and v_hat as in `adam`.

    Args:
      learning_rate, b1, b2, eps, eps_root, nesterov: as in `adam`.
      threshold: smallest rho at which v is used: 5 in Optax and PyTorch, 4 in the paper; at least 4.
      eps_beside: "corrected", as in Optax, or "uncorrected", as in PyTorch.

    Raises:
      ValueError: a number is out of its range, or b2 is 0.6 or less, with which rho never exceeds 4.

    >>> optimizer = radam(0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.3, 0.001]
    """
    check_moments(b1=b1, b2=b2, eps=eps, eps_root=eps_root, eps_beside=eps_beside)
    check_range("b2", b2, 0.6, 1)  # rho_inf > 4
    check_range("threshold", threshold, 4 - 1e-9)

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), filled_like(params), sizes_like(params))

    def begin(state):
        of_m, of_g, of_v = corrections(state.step, b1, b2, nesterov=nesterov)
        beside = eps * jnp.sqrt(of_v) if eps_beside == "uncorrected" else eps
        rho_inf, rho = _lengths(state.step, b2)
        trusted, long = rho >= threshold, jnp.maximum(rho, 4)
        r = jnp.sqrt((long - 4) * (long - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * long))

        def equation(g, m, v):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + squared(g, 1 - b2)
            m_hat, v_hat = of_m * m + of_g * g if nesterov else of_m * m, of_v * v
            return jnp.where(trusted, r * m_hat / (jnp.sqrt(v_hat + eps_root) + beside), m_hat), m, v

        return (state.step + 1,), equation

    return descend(Direction(init, begin), learning_rate)


def _lengths(step, b2):
    """Computes how many gradients the second moment averages: in the limit, and at this step."""
    t, b2 = jnp.asarray(step + 1, float), jnp.asarray(b2, float)
    rho_inf = 2 / (1 - b2) - 1
    return rho_inf, rho_inf - 2 * t * b2**t / (1 - b2**t)
