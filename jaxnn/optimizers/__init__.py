"""Optimizers from scratch, as Optax's pairs.

Contract: `init(params) -> state`, `update(grads, state, params, **extra) -> (updates, state)`, and
`apply_updates(params, updates)` adds. Ours and Optax's stand in each other's place and chain with each other.
"""

from jaxnn.optimizers.adaptive import adam as adam
from jaxnn.optimizers.adjustable_hyperparameters import adjustable as adjustable
from jaxnn.optimizers.gradient_descent import sgd as sgd
from jaxnn.optimizers.gradient_transformation import GradientTransformation as GradientTransformation
from jaxnn.optimizers.gradient_transformation import apply_updates as apply_updates
