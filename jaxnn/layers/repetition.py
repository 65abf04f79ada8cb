"""A loop applies one layer many times, each time with its own parameters; the compiled program does not grow."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnn.layers.hand_written import Layer, run


def repeat(layer: Layer, times: int) -> Layer:
    """Returns the network `f(p_n, ... f(p_2, f(p_1, x)))`, whose program does not grow with n.

    Parameters, state and residuals are those of the layer with a leading axis of length n. The forward pass is a
    `lax.scan` over the parameters and the state. The backward pass is a `lax.scan` over the residuals in reverse:
    `(dp_i, dy_{i-1}) = backward(residuals_i, dy_i)`.

    Args:
      layer: a layer, or a network of layers, whose outputs have the shape and dtype of its inputs.
      times: n.

    Raises:
      ValueError: n < 1.

    >>> from jaxnn.layers.dense_layer import Dense
    >>> network, x = repeat(Dense(8), 32), jnp.ones((2, 8))
    >>> params = network.init(jax.random.key(0), x)
    >>> y, residuals = network.forward(params, x)
    >>> dparams, dx = network.backward(residuals, jnp.ones_like(y))
    >>> dparams["kernel"].shape, dx.shape
    ((32, 8, 8), (2, 8))
    """
    if times < 1:
        raise ValueError(f"`times` must be at least 1; received {times}.")

    def init(key, x):
        return jax.vmap(lambda key: layer.init(key, x))(jax.random.split(key, times))

    def init_state(x):
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (times, *leaf.shape)), layer.init_state(x))

    def forward(params, x, *, state=(), train=False, key=None):
        keys = None if key is None else jax.random.split(key, times)

        def step(x, own):
            params, state, key = own
            return run(layer, params, x, state=state, train=train, key=key)

        return lax.scan(step, x, (params, state, keys), length=times)

    def backward(residuals, dy):
        dx, dparams = lax.scan(lambda dy, own: layer.backward(own, dy)[::-1], dy, residuals, reverse=True)
        return dparams, dx

    return Layer(init, forward, backward, init_state, jax.vmap(layer.advance))
