"""The multi-layer perceptron (Rumelhart, Hinton and Williams 1986, Nature 323)."""

from collections.abc import Callable, Sequence

import flax.linen as nn


class MLP(nn.Module):
    """Dense layers with an activation between them; 784-128-10 has 101 770 parameters."""

    features: Sequence[int] = (128,)
    classes: int = 10
    activation: Callable = nn.relu

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = x.reshape(x.shape[0], -1)
        for i, features in enumerate(self.features):
            x = self.activation(nn.Dense(features, kernel_init=nn.initializers.he_normal(), name=f"hidden{i + 1}")(x))
        return nn.Dense(self.classes, name="logits")(x)
