"""`EquinoxModel` makes a model of an Equinox module.

Parameters and state are kept apart from the module, which sees one example at a time under `vmap`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax

from jaxnn.signatures import accepted

AXIS = "batch"  # the axis of examples, over which `eqx.nn.BatchNorm(..., axis_name="batch")` averages


@dataclass(frozen=True, eq=False)
class EquinoxModel:
    """Gives an Equinox module `init` and `apply`, as a Flax module has.

    The module sees one example, as is usual in Equinox, and may take `key`. `eqx.nn.inference_mode` switches dropout
    and batch normalization between training and use. The parameters are the module's arrays of floats, a dict by path.

    Args:
      module: `make(key) -> module`, or `make(key) -> (module, state)` as `eqx.nn.make_with_state` makes; or the module
        or the pair itself, which then begins with its own parameters, whatever the seed is.

    >>> model = EquinoxModel(lambda key: eqx.nn.Linear(4, 3, key=key))
    >>> variables = model.init({"params": jax.random.key(0)}, jax.numpy.ones((2, 4)))
    >>> sorted(variables["params"]), model.apply(variables, jax.numpy.ones((2, 4))).shape
    (['bias', 'weight'], (2, 3))
    """

    module: eqx.Module | tuple[eqx.Module, eqx.nn.State] | Callable[[jax.Array], Any]

    def init(self, rngs, x) -> dict[str, Any]:
        """Returns the variables; `x` is not used, because the module knows its shapes."""
        module, state = self._made(rngs["params"])
        params = {"params": _named(eqx.filter(module, eqx.is_inexact_array))}
        return params if state is None else params | {"state": _named(state)}

    def apply(self, variables, x, *, train: bool = False, rngs=None, mutable=False):
        """Returns the outputs; with `mutable`, also the state after this batch."""
        module, state = self._made(jax.random.key(0))  # only its structure is used, not its numbers
        own, rest = eqx.partition(module, eqx.is_inexact_array)
        module = eqx.nn.inference_mode(eqx.combine(_filled(own, variables["params"]), rest), value=not train)
        state = None if state is None else _filled(state, variables["state"])
        keys = None if rngs is None else jax.random.split(rngs["dropout"], len(x))

        def one(x, key, state):
            keyword = accepted(type(module).__call__, key=key)
            return (module(x, **keyword), None) if state is None else module(x, state, **keyword)

        outputs, state = jax.vmap(one, (0, 0, None), (0, None), axis_name=AXIS)(x, keys, state)
        return outputs if mutable is False else (outputs, {"state": _named(state)} if mutable else {})

    def _made(self, key):
        """Returns the module, and its state or None."""
        is_made = isinstance(self.module, eqx.Module | tuple)
        made = self.module if is_made else self.module(key)
        return made if isinstance(made, tuple) else (made, None)


def _named(tree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _filled(tree, named):
    """Returns the tree with the leaves of `named`."""
    return jax.tree.unflatten(jax.tree.structure(tree), [named[name] for name in _named(tree)])
