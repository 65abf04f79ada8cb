"""`NnxModel` makes a model of a Flax NNX module.

Parameters, state and keys are kept apart from the module, which is put together again in each step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


@dataclass(frozen=True, eq=False)
class NnxModel:
    """Gives an NNX module `init` and `apply`, as a Flax linen module has.

    The module's `train()` and `eval()` switch dropout and batch normalization between training and use. Each random
    stream of the module gets a key of its own, derived from the key of the step. The variables of type `nnx.Param` are
    the parameters; all other variables, such as batch statistics, are the model state.

    Args:
      module: `make(rngs) -> module`, such as the module's class; or the module itself, which then begins with its own
        parameters, whatever the seed is.

    >>> model = NnxModel(lambda rngs: nnx.Linear(4, 3, rngs=rngs))
    >>> variables = model.init({"params": jax.random.key(0)}, jnp.ones((2, 4)))
    >>> sorted(variables["params"]), model.apply(variables, jnp.ones((2, 4))).shape
    (['bias', 'kernel'], (2, 3))
    """

    module: nnx.Module | Callable[[nnx.Rngs], nnx.Module]

    def init(self, rngs, x) -> dict[str, Any]:
        """Returns the variables; `x` is not used, because the module knows its shapes."""
        _, params, _, rest = _split(self._made(rngs["params"]))
        variables = {"params": nnx.to_pure_dict(params), "state": nnx.to_pure_dict(rest)}
        return variables if variables["state"] else {"params": variables["params"]}

    def apply(self, variables, x, *, train: bool = False, rngs=None, mutable=False):
        """Returns the outputs; with `mutable`, also the state after this batch."""
        graph, params, keys, rest = _split(self._made(jax.random.key(0)))  # only its structure is used, not its numbers
        nnx.replace_by_pure_dict(params, variables["params"])
        nnx.replace_by_pure_dict(rest, variables.get("state", {}))
        module = nnx.merge(graph, params, _drawn(keys, (rngs or {}).get("dropout")), rest)
        module.train() if train else module.eval()
        outputs = module(x)
        state = nnx.to_pure_dict(_split(module)[3])
        return outputs if mutable is False else (outputs, dict.fromkeys(mutable, state))

    def _made(self, key) -> nnx.Module:
        return nnx.clone(self.module) if isinstance(self.module, nnx.Module) else self.module(nnx.Rngs(key))


def _split(module):
    return nnx.split(module, nnx.Param, nnx.RngState, ...)


def _drawn(keys, key):
    """Restarts the random streams, each with a key of its own; without a key they stay as they are."""
    leaves, tree = jax.tree.flatten(keys)
    if key is None:
        return keys
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    fresh = [jax.random.fold_in(key, i) if is_key(leaf) else jnp.zeros_like(leaf) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(tree, fresh)
