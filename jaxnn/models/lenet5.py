"""`LeNet5` is LeNet-5 in the form that is taught today: ReLU, max pooling, softmax (after LeCun et al. 1998)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn

from jaxnn.initializers import fan_in_uniform
from jaxnn.layers import convolve, max_pool


class LeNet5(nn.Module):
    """Is a convolutional network with 61 706 parameters (LeCun, Bottou, Bengio, Haffner 1998, doi 10.1109/5.726791).

    | layer | output     | parameters |
    | ----- | ---------- | ---------- |
    | conv1 | 28 x 28 x 6  |        156 |
    | pool  | 14 x 14 x 6  |            |
    | conv2 | 10 x 10 x 16 |      2 416 |
    | pool  | 5 x 5 x 16   |            |
    | dense1 | 120         |     48 120 |
    | dense2 | 84          |     10 164 |
    | logits | 10          |        850 |

    ReLU follows the pooling: the two commute, and after the pooling ReLU has only a quarter of the values to process.
    """

    classes: int = 10
    convolution: Callable = convolve

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        conv = partial(nn.Conv, kernel_size=(5, 5), kernel_init=uniform, conv_general_dilated=self.convolution)
        x = nn.relu(max_pool(conv(6, padding=2, name="conv1")(x)))
        x = nn.relu(max_pool(conv(16, padding="VALID", name="conv2")(x)))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(120, kernel_init=uniform, name="dense1")(x))
        x = nn.relu(nn.Dense(84, kernel_init=uniform, name="dense2")(x))
        return nn.Dense(self.classes, kernel_init=uniform, name="logits")(x)


uniform = fan_in_uniform()
