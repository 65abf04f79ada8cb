"""Regularizers are penalties on parameters or activations, `penalty(tree, *, ...) -> scalar`, and one projection.

The argument `of` chooses the parameters by path (`jaxnn.parameter_paths.select`): it is a glob, a tuple of globs or a
function. By default, biases and scales are not regularized.
"""

import numbers

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxnn.parameter_paths import WEIGHTS, Pattern, select


def l1(params, *, strength, of: Pattern = WEIGHTS):
    """Computes `lambda sum |w|`, which makes weights exactly zero, while `l2` only makes them small.

    Source: Tibshirani 1996, the lasso.

    Derivative: `lambda sign(w)`, 0 at w = 0 (any value in [-lambda, lambda] is a subgradient there).

    Args:
      params: a tree of arrays.
      strength: lambda, at least 0; may be traced.
      of: which leaves, by path.

    Raises:
      ValueError: a negative `strength`; `of` fits no path.

    >>> float(l1({"kernel": jnp.array([[3.0], [-4.0]]), "bias": jnp.ones(1)}, strength=0.5))
    3.5
    """
    _check_not_negative("strength", strength)
    return _total(params, of, _magnitude, strength)


def l2(params, *, strength, of: Pattern = WEIGHTS):
    """Computes `lambda/2 sum w^2`, the negative logarithm of a Gaussian prior of precision lambda, up to a constant.

    Derivative: `lambda w`. With the factor 1/2 (Bishop 2006, eq. 3.27), lambda is the weight decay of plain gradient
    descent. Keras' L2 has no factor 1/2 and equals this one with twice the strength. With adaptive optimizers a penalty
    in the loss is not the same as decoupled weight decay (Loshchilov and Hutter 2017, arXiv 1711.05101).

    Args:
      params: a tree of arrays.
      strength: lambda, at least 0; may be traced.
      of: which leaves, by path.

    Raises:
      ValueError: a negative `strength`; `of` fits no path.

    >>> float(l2({"kernel": jnp.array([[3.0], [-4.0]]), "bias": jnp.ones(1)}, strength=0.1))
    1.25
    """
    _check_not_negative("strength", strength)
    return _total(params, of, lambda w: jnp.square(w) / 2, strength)


def elastic_net(params, *, l1_strength, l2_strength, of: Pattern = WEIGHTS):
    """Computes `lambda_1 sum |w| + lambda_2/2 sum w^2`: sparse, but correlated inputs stay together.

    Derivative: `lambda_1 sign(w) + lambda_2 w`, 0 at w = 0. Zou and Hastie 2005 write the square without the factor
    1/2.

    Raises:
      ValueError: a negative strength; `of` fits no path.

    >>> float(elastic_net({"kernel": jnp.array([[3.0], [-4.0]])}, l1_strength=1.0, l2_strength=2.0))
    32.0
    """
    return l1(params, strength=l1_strength, of=of) + l2(params, strength=l2_strength, of=of)


def l1_sparsity(activations: Float[Array, "batch ..."], *, mask: Bool[Array, " batch"] | None = None):
    """Computes `mean_n sum_j |a_nj|`, which lets few units of a layer be active at a time.

    Multiply the result by a strength.

    Derivative: `sign(a_nj) / N`, 0 at 0.

    Args:
      activations: (batch, ...).
      mask: the examples that count; all by default.

    >>> float(l1_sparsity(jnp.array([[1.0, -2.0], [0.0, 0.0]])))
    1.5
    """
    kept, count = _kept(activations, mask)
    return (jnp.sum(_magnitude(kept)) / count).astype(activations.dtype)


def kl_sparsity(
    activations: Float[Array, "batch ..."], *, target: float = 0.05, mask: Bool[Array, " batch"] | None = None
):
    """Computes `sum_j KL(rho || rho_j)`, which makes each unit active rarely.

    Here rho_j is the mean activation of unit j over the batch, and

        KL(rho || q) = rho log(rho / q) + (1 - rho) log((1 - rho) / (1 - q))

    Derivative with respect to `a_nj`: `((1 - rho)/(1 - rho_j) - rho/rho_j) / N`. Where rho_j has reached 0 or 1, it
    counts as eps or 1 - eps of the dtype, and the derivative is zero; the sigmoid is flat there as well.

    Args:
      activations: (batch, ...) in [0, 1], such as a sigmoid's.
      target: rho in (0, 1).
      mask: the examples that count; all by default.

    Raises:
      ValueError: `target` outside (0, 1).

    Ng, CS294A lecture notes: Sparse autoencoder; after Lee, Ekanadham and Ng 2007.

    >>> round(float(kl_sparsity(jnp.array([[0.0, 0.5], [0.1, 0.5]]))), 4)  # the first unit is on target
    0.4946
    """
    if isinstance(target, numbers.Real) and not 0 < target < 1:
        raise ValueError(f"`target` must be greater than 0 and less than 1; received {target}. 0.05 is usual.")
    kept, count = _kept(activations, mask)
    eps = float(jnp.finfo(activations.dtype).eps)
    q = jnp.clip(jnp.sum(kept, axis=0) / count, eps, 1 - eps)
    divergence = target * jnp.log(target / q) + (1 - target) * jnp.log((1 - target) / (1 - q))
    return jnp.sum(divergence).astype(activations.dtype)


def max_norm(params, *, limit, of: Pattern = "*kernel"):
    """Projects each unit's incoming weights onto the ball `||w|| <= limit`; apply it after every update.

    The weights of a unit are along all axes of a kernel except the last. A longer vector of weights is shortened to
    `limit` and keeps its direction; the others are returned unchanged, bit by bit.

    Args:
      params: a tree of arrays.
      limit: c > 0, the radius; 3 or 4 are usual together with dropout; may be traced.
      of: which leaves, by path.

    Returns:
      A tree like `params`.

    Raises:
      ValueError: a `limit` that is not positive; `of` fits no path.

    Srebro and Shraibman 2005; Srivastava et al. 2014 (JMLR 15, 5.1).

    >>> max_norm({"kernel": jnp.array([[3.0, 0.6], [4.0, 0.8]])}, limit=1.0)["kernel"].round(3).tolist()
    [[0.6000000238418579, 0.6000000238418579], [0.800000011920929, 0.800000011920929]]
    """
    if isinstance(limit, numbers.Real) and not limit > 0:
        raise ValueError(f"`limit` must be greater than 0; received {limit}. Srivastava et al. take 3 or 4.")

    def project(w):
        squares = jnp.sum(jnp.square(_wide(w)), axis=tuple(range(w.ndim - 1)), keepdims=True)
        # The outer `where` leaves weights inside the ball unchanged: limit / sqrt(limit^2) may round to less than 1.
        factor = jnp.where(squares > limit**2, limit / jnp.sqrt(jnp.maximum(squares, limit**2)), 1)
        return (w * factor).astype(w.dtype)

    return jax.tree.map(lambda w, chosen: project(w) if chosen else w, params, select(params, of))


def _magnitude(w):
    """Computes `|w|` with derivative 0 at 0; that of `jnp.abs` is 1 there and would move zero weights away from 0."""
    return w * jax.lax.stop_gradient(jnp.sign(w))


def _total(params, of, penalty, strength):
    """Sums the penalty over the chosen leaves in at least float32; the result has the dtype of the leaves."""
    chosen = jax.tree.leaves(select(params, of))
    weights = [w for w, take in zip(jax.tree.leaves(params), chosen, strict=True) if take]
    return (strength * sum(jnp.sum(penalty(_wide(w))) for w in weights)).astype(jnp.result_type(*weights))


def _kept(activations, mask):
    """Returns activations (batch, units), 0 where the mask is False, and the number of kept examples, at least 1."""
    wide = _wide(activations).reshape(len(activations), -1)
    mask = jnp.ones(len(wide), bool) if mask is None else mask
    return jnp.where(mask[:, None], wide, 0), jnp.maximum(jnp.sum(mask), 1)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _check_not_negative(name, value):
    if isinstance(value, numbers.Real) and not value >= 0:
        raise ValueError(f"`{name}` must be at least 0; received {value}. A negative penalty rewards large weights.")
