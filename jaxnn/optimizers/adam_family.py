"""Adam, AdamW and NAdam give each parameter a step size, from moving averages of its gradient and of its square."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.descent_direction import Direction, descend, scale_by
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_at_least, check_range
from jaxnn.optimizers.leafwise_update import filled_like, sizes_like, squared


class AdamState(NamedTuple):
    """Holds the first moment `m` and the second raw moment `v` of the gradient."""

    step: jax.Array
    m: Any
    v: Any


def adam_direction(
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
    eps_beside: str = "corrected",
) -> Direction:
    """Computes `d = m_hat / (sqrt(v_hat + eps_root) + eps)`, from which Adam, AdamW, NAdam, LAMB and Muon are made.

    Args:
      b1, b2, eps, eps_root, mu_dtype, nesterov, bias_correction, eps_beside: as in `adam`.
    """
    check_moments(b1=b1, b2=b2, eps=eps, eps_root=eps_root, eps_beside=eps_beside)

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), filled_like(params, dtype=mu_dtype), sizes_like(params))

    def begin(state):
        of_m, of_g, of_v = corrections(state.step, b1, b2, nesterov=nesterov, bias_correction=bias_correction)
        beside = eps * jnp.sqrt(of_v) if eps_beside == "uncorrected" else eps

        def equation(g, m, v):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + squared(g, 1 - b2)
            m_hat, v_hat = of_m * m + of_g * g if nesterov else of_m * m, of_v * v
            return m_hat / (jnp.sqrt(v_hat + eps_root) + beside), m, v

        return (state.step + 1,), equation

    return Direction(init, begin)


def scale_by_adam(
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
    eps_beside: str = "corrected",
) -> GradientTransformation:
    """Replaces the gradient by Adam's direction: `adam(lr)` is `chain(scale_by_adam(), scale_by_learning_rate(lr))`.

    Args:
      b1, b2, eps, eps_root, mu_dtype, nesterov, bias_correction, eps_beside: as in `adam`.

    Raises:
      ValueError: a number is out of its range, or `eps_beside` is unknown.

    >>> transformation = scale_by_adam()
    >>> updates, _ = transformation.update(jnp.array([3.0, -0.01]), transformation.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [1.0, -1.0]
    """
    own = {"nesterov": nesterov, "bias_correction": bias_correction, "eps_beside": eps_beside}
    return scale_by(adam_direction(b1, b2, eps, eps_root, mu_dtype, **own))


def adam(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
    eps_beside: str = "corrected",
) -> GradientTransformation:
    """Returns the optimizer Adam (Kingma and Ba 2014, arXiv 1412.6980, algorithm 1).

    With t counted from 1:

        m <- b1 m + (1 - b1) g,           m_hat = m / (1 - b1^t)
        v <- b2 v + (1 - b2) g^2,         v_hat = v / (1 - b2^t)
        w <- w - lr m_hat / (sqrt(v_hat + eps_root) + eps)

    Args:
      learning_rate: number or schedule `step -> number`; the step is counted from 0.
      b1, b2: decays of the moments, in [0, 1); numbers or traced.
      eps, eps_root: keep the division finite, and also its derivative where one differentiates through the step.
      mu_dtype: dtype of m; None is the parameter's dtype. For both moments see `in_float32`.
      nesterov: True is NAdam; see `nadam`.
      bias_correction: False is the form of the lectures, with m_hat = m and v_hat = v. The first step then has the size
        lr (1 - b1) / sqrt(1 - b2), which is 3.2 lr with the default decays.
      eps_beside: "corrected" adds eps to sqrt(v_hat), as in the paper's algorithm, Optax and PyTorch. "uncorrected"
        adds eps to sqrt(v), as in Keras, TensorFlow and the end of the paper's section 2; eps then has more effect in
        early steps.

    Raises:
      ValueError: a number is out of its range, or `eps_beside` is unknown.

    >>> optimizer = adam(0.1)
    >>> updates, state = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]  # the first step has the size of lr, whatever the gradient's
    [-0.1, 0.1]
    """
    own = {"nesterov": nesterov, "bias_correction": bias_correction, "eps_beside": eps_beside}
    return descend(adam_direction(b1, b2, eps, eps_root, mu_dtype, **own), learning_rate)


def adamw(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    weight_decay=1e-4,
    mask=None,
    *,
    nesterov: bool = False,
    bias_correction: bool = True,
    eps_beside: str = "corrected",
) -> GradientTransformation:
    """Returns Adam with decoupled weight decay (Loshchilov and Hutter 2017, arXiv 1711.05101).

    To Adam's step it adds

        w <- w - lr weight_decay w

    This is not Adam on a loss with an L2 penalty, where large gradients shrink the decay as they shrink the step. The
    decay is multiplied by the whole lr, as in Optax and PyTorch (PyTorch's default decay is 1e-2). The paper multiplies
    it by the schedule alone.

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov, bias_correction, eps_beside: as in `adam`.
      weight_decay: number or schedule.
      mask: selects the parameters that decay: a tree of bools, a function `params -> tree`, or globs of paths, such as
        `jaxnn.parameter_paths.WEIGHTS`; None selects all.

    Raises:
      ValueError: a number is out of its range; `update` has weight decay but no parameters.

    >>> optimizer = adamw(0.1, weight_decay=0.5, mask="kernel")
    >>> params = {"kernel": jnp.float32(2.0), "bias": jnp.float32(2.0)}
    >>> optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)[0]
    {'bias': Array(-0., dtype=float32), 'kernel': Array(-0.1, dtype=float32)}
    """
    own = {"nesterov": nesterov, "bias_correction": bias_correction, "eps_beside": eps_beside}
    direction = adam_direction(b1, b2, eps, eps_root, mu_dtype, **own)
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask, name="adamw")


def corrections(step, b1, b2, *, nesterov: bool = False, bias_correction: bool = True):
    """Computes the scalars of `m_hat = of_m m + of_g g` and `v_hat = of_v v`.

    They are factors, so that each parameter needs a multiplication and not a division.

    >>> [float(x) for x in corrections(0, 0.5, 0.75)]
    [2.0, 0.0, 4.0]
    """
    t = jnp.asarray(step + 1, float)  # float64 where x64 is enabled
    if not bias_correction:
        return (b1, 1 - b1, jnp.ones_like(t)) if nesterov else (1.0, 0.0, jnp.ones_like(t))
    of_m, of_g = (b1 / (1 - b1 ** (t + 1)), (1 - b1) / (1 - b1**t)) if nesterov else (1 / (1 - b1**t), 0.0)
    return of_m, of_g, 1 / (1 - b2**t)


def check_moments(*, b1, b2, eps, eps_root=0.0, eps_beside="corrected") -> None:
    """Raises ValueError for a number out of its range, or an unknown `eps_beside`."""
    for name, decay in (("b1", b1), ("b2", b2)):
        check_range(name, decay, 0, 1)
    for name, number in (("eps", eps), ("eps_root", eps_root)):
        check_at_least(name, number, 0)
    if eps_beside not in ("corrected", "uncorrected"):
        raise unknown("root for `eps_beside`", eps_beside, ("corrected", "uncorrected"))


class NadamState(NamedTuple):
    """Holds Adam's moments `m` and `v`, and the `product` of all mu so far."""

    step: jax.Array
    product: jax.Array
    m: Any
    v: Any


def nadam(
    learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, mu_dtype=None, *, momentum_decay=None
) -> GradientTransformation:
    """Returns the optimizer NAdam (Dozat 2016, ICLR workshop): Adam with a first moment one step ahead.

    With t counted from 1:

        m_hat = b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)              (Optax)

    PyTorch and Keras follow a schedule of the momentum, as the paper does. With psi = `momentum_decay`:

        mu_t = b1 (1 - 0.96^(t psi) / 2)
        m_hat = mu_(t+1) m / (1 - mu_1 ... mu_(t+1)) + (1 - mu_t) g / (1 - mu_1 ... mu_t)

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype: as in `adam`.
      momentum_decay: psi, 0.004 in PyTorch; 1 in Keras, where mu_t is b1 (1 - 0.96^t / 2) and eps is 1e-7. None keeps
        the momentum constant, as Optax does.

    Raises:
      ValueError: a number is out of its range.

    >>> optimizer = nadam(0.1)
    >>> updates, _ = optimizer.update(jnp.array([3.0, -0.01]), optimizer.init(jnp.zeros(2)))
    >>> [round(float(u), 4) for u in updates]
    [-0.1474, 0.1474]
    """
    if momentum_decay is None:
        return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)
    return descend(_scheduled_nadam(b1, b2, eps, eps_root, mu_dtype, momentum_decay), learning_rate, name="nadam")


def _scheduled_nadam(b1, b2, eps, eps_root, mu_dtype, momentum_decay) -> Direction:
    check_moments(b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    check_at_least("momentum_decay", momentum_decay, 0)

    def init(params):
        m, v = filled_like(params, dtype=mu_dtype), sizes_like(params)
        return NadamState(jnp.zeros((), jnp.int32), jnp.ones((), float), m, v)

    def begin(state):
        t = jnp.asarray(state.step + 1, float)
        mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
        product = state.product * mu
        of_m, of_g, of_v = ahead / (1 - product * ahead), (1 - mu) / (1 - product), 1 / (1 - b2**t)

        def equation(g, m, v):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + squared(g, 1 - b2)
            return (of_m * m + of_g * g) / (jnp.sqrt(of_v * v + eps_root) + eps), m, v

        return (state.step + 1, product), equation

    return Direction(init, begin)


def nadamw(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    mu_dtype=None,
    weight_decay=1e-4,
    mask=None,
    *,
    momentum_decay=None,
) -> GradientTransformation:
    """Returns NAdam with decoupled weight decay; with constant momentum it is `adamw(..., nesterov=True)`.

    Args:
      learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask: as in `adamw`.
      momentum_decay: as in `nadam`; with 0.004 it is PyTorch's `NAdam(decoupled_weight_decay=True)`.

    >>> optimizer, w = nadamw(0.1, weight_decay=0.5), jnp.float32(2.0)
    >>> optimizer.update(jnp.float32(0.0), optimizer.init(w), w)[0]
    Array(-0.1, dtype=float32)
    """
    if momentum_decay is None:
        return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)
    direction = _scheduled_nadam(b1, b2, eps, eps_root, mu_dtype, momentum_decay)
    return descend(direction, learning_rate, weight_decay=weight_decay, mask=mask, name="nadamw")
