"""`MLP` is the multi-layer perceptron (Rumelhart, Hinton and Williams 1986, Nature 323)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
from jaxtyping import Array, Float

from jaxnn.layers import dropout


class MLP(nn.Module):
    """Is a stack of dense layers with an activation between them; 784-128-10 has 101 770 parameters.

    In training each hidden activation is dropped with probability `dropout_rate`; with None no activation is dropped,
    and no key is needed.
    """

    features: Sequence[int] = (128,)
    classes: int = 10
    activation: Callable = nn.relu
    dropout_rate: float | Float[Array, ""] | None = None

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = x.reshape(x.shape[0], -1)
        for i, features in enumerate(self.features):
            x = self.activation(nn.Dense(features, kernel_init=nn.initializers.he_normal(), name=f"hidden{i + 1}")(x))
            if train and self.dropout_rate is not None:
                x = dropout(self.make_rng("dropout"), x, rate=self.dropout_rate)
        return nn.Dense(self.classes, name="logits")(x)
