"""Models: Flax linen modules, one paper a file. The code speaks.

Contract: `init(key, x)` and `apply(variables, x, train=..., rngs=..., mutable=...)`; images NHWC in, logits out.
"""

from jaxnn.models.lenet import LeNet5 as LeNet5
from jaxnn.models.lenet_1998 import LeNet1998 as LeNet1998
from jaxnn.models.mlp import MLP as MLP
from jaxnn.models.softmax_regression import SoftmaxRegression as SoftmaxRegression

MODELS = {
    "lenet1998": LeNet1998,
    "lenet5": LeNet5,
    "mlp": MLP,
    "softmax_regression": SoftmaxRegression,
}
