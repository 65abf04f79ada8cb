"""These rows compare the regularizers with their references."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn import regularizers
from jaxnn.verification.rows import FunctionRow


def _kernels(rng, batch):
    """Two kernels, all weights away from 0, and a bias, which must not count."""
    signs = rng.choice([-1.0, 1.0], size=(5, 4))
    return signs * rng.uniform(0.1, 2, size=(5, 4)), rng.uniform(0.1, 2, size=(3, 3, 2, 6)), rng.normal(size=6)


def _network(dense, convolution, bias):
    return {"dense": {"kernel": dense}, "conv": {"kernel": convolution, "bias": bias}}


def _activations(rng, batch):
    return (rng.uniform(0.02, 0.98, size=(batch, 3, 4)),)


def _norm(dense, convolution, bias, *, ord, strength, squared=False):
    return strength * optax.tree.norm((dense, convolution), ord=ord, squared=squared)


def _elastic_net(dense, convolution, bias):
    weights = jnp.concatenate([dense.ravel(), convolution.ravel()])
    return 0.3 * jnp.abs(weights).sum() + optax.l2_loss(weights).sum() * 0.7


def _divergence(activations, target=0.05):
    rho = jnp.mean(activations, axis=0)
    kl = jax.scipy.special.rel_entr
    return jnp.sum(kl(jnp.full_like(rho, target), rho) + kl(jnp.full_like(rho, 1 - target), 1 - rho))


def _projected(kernel, limit):
    columns = kernel.reshape(-1, kernel.shape[-1])
    project = partial(optax.projections.projection_l2_ball, scale=limit)
    return jax.vmap(project, in_axes=1, out_axes=1)(columns).reshape(kernel.shape)


def _scaled_columns(rng, batch):
    """Units of norm 0.3 to 3, none at the limit of 1."""
    kernel = rng.normal(size=(3, 2, 4, 6))
    norms = np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
    return (kernel / norms * np.array([0.3, 0.6, 0.9, 1.2, 2, 3]),)


REGULARIZERS = [
    FunctionRow(
        "l1",
        regularizers.l1,
        lambda *weights: regularizers.l1(_network(*weights), strength=0.3),
        partial(_norm, ord=1, strength=0.3),
        "optax.tree.norm",
        _kernels,
        differentiable_oracle=True,
    ),
    FunctionRow(
        "l2",
        regularizers.l2,
        lambda *weights: regularizers.l2(_network(*weights), strength=0.3),
        partial(_norm, ord=2, strength=0.15, squared=True),
        "optax.tree.norm",
        _kernels,
        differentiable_oracle=True,
    ),
    FunctionRow(
        "l2, of one layer",
        regularizers.l2,
        lambda *weights: regularizers.l2(_network(*weights), strength=1.0, of="conv/*"),
        lambda dense, convolution, bias: optax.tree.norm((convolution, bias), squared=True) / 2,
        "optax.tree.norm",
        _kernels,
        differentiable_oracle=True,
    ),
    FunctionRow(
        "elastic_net",
        regularizers.elastic_net,
        lambda *weights: regularizers.elastic_net(_network(*weights), l1_strength=0.3, l2_strength=0.7),
        _elastic_net,
        "optax.l2_loss",
        _kernels,
        differentiable_oracle=True,
    ),
    FunctionRow(
        "l1_sparsity",
        regularizers.l1_sparsity,
        regularizers.l1_sparsity,
        lambda a: jnp.mean(jax.vmap(partial(optax.tree.norm, ord=1))(a)),
        "optax.tree.norm",
        _activations,
        differentiable_oracle=True,
    ),
    *(
        FunctionRow(
            name,
            regularizers.kl_sparsity,
            partial(regularizers.kl_sparsity, target=target),
            partial(_divergence, target=target),
            "jax.scipy.special.rel_entr",
            _activations,
            differentiable_oracle=True,
        )
        for name, target in (("kl_sparsity", 0.05), ("kl_sparsity, target 0.3", 0.3))
    ),
    FunctionRow(
        "max_norm",
        regularizers.max_norm,
        lambda kernel: regularizers.max_norm({"kernel": kernel}, limit=1.0)["kernel"],
        partial(_projected, limit=1.0),
        "optax.projections.projection_l2_ball",
        _scaled_columns,
        differentiable_oracle=True,
    ),
]
