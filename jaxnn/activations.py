"""Activations: `f(x) -> y`, elementwise; each states its derivative."""

import jax.numpy as jnp


def scaled_tanh(x):
    """LeCun's `1.7159 tanh(2x/3)`: f(+-1) = +-1, of largest curvature there, so that targets +-1 do not saturate.

    Derivative: `1.7159 (2/3) (1 - tanh(2x/3)^2)`; zero-centred; saturates at +-1.7159 (LeCun et al. 1998, appendix A).

    >>> scaled_tanh(jnp.array([0.0, 1.0])).round(3).tolist()
    [0.0, 1.0]
    """
    return 1.7159 * jnp.tanh(2 / 3 * x)
