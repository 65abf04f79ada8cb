"""These transformations bound a gradient: by entry, by leaf, as a whole, or by the size of the weights it moves."""

import jax
import jax.numpy as jnp

from jaxnn.optimizers.chaining import stateless
from jaxnn.optimizers.gradient_transformation import GradientTransformation, check_range, require_params
from jaxnn.optimizers.leafwise_update import is_trainable, leafwise


def clip(max_delta) -> GradientTransformation:
    """Returns the transformation `u = min(max(g, -max_delta), max_delta)`, applied to each entry.

    It may change the direction of the gradient.

    Args:
      max_delta: positive; traced or not.

    >>> clip(1.0).update(jnp.array([-3.0, 0.5]), ())[0]
    Array([-1. ,  0.5], dtype=float32)
    """
    check_range("max_delta", max_delta, 0)
    return stateless(lambda grads, params: leafwise(lambda g: (jnp.clip(g, -max_delta, max_delta),), grads)[0])


def clip_by_norm(max_norm) -> GradientTransformation:
    """Returns the transformation `u = g min(1, max_norm / ||g||)`, applied to each leaf (Keras's `clipnorm`).

    Optax bounds the rms of a leaf instead.

    Args:
      max_norm: positive; traced or not.

    >>> clip_by_norm(1.0).update({"a": jnp.array([3.0, 4.0]), "b": jnp.float32(0.5)}, ())[0]["a"]
    Array([0.6, 0.8], dtype=float32)
    """
    check_range("max_norm", max_norm, 0)
    return stateless(lambda grads, params: leafwise(lambda g: (g * _shrinking(_squares(g), max_norm),), grads)[0])


def clip_by_block_rms(threshold) -> GradientTransformation:
    """Returns the transformation `u = g min(1, threshold / rms(g))`, applied to each leaf.

    Here rms(g) = ||g|| / sqrt(number of entries). So a large leaf may have a larger norm than a small one, as in
    Adafactor (Shazeer and Stern 2018, arXiv 1804.04235, section 6). `clip_by_norm` has the same bound for all leaves.

    Args:
      threshold: positive; traced or not.

    >>> clip_by_block_rms(1.0).update(jnp.full(4, 2.0), ())[0]
    Array([1., 1., 1., 1.], dtype=float32)
    """
    check_range("threshold", threshold, 0)

    def equation(g):
        return (g * _shrinking(_squares(g) / max(g.size, 1), threshold),)

    return stateless(lambda grads, params: leafwise(equation, grads)[0])


def clip_by_global_norm(max_norm) -> GradientTransformation:
    """Returns the transformation `u = g min(1, max_norm / ||g||)`, with one norm over all leaves.

    It keeps the direction. It is the remedy for exploding gradients of recurrent networks (Pascanu et al. 2012, arXiv
    1211.5063). A NaN anywhere makes every update NaN, as in Optax. PyTorch's `clip_grad_norm_` divides by ||g|| + 1e-6.

    Args:
      max_norm: positive; traced or not.

    >>> clip_by_global_norm(1.0).update({"a": jnp.float32(3.0), "b": jnp.float32(4.0)}, ())[0]
    {'a': Array(0.6, dtype=float32), 'b': Array(0.8, dtype=float32)}
    """
    check_range("max_norm", max_norm, 0)

    def clipped(grads, params):
        factor = _shrinking(_sum_of_squares(grads), max_norm)
        return leafwise(lambda g: (g * factor,), grads)[0]

    return stateless(clipped)


def adaptive_grad_clip(clipping, eps=1e-3, *, axis: int | tuple[int, ...] | None = None) -> GradientTransformation:
    """Bounds the gradient of each unit by the norm of the unit's weights (Brock et al. 2021, arXiv 2102.06171).

        u_i = g_i min(1, clipping max(||w_i||, eps) / ||g_i||)

    A unit is the set of weights that feed one output: a column of a dense kernel (in, out), or an output channel of
    HWIO and DHWIO kernels. Scalars and vectors are one unit. A leaf with three axes is read as (in, heads, features),
    and its norm runs over the first axis. For kernels of one spatial dimension give `axis=(0, 1)`.

    Args:
      clipping: largest ratio of gradient norm to weight norm; the paper uses 0.01 for batches of 4096. Traced or not.
      eps: replaces the norm of weights where that norm is smaller, as for biases that start at zero.
      axis: the axes over which the norm of a unit runs, for every leaf; None chooses by the number of axes, as above.

    Raises:
      ValueError: `update` gets no parameters, or a leaf has more than five axes and `axis` is None.

    >>> params, grads = jnp.array([[3.0, 0.0], [4.0, 0.0]]), jnp.array([[3.0, 3.0], [4.0, 4.0]])
    >>> adaptive_grad_clip(0.5, eps=5.0).update(grads, (), params)[0]
    Array([[1.5, 1.5],
           [2. , 2. ]], dtype=float32)
    >>> adaptive_grad_clip(0.5, eps=1.25).update(grads, (), params)[0]  # the second unit's weights are below eps
    Array([[1.5  , 0.375],
           [2.   , 0.5  ]], dtype=float32)
    """
    check_range("clipping", clipping, 0)
    check_range("eps", eps, 0)

    def equation(g, w):
        axes = _unit_axes(w) if axis is None else axis
        bound = clipping * jnp.maximum(jnp.sqrt(_squares(w, axes)), eps)
        return (g * _shrinking(_squares(g, axes), bound),)

    def clipped(grads, params):
        require_params(params, "adaptive_grad_clip")
        return leafwise(equation, grads, given=(params,))[0]

    return stateless(clipped)


def global_norm(tree) -> jax.Array:
    """Computes the Euclidean norm of all floating leaves together; half precision is summed in float32.

    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.bfloat16(4.0)}))
    5.0
    """
    return jnp.sqrt(_sum_of_squares(tree))


def _sum_of_squares(tree):
    return sum((_squares(leaf) for leaf in jax.tree.leaves(tree) if is_trainable(leaf)), jnp.zeros(()))


def _squares(x, axis=None):
    """Computes the sum of |x|^2 over all entries, or along `axis` with the axes kept."""
    x = jnp.asarray(x, jnp.promote_types(jnp.result_type(x), jnp.float32))
    return jnp.sum(jnp.real(x * jnp.conj(x)), axis=axis, keepdims=axis is not None)


def _shrinking(squares, bound):
    """Computes `min(1, bound / sqrt(squares))`, with derivative 0 at zero, and NaN for NaN."""
    inside = squares <= bound * bound
    return jnp.where(inside, 1, bound / jnp.sqrt(jnp.where(inside, 1, squares)))


def _unit_axes(w):
    if jnp.squeeze(w).ndim <= 1:
        return tuple(range(w.ndim))
    if w.ndim > 5:
        raise ValueError(f"a parameter must have at most 5 axes; received shape {w.shape}. Name a unit's by `axis=`.")
    return {2: (0,), 3: (0,), 4: (0, 1, 2), 5: (0, 1, 2, 3)}[w.ndim]
