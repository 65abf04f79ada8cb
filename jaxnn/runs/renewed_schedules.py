"""`renew_schedules` gives a state that was read from a checkpoint the schedules of another number of steps."""

import jax

from jaxnn.optimizers.adjustable_hyperparameters import AdjustableState


def renew_schedules(state, fresh):
    """Returns `state` with the schedules of `fresh`; parameters, moments, step and all other numbers stay.

    The numbers of a schedule, such as its length, are part of the state of an `adjustable` optimizer.

    Args:
      state: the state of a run.
      fresh: a new state of the same structure, made by the trial that continues the run.
    """
    return jax.tree.map(_renewed, state, fresh, is_leaf=lambda node: isinstance(node, AdjustableState))


def _renewed(node, fresh):
    if not isinstance(node, AdjustableState):
        return node
    changed = {
        name: fresh.hyperparameters[name] if callable(value) else value for name, value in node.hyperparameters.items()
    }
    return node._replace(hyperparameters=changed)
