"""Layers as pure functions with hand-written backward passes.

Contract: `forward(params, x, **static) -> (y, residuals)` and `backward(residuals, dy, **static) -> (dparams, dx)`;
`differentiable(forward, backward)` makes of the pair a function that `jax.grad` differentiates by it.
Images are NHWC, kernels HWIO.
"""

from jaxnn.layers.affine import Dense as Dense
from jaxnn.layers.affine import dense as dense
from jaxnn.layers.convolution import LOWERINGS as LOWERINGS
from jaxnn.layers.convolution import choose_lowering as choose_lowering
from jaxnn.layers.convolution import convolve as convolve
from jaxnn.layers.hand_written import Layer as Layer
from jaxnn.layers.hand_written import differentiable as differentiable
from jaxnn.layers.pooling import average_pool as average_pool
from jaxnn.layers.pooling import max_pool as max_pool
