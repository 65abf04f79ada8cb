"""Muon makes steps that change a weight matrix almost equally in all directions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.optimizers.adam_family import AdamState, adamw, corrections
from jaxnn.optimizers.descent_direction import Direction, advance
from jaxnn.optimizers.gradient_transformation import (
    GradientTransformation,
    check_at_least,
    check_learning_rate,
    check_range,
    value_at,
)
from jaxnn.optimizers.leafwise_update import filled_like, squared
from jaxnn.optimizers.momentum_and_nesterov import SgdState
from jaxnn.optimizers.weight_decay import decay_terms, selected

COEFFICIENTS = {
    "standard": (3.4445, -4.7750, 2.0315),
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}
"""Holds the coefficients of the Newton-Schulz polynomial: three for all steps, or three for each step."""


class MuonState(NamedTuple):
    """Holds the momentum `m` of the matrices (None at the other leaves), and Adam's state of the `others`.

    Adam's state has None at the matrices.
    """

    step: jax.Array
    m: Any
    others: AdamState


def muon(
    learning_rate,
    ns_coeffs="standard",
    ns_steps=5,
    beta=0.95,
    eps=1e-8,
    weight_decay=0.0,
    weight_decay_mask=None,
    mu_dtype=None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1=0.9,
    adam_b2=0.999,
    adam_eps_root=0.0,
    adam_weight_decay=0.0,
    adam_learning_rate=None,
    matrices=None,
    consistent_rms=None,
) -> GradientTransformation:
    """Returns the optimizer Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    For a matrix w of shape (n_in, n_out):

        m <- beta m + (1 - beta) g,        m_hat as in `adam`, or in `nadam` with `nesterov`
        w <- w - lr (sqrt(max(1, n_out / n_in)) O + weight_decay w),        O = orthogonalize(m_hat)

    Every other leaf is moved by AdamW, or by NAdamW with `nesterov`. This is `optax.contrib.muon`, with Frobenius
    preconditioning only.

    Args:
      learning_rate, adam_learning_rate: number or schedule. The second is for the other leaves; None uses the first.
      ns_coeffs, ns_steps, eps: arguments of `orthogonalize`; eps is also Adam's.
      beta, mu_dtype: decay in [0, 1) and dtype of the momentum.
      weight_decay, weight_decay_mask: for the matrices; the mask is as in `adamw`.
      nesterov: True looks ahead.
      adaptive: True multiplies O by <m_hat, O> (Bernstein and Newhouse 2024, arXiv 2409.20325).
      adam_b1, adam_b2, adam_eps_root, adam_weight_decay: for the other leaves.
      matrices: mask of the leaves to orthogonalize. None selects all leaves of rank 2, but Adam is better for
        embeddings and the last layer. A selected kernel of higher rank is reshaped to (all other axes, last axis).
      consistent_rms: a number multiplies O by consistent_rms sqrt(max(n_in, n_out)) instead (0.2: arXiv 2502.16982).

    Raises:
      ValueError: a number is out of its range, or a selected leaf has rank below 2.

    >>> optimizer = muon(0.1)
    >>> optimizer.update(jnp.diag(jnp.array([3.0, 0.3])), optimizer.init(jnp.zeros((2, 2))))[0].round(2)[0, 0]
    Array(-0.07, dtype=float32)
    """
    decays = {"beta": beta, "adam_b1": adam_b1, "adam_b2": adam_b2}
    sizes = {"weight_decay": weight_decay, "adam_eps_root": adam_eps_root, "adam_weight_decay": adam_weight_decay}
    _check_numbers(learning_rate, adam_learning_rate, consistent_rms, decays=decays, sizes={"eps": eps, **sizes})
    polynomials = _polynomials(ns_coeffs, ns_steps)
    adam_rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    of_others = adamw(adam_rate, adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, adam_weight_decay, nesterov=nesterov)

    def begin(state):
        of_m, of_g, _ = corrections(state.step, beta, beta, nesterov=nesterov)

        def equation(g, m):
            if g.size == 0:
                return g, m
            m = beta * m + (1 - beta) * g
            m_hat = (of_m * m + of_g * g if nesterov else of_m * m).reshape(-1, m.shape[-1])
            O = _orthogonalize(m_hat, polynomials, eps)
            O = _inner(m_hat, O) * O if adaptive else O
            return _scaled(O, consistent_rms).reshape(m.shape), m

        return (state.step + 1,), equation

    of_matrices = Direction(lambda w: SgdState(jnp.zeros((), jnp.int32), filled_like(w, dtype=mu_dtype)), begin)

    def init(params):
        w, others = _divided(params, _are_matrices(params, matrices))
        return MuonState(*of_matrices.init(w), of_others.init(others))

    def update(grads, state, params=None, **extra):
        lr, mask = value_at(learning_rate, state.step), _are_matrices(grads, matrices)
        (g, others_g), (w, others_w) = (_divided(tree, mask) for tree in (grads, params))
        decayed = None if w is None else _divided(selected(weight_decay_mask, params), mask)[0]
        decay = decay_terms(weight_decay, mask=decayed, grads=g, params=w, step=state.step)
        step = lambda O, decay: -lr * (O + decay)
        updates, momentum = advance(of_matrices, g, SgdState(state.step, state.m), step, given=(decay,))
        others_updates, others = of_others.update(others_g, state.others, others_w)
        return _united(updates, others_updates), MuonState(*momentum, others)

    return GradientTransformation(init, update)


def _check_numbers(learning_rate, adam_learning_rate, consistent_rms, *, decays, sizes) -> None:
    check_learning_rate(learning_rate)
    check_range("adam_learning_rate", adam_learning_rate, 0)
    check_range("consistent_rms", consistent_rms, 0)
    for name, decay in decays.items():
        check_range(name, decay, 0, 1)
    for name, size in sizes.items():
        check_at_least(name, size, 0)


def orthogonalize(matrix, *, ns_coeffs="standard", ns_steps=5, eps=1e-8):
    """Computes nearly U V^T of `matrix = U S V^T` by matrix products alone, with the Newton-Schulz iteration.

    With (a, b, c) = `ns_coeffs`:

        X <- matrix / (|matrix| + eps)                                      (Frobenius norm: no singular value above 1)
        X <- a X + b (X X^T) X + c (X X^T)^2 X                              (ns_steps times)

    This maps each singular value s to `a s + b s^3 + c s^5` and does not change the singular vectors. The standard
    coefficients raise small values fast. They bring all but the smallest values between 0.7 and 1.2, not to 1. Of a
    complex matrix the transposes are conjugate.

    Args:
      matrix: of shape (m, n).
      ns_coeffs: (a, b, c), or a sequence of such triples, one for each step (then `ns_steps` is ignored), or a name:
        "standard" (Jordan et al. 2024), or "dion" (Ahn et al. 2025, arXiv 2504.05295), which has five steps that end
        nearer to 1.
      ns_steps: Python int.
      eps: keeps the division finite.

    Raises:
      ValueError: the matrix has another rank, the coefficients are unknown, or `ns_steps` is below 1.

    >>> jnp.linalg.svd(orthogonalize(jnp.array([[3.0, 1.0], [0.0, 0.2]])), compute_uv=False).round(2)
    Array([1. , 0.7], dtype=float32)
    """
    if matrix.ndim != 2:
        raise ValueError(f"`matrix` must have shape (m, n); received {matrix.shape}. Reshape, or vmap over a batch.")
    return _orthogonalize(matrix, _polynomials(ns_coeffs, ns_steps), eps)


def _orthogonalize(X, polynomials, eps):
    is_tall = X.shape[0] > X.shape[1]
    X = X.T if is_tall else X  # the smaller of the two Gram matrices
    X = X / (jnp.sqrt(jnp.sum(squared(X))) + eps)
    for a, b, c in polynomials:
        A = X @ X.T.conj()
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if is_tall else X


def _inner(X, Y):
    """Computes the inner product <X, Y>, of complex matrices its real part; a matrix product sums the rows.

    With a plain sum, XLA joins the sum to the products before it: 5 times as slow on CPU (jax 0.10).
    """
    return jnp.sum(jnp.matmul(jnp.real(X.conj() * Y), jnp.ones(X.shape[-1], X.real.dtype), precision="highest"))


def _polynomials(ns_coeffs, ns_steps):
    if isinstance(ns_coeffs, str):
        if ns_coeffs not in COEFFICIENTS:
            raise unknown("coefficients for `ns_coeffs`", ns_coeffs, COEFFICIENTS)
        ns_coeffs = COEFFICIENTS[ns_coeffs]
    if not isinstance(ns_steps, int) or ns_steps < 1:
        raise ValueError(
            f"`ns_steps` must be a Python int of at least 1, for the steps are unrolled; received {ns_steps}."
        )
    one_for_all = not isinstance(ns_coeffs[0], tuple | list)
    polynomials = (tuple(ns_coeffs),) * ns_steps if one_for_all else tuple(map(tuple, ns_coeffs))
    if any(len(p) != 3 for p in polynomials):
        raise ValueError(f"`ns_coeffs` must be (a, b, c), or a sequence of such; received {ns_coeffs}.")
    return polynomials


def _scaled(O, consistent_rms):
    n_in, n_out = O.shape
    return max(1, n_out / n_in) ** 0.5 * O if consistent_rms is None else consistent_rms * (max(n_in, n_out) ** 0.5 * O)


def _are_matrices(tree, matrices):
    if matrices is None:
        return jax.tree.map(lambda x: jnp.ndim(x) == 2, tree)
    mask = selected(matrices, tree)
    ranks = [jnp.ndim(x) for x, flag in zip(jax.tree.leaves(tree), jax.tree.leaves(mask), strict=True) if flag]
    if ranks and min(ranks) < 2:
        raise ValueError(
            f"`matrices` must select leaves of rank 2 or more; received rank {min(ranks)}. Select kernels."
        )
    return mask


def _divided(tree, mask):
    """Returns the leaves where the mask is True and those where it is False, with None in place of the others."""
    if tree is None:
        return None, None
    chosen = jax.tree.map(lambda x, flag: x if flag else None, tree, mask)
    others = jax.tree.map(lambda x, flag: None if flag else x, tree, mask)
    return chosen, others


def _united(left, right):
    is_none = lambda x: x is None
    return jax.tree.map(lambda x, y: y if x is None else x, left, right, is_leaf=is_none)
