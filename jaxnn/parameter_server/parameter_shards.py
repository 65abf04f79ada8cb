"""A training state is divided here into parts for the servers, each with whole arrays by name, and merged again.

A part is itself a `TrainState`, whose parameters are a dict `path -> array`. An optimizer that treats every array by
itself, as all first-order optimizers do, gives the same result on the parts as on the whole. A method that looks at all
arrays together, such as clipping by the global norm or a second-order method, looks at each part alone.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.training.train_state import TrainState


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns every leaf of a tree by its path.

    >>> named_leaves({"dense": {"kernel": 1.0, "bias": 2.0}})
    {'dense/bias': 2.0, 'dense/kernel': 1.0}
    """
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def with_named_leaves(tree: Any, leaves: dict[str, Any]) -> Any:
    """Returns the tree with the given leaves in place of its own; leaves whose name is not given stay."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaves.get(_name(path), leaf), tree)


def assign(params: Any, shards: int) -> list[list[str]]:
    """Returns the names in each part: arrays are assigned from the largest on, always to the part with least.

    Raises:
      ValueError: more parts than arrays, or no parts.

    >>> assign({"a": jnp.ones(5), "b": jnp.ones(3), "c": jnp.ones(3)}, 2)
    [['a'], ['b', 'c']]
    """
    sizes = {name: np.size(leaf) for name, leaf in named_leaves(params).items()}
    if not 1 <= shards <= len(sizes):
        raise ValueError(f"`shards` must be between 1 and the number of arrays, {len(sizes)}; received {shards}.")
    parts: list[list[str]] = [[] for _ in range(shards)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        min(parts, key=lambda part: sum(sizes[other] for other in part)).append(name)
    return [sorted(part) for part in parts]


def divide(state: TrainState, init, shards: int) -> list[TrainState]:
    """Divides the state into parts, as NumPy arrays; the first part has the model state, and none has a key.

    Args:
      state: the whole state.
      init: the `init` of the optimizer; its result for a part says which arrays of `state.opt_state` belong there.
      shards: the number of parts.

    Raises:
      ValueError: more parts than arrays, or an optimizer state whose arrays do not follow the names of the parameters.
    """
    params, optimizers = named_leaves(state.params), named_leaves(state.opt_state)
    parts = []
    for index, names in enumerate(assign(state.params, shards)):
        own = {name: params[name] for name in names}
        opt_state = _checked(jax.eval_shape(init, own), optimizers)
        parts.append(
            TrainState(state.step, own, state.model_state if index == 0 else {}, opt_state, None, state.examples)
        )
    return jax.device_get(parts)


def merge(parts: list[TrainState], like: TrainState) -> TrainState:
    """Merges parts to one state with the structure and the key of `like`; the step is that of the furthest part."""
    params, optimizers = ({}, {})
    for part in reversed(parts):  # of a leaf that all parts have, such as a count of steps, the first part's is kept
        params |= named_leaves(part.params)
        optimizers |= named_leaves(part.opt_state)
    step = jnp.asarray(max(int(part.step) for part in parts), jnp.int32)
    whole = with_named_leaves(like.params, params), parts[0].model_state, with_named_leaves(like.opt_state, optimizers)
    return TrainState(step, *jax.tree.map(jnp.asarray, whole), like.key, like.examples)


def _checked(template, leaves):
    """Returns the template with the leaves of its names; raises ValueError if one is missing or of another shape."""
    for name, leaf in named_leaves(template).items():
        if name not in leaves or np.shape(leaves[name]) != leaf.shape:
            raise ValueError(
                f"the optimizer's state must follow the parameters' names; {name!r} does not. An optimizer that mixes "
                "parameters cannot be divided among servers; take one that treats each by itself, such as adagrad."
            )
    return with_named_leaves(template, leaves)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
