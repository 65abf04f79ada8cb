"""Layer statistics describe the signals in a network: activations on the way up, gradients of the loss on the way down.

    observe_layers    returns both for a chain of hand-written layers, from their own backward passes
    observe_module    returns the outputs of every submodule of a Flax linen module
    describe_layers   computes mean, standard deviation, root mean square, saturated and dead share of each layer

Signals that shrink or grow from layer to layer do so geometrically: a factor of 1/4 for each layer is a factor of 1e-6
for ten layers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnn.layers.hand_written import Layer, run

LIMITS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "relu": (0.0, math.inf)}
"""Maps an activation to the values at which it is flat, for `describe_layers`."""
MARGIN = 0.01  # share of the distance between two limits; a value as near as this to one of them is saturated


class Flow(NamedTuple):
    """Holds for each layer its output, and the gradients of the loss by its output and by its parameters."""

    activations: list[Array]
    gradients: list[Array]
    dparams: list[Any]


class LayerStatistics(NamedTuple):
    """Holds the statistics that `describe_layers` measures of the values of each layer; each is an array (layers,)."""

    mean: Float[Array, " layers"]
    std: Float[Array, " layers"]
    rms: Float[Array, " layers"]
    """Is the root of the mean square."""
    saturated: Float[Array, " layers"]
    """Is the share of the values that are at a limit."""
    dead: Float[Array, " layers"]
    """Is the share of the units (last axis) that are at a limit for every example."""


def observe_layers(layers: Sequence[Layer], params: Mapping[str, Any], x, *, loss: Callable, key=None) -> Flow:
    """Returns the activations and gradients of every layer of `chain(*layers)`, in training, for one batch.

    With `h_0 = x` and `h_i = f_i(h_{i-1})`, the activations are `h_1 ... h_n`, the gradients are
    `dL/dh_1 ... dL/dh_n`, and dparams are `dL/dparams_i`. The `backward` of layer i computes the gradient
    `dL/dh_{i-1}` from `dL/dh_i`. This is a pure function of arrays: it can be jitted, and mapped over `params` or `x`.

    Args:
      layers: the layers as passed to `chain`; a residual block, made by `graph`, counts as one layer.
      params: the params of `chain(*layers).init(key, x)`, named "0", "1", ...
      x: (batch, ...).
      loss: maps the outputs of the last layer to a number, such as a mean cross-entropy.
      key: the key for dropout; None if there is no dropout.

    Raises:
      ValueError: if the params do not have one entry for each layer, or there are no layers.

    >>> from jaxnn.layers import Dense, Tanh, chain
    >>> layers, x = [Dense(8), Tanh(), Dense(3)], jnp.ones((2, 4))
    >>> flow = observe_layers(layers, chain(*layers).init(jax.random.key(0), x), x, loss=jnp.sum)
    >>> [h.shape for h in flow.activations], flow.gradients[-1].tolist()[0], flow.dparams[0]["kernel"].shape
    ([(2, 8), (2, 8), (2, 3)], [1.0, 1.0, 1.0], (4, 8))
    """
    _check(layers, params)
    activations, residuals = [], []
    for i, layer in enumerate(layers):
        own_key = None if key is None else jax.random.fold_in(key, i)
        x, own = run(layer, params[str(i)], x, state=layer.init_state(x), train=True, key=own_key)
        activations, residuals = [*activations, x], [*residuals, own]
    gradients, dparams = [jax.grad(loss)(x)], []
    for layer, own in zip(reversed(layers), reversed(residuals), strict=True):
        own_gradient, dx = layer.backward(own, gradients[0])
        gradients, dparams = [dx, *gradients], [own_gradient, *dparams]
    return Flow(activations, gradients[1:], dparams)


def observe_module(module, variables, x, **keywords) -> dict[str, Array]:
    """Returns the output of every submodule of a Flax linen module by its path, in the order of their calls.

    Activations that are plain functions between the submodules (`nn.relu`) are not seen: only their inputs are
    reported. `keywords` are passed to the module's call, such as `train=False`. If a submodule has several outputs, the
    first one is returned.

    >>> from jaxnn.models import MLP
    >>> model, x = MLP(features=(8, 6)), jnp.ones((2, 4))
    >>> {path: h.shape for path, h in observe_module(model, model.init(jax.random.key(0), x), x).items()}
    {'hidden1': (2, 8), 'hidden2': (2, 6), 'logits': (2, 10)}
    """
    order = []

    def seen(submodule, method):
        order.append("/".join(submodule.path))
        return True

    keywords = {"capture_intermediates": seen, "mutable": ["intermediates"], **keywords}
    _, captured = module.apply(variables, x, **keywords)
    outputs = {}
    for path, value in jax.tree.leaves_with_path(captured["intermediates"]):
        names = [entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey)]
        outputs.setdefault("/".join(names[:-1]), value)  # the last name is that of the method
    return {path: outputs[path] for path in dict.fromkeys(order) if path}


def describe_layers(values: Sequence, *, limits: tuple[float, float] | None = None) -> LayerStatistics:
    """Computes statistics of the activations, or of the gradients, of each layer, over all its numbers.

    Args:
      values: an array (batch, ..., units) for each layer, such as `Flow.activations` or those of its activation layers.
      limits: the two values between which the activation lies, such as `LIMITS["tanh"]`. A value is saturated if it is
        within 1 % of their distance from one of them. If only the lower limit is finite, such as ReLU's 0, a value must
        reach it. With None, nothing saturates.

    Raises:
      ValueError: if there are no layers.

    >>> told = describe_layers([jnp.array([[0.0, 0.0], [0.0, 2.0]])], limits=LIMITS["relu"])
    >>> told.mean.tolist(), told.rms.tolist(), told.saturated.tolist(), told.dead.tolist()
    ([0.5], [1.0], [0.75], [0.5])
    """
    if not values:
        raise ValueError("`values` must have an array for each layer; received none.")
    low, high = (-math.inf, math.inf) if limits is None else limits
    margin = MARGIN * (high - low) if math.isfinite(high - low) else 0.0
    flat = [(h <= low + margin) | (h >= high - margin) for h in values]
    units = [mask.reshape(-1, mask.shape[-1]) for mask in flat]
    over = lambda measure, arrays: jnp.stack([measure(array) for array in arrays])
    return LayerStatistics(
        mean=over(jnp.mean, values),
        std=over(lambda h: _root_mean_square(h - jnp.mean(h)), values),
        rms=over(_root_mean_square, values),
        saturated=over(jnp.mean, flat),
        dead=over(lambda mask: mask.all(axis=0).mean(), units),
    )


def _root_mean_square(h):
    """Computes the root mean square in units of the largest value.

    Otherwise the squares of a vanishing gradient would be rounded to 0.
    """
    largest = jnp.abs(h).max()
    unit = jnp.where(largest > 0, largest, 1)
    return unit * jnp.sqrt(jnp.mean((h / unit) ** 2))


def _check(layers, params) -> None:
    expected = {str(i) for i in range(len(layers))}
    if set(params) != expected or not layers:
        raise ValueError(
            f"`params` must have an entry for each of {len(layers)} layers, named by its number, as of `chain`; "
            f"received {sorted(params)}."
        )
