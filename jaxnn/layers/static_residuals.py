"""What a backward pass must know that is no array: the shapes and choices of its forward pass."""

from collections.abc import Hashable
from dataclasses import dataclass

import jax


@jax.tree_util.register_static
@dataclass(frozen=True)
class Static:
    """A leafless node of the residuals: `jit` and `vmap` carry its value in the tree's structure, untraced.

    >>> jax.tree.leaves(Static((2, 3)))
    []
    """

    value: Hashable
