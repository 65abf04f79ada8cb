"""Chains and feed-forward graphs compose hand-written layers into networks; the chain rule gives the backward pass.

A network is a layer itself, so a network can be part of another network:

>>> import jax.numpy as jnp
>>> from jaxnn.layers.dense_layer import Dense
>>> network = chain(Dense(8), Dense(3))
>>> x = jnp.ones((2, 4))
>>> params = network.init(jax.random.key(0), x)
>>> y, residuals = network.forward(params, x)
>>> dparams, dx = network.backward(residuals, jnp.ones_like(y))
>>> dparams["1"]["kernel"].shape, dx.shape
((8, 3), (2, 4))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from jaxnn.layers.hand_written import Layer, run
from jaxnn.naming import unknown

INPUT = "input"


def chain(*layers: Layer) -> Layer:
    """Composes layers into the network `f_n(... f_2(f_1(x)))`.

    The parameters are a dict with the keys "0", "1", ... in the order of the layers. Backpropagation: with
    `dy_n = dL/dy_n`, each layer computes `(dparams_i, dy_{i-1}) = backward_i(residuals_i, dy_i)`.

    Raises:
      ValueError: there are no layers.
    """
    values = [INPUT, *map(str, range(len(layers)))]
    return graph({y: (layer, x) for layer, x, y in zip(layers, values, values[1:], strict=False)})


def graph(nodes: Mapping[str, tuple[Any, ...]]) -> Layer:
    """Composes layers into a feed-forward graph, in which each node is a layer with the names of its sources.

    The source "input" is the input of the network. The last node is the output. A node that reads several values
    receives them as a tuple. In the backward pass, the gradient of a value is the sum over all nodes that read it.

    Args:
      nodes: name -> (layer, source, ...), where every source is "input" or an earlier node.

    Raises:
      ValueError: there are no nodes, a source is neither "input" nor an earlier node, or a value other than the output
        is never read.

    >>> import jax.numpy as jnp
    >>> from jaxnn.layers.dense_layer import Dense
    >>> from jaxnn.layers.activation_layers import ReLU
    >>> from jaxnn.layers.merging_layers import Add
    >>> block = {"dense1": (Dense(4), INPUT), "relu": (ReLU(), "dense1"), "dense2": (Dense(4), "relu")}
    >>> residual = graph({**block, "sum": (Add(), "dense2", INPUT)})
    >>> params = residual.init(jax.random.key(0), jnp.ones((1, 4)))
    >>> list(params)
    ['dense1', 'relu', 'dense2', 'sum']
    """
    _check(nodes)
    output = list(nodes)[-1]

    def inputs(values, sources):
        return values[sources[0]] if len(sources) == 1 else tuple(values[source] for source in sources)

    def shapes(x):
        """Returns the shape and dtype of every node's input."""
        values, seen = {INPUT: x}, {}
        for name, (layer, *sources) in nodes.items():
            seen[name] = inputs(values, sources)
            values[name] = jax.eval_shape(partial(_first_value, layer), seen[name])
        return seen

    def init(key, x):
        keys = {name: jax.random.fold_in(key, i) for i, name in enumerate(nodes)}
        return {name: nodes[name][0].init(keys[name], x) for name, x in shapes(x).items()}

    def init_state(x):
        return {name: nodes[name][0].init_state(x) for name, x in shapes(x).items()}

    def forward(params, x, *, state=None, train=False, key=None):
        values, residuals = {INPUT: x}, {}
        for i, (name, (layer, *sources)) in enumerate(nodes.items()):
            own = {"state": state[name] if state else (), "key": None if key is None else jax.random.fold_in(key, i)}
            values[name], residuals[name] = run(layer, params[name], inputs(values, sources), train=train, **own)
        return values[output], residuals

    def backward(residuals, dy):
        gradients, dparams = {output: dy}, {}
        for name, (layer, *sources) in reversed(nodes.items()):
            dparams[name], dx = layer.backward(residuals[name], gradients.pop(name))
            for source, d in zip(sources, dx if len(sources) > 1 else (dx,), strict=True):
                gradients[source] = gradients[source] + d if source in gradients else d
        return {name: dparams[name] for name in nodes}, gradients[INPUT]

    def advance(state, residuals):
        return {name: layer.advance(state[name], residuals[name]) for name, (layer, *_) in nodes.items()}

    return Layer(init, forward, backward, init_state, advance)


@dataclass(frozen=True)
class LayerModel:
    """Wraps a network of hand-written layers as a model for the trainer, with `init` and `apply` as in a Flax module.

    `jax.grad` of `apply` runs the backward passes of the layers. The variables are `params` and, if a layer has a
    state, `state`.
    """

    network: Layer

    def init(self, rngs, x) -> dict[str, Any]:
        """Returns the variables for inputs like `x`."""
        state = self.network.init_state(x)
        params = {"params": self.network.init(rngs["params"], x)}
        return {**params, "state": state} if jax.tree.leaves(state) else params

    def apply(self, variables, x, *, train: bool = False, rngs=None, mutable=False):
        """Returns the outputs; with `mutable` also the variables that a training step changes without a gradient."""
        key = (rngs or {}).get("dropout")
        state = variables.get("state") or self.network.init_state(x)
        y, state = _differentiable_run(self.network, train)(variables["params"], x, state, key)
        return y if mutable is False else (y, dict.fromkeys(mutable, state))


def _differentiable_run(network: Layer, train: bool):
    def forward(params, x, state, key):
        y, residuals = run(network, params, x, state=state, train=train, key=key)
        return (y, network.advance(state, residuals) if train else state), residuals

    f = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
    f.defvjp(forward, lambda residuals, dys: (*network.backward(residuals, dys[0]), None, None))
    return f


def _first_value(layer: Layer, x):
    key = jax.random.key(0)
    return run(layer, layer.init(key, x), x, state=layer.init_state(x), key=key)[0]


def _check(nodes):
    if not nodes:
        raise ValueError("a network must have at least one layer; received none.")
    above, read = [INPUT], set()
    for name, (_, *sources) in nodes.items():
        for source in sources or [""]:
            if source not in above:
                raise unknown(f"source of node {name!r}", source, above)
        above, read = [*above, name], read | set(sources)
    unread = [name for name in above[:-1] if name not in read]
    if unread:
        raise ValueError(
            f"every value but the last node's must be read by some node; nobody reads {', '.join(unread)}."
        )
