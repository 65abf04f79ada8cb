"""`LeNet1998` is LeNet-5 as published (LeCun, Bottou, Bengio and Haffner 1998, doi 10.1109/5.726791, sec. II.B)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxnn.activations import scaled_tanh
from jaxnn.initializers import fan_in_uniform
from jaxnn.layers import average_pool, convolve

# Table I: column = feature map of C3, row = feature map of S2 that it sees.
C3_CONNECTIONS = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)

# The prototype of each class is a 7 x 12 picture of the digit (fig. 3), redrawn here: "#" is +1, "." is -1.
DIGITS = """
..###.. ...#... .#####. .#####. #....#. ####### ..####. ####### .#####. .####..
.##.##. ..##... ##...## ##...## #....#. #...... .##.... #....## ##...## ##..##.
##...## .###... #.....# .....## #....#. #...... ##..... .....#. #.....# #....##
#.....# #.##... .....## ......# #....#. #...... #...... ....##. ##...## #.....#
#.....# ..##... ....##. .....## #....#. #.####. #.####. ....#.. .#####. ##...##
#.....# ..##... ...##.. ..####. ####### ##...## ##...## ...##.. .#####. .######
#.....# ..##... ..##... .....## .....#. ......# #.....# ...#... ##...## ..###.#
#.....# ..##... .##.... ......# .....#. ......# #.....# ..##... #.....# ......#
#.....# ..##... ##..... ......# .....#. ......# #.....# ..#.... #.....# .....##
##...## ..##... #...... #.....# .....#. #.....# #.....# .##.... #.....# .....#.
.##.##. ..##... #.....# ##...## .....#. ##...## ##...## .#..... ##...## ...###.
..###.. .#####. ####### .#####. .....#. .#####. .#####. .#..... .#####. .###...
"""


class LeNet1998(nn.Module):
    """Is the network of 1998 for 32 x 32 images, with 60 000 trainable parameters.

    | layer | kind                                        | output       | parameters |
    | ----- | ------------------------------------------- | ------------ | ---------- |
    | C1    | 5 x 5 convolution                           | 28 x 28 x 6  |        156 |
    | S2    | mean of 2 x 2, trainable gain and bias      | 14 x 14 x 6  |         12 |
    | C3    | 5 x 5 convolution of the maps in Table I    | 10 x 10 x 16 |      1 516 |
    | S4    | mean of 2 x 2, trainable gain and bias      | 5 x 5 x 16   |         32 |
    | C5    | 5 x 5 convolution                           | 1 x 1 x 120  |     48 120 |
    | F6    | dense                                       | 84           |     10 164 |
    | RBF   | squared distance to ten fixed prototypes    | 10           |          0 |

    A scaled tanh follows every layer up to F6. Outputs are logits: minus the squared distances.
    """

    convolution: Callable = convolve

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        if x.ndim != 4 or x.shape[1:3] != (32, 32):
            raise ValueError(
                f"`x` must have shape (batch, 32, 32, channels); received {x.shape}. Pad 28 x 28 images by 2."
            )
        conv = partial(nn.Conv, kernel_size=(5, 5), padding="VALID", kernel_init=uniform)
        conv = partial(conv, conv_general_dilated=self.convolution)
        x = scaled_tanh(conv(6, name="C1")(x))
        x = scaled_tanh(Subsampling(name="S2")(x))
        x = scaled_tanh(PartialConvolution(C3_CONNECTIONS, self.convolution, name="C3")(x))
        x = scaled_tanh(Subsampling(name="S4")(x))
        x = scaled_tanh(conv(120, name="C5")(x)).reshape(x.shape[0], -1)
        x = scaled_tanh(nn.Dense(84, kernel_init=uniform, name="F6")(x))
        return -jnp.sum((x[:, None] - prototypes()[None]) ** 2, axis=-1)


class Subsampling(nn.Module):
    """Computes `gain * mean over 2 x 2 + bias`, with a gain and a bias for each map."""

    @nn.compact
    def __call__(self, x):
        gain = self.param("gain", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return average_pool(x) * gain[None, None, None] + bias[None, None, None]


class PartialConvolution(nn.Module):
    """Is a convolution in which an output map sees the input maps that its column of `connections` marks."""

    connections: tuple[str, ...]
    convolution: Callable = convolve

    @nn.compact
    def __call__(self, x):
        connected = np.array([[mark == "X" for mark in row] for row in self.connections])
        inputs, outputs = np.nonzero(connected)
        maps = connected.sum(axis=0)[outputs]  # the fan-in is 25 * maps
        init = lambda key, shape: uniform(key, shape) / maps[None, None]
        kernel = self.param("kernel", init, (5, 5, len(inputs)))
        bias = self.param("bias", nn.initializers.zeros, connected.shape[1:])
        full = jnp.zeros((5, 5, *connected.shape), x.dtype).at[:, :, inputs, outputs].set(kernel)
        return self.convolution(x, full, (1, 1), "VALID") + bias[None, None, None]


def prototypes() -> np.ndarray:
    """Returns the class prototypes, (10, 84), of +1 and -1: row-major pictures, 12 high and 7 wide."""
    rows = [line.split() for line in DIGITS.split("\n") if line]
    pictures = [[[1.0 if c == "#" else -1.0 for c in row[digit]] for row in rows] for digit in range(10)]
    return np.array(pictures, np.float32).reshape(10, 84)


uniform = fan_in_uniform(2.4, exponent=1.0)
