"""These rows compare what stands around an optimizer, in a chain or around gradient descent or Adam."""

import jax
import optax

from jaxnn.optimizers.adam_family import adam, scale_by_adam
from jaxnn.optimizers.chaining import chain, identity, scale, scale_by_learning_rate
from jaxnn.optimizers.gradient_accumulation import accumulate
from jaxnn.optimizers.gradient_clipping import (
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    clip_by_norm,
)
from jaxnn.optimizers.gradient_transformation import GradientTransformation
from jaxnn.optimizers.lars_and_lamb import scale_by_trust_ratio
from jaxnn.optimizers.lookahead_weights import lookahead
from jaxnn.optimizers.momentum_and_nesterov import scale_by_momentum, sgd
from jaxnn.optimizers.parameter_grouping import parameter_groups
from jaxnn.optimizers.weight_decay import add_decayed_weights
from jaxnn.parameter_paths import path_names
from jaxnn.verification.rows import OptimizerRow

DECAYING_SGD = "optax.chain, optax.add_decayed_weights"


def _before(transformation, optimizer, chain):
    """The factory of the chain (transformation, optimizer)."""

    def make(learning_rate, **numbers):
        return chain(transformation(**numbers), optimizer(learning_rate))

    make.__doc__ = f"{transformation.__doc__} learning_rate: of the optimizer behind it. numbers: its own."
    return make


def _row(name, ours, theirs, numbers, **options):
    factories = _before(ours, sgd, chain), _before(theirs, optax.sgd, optax.chain)
    return OptimizerRow(name, *factories, f"optax.{theirs.__name__.lstrip('_')}", numbers, options, (ours, chain))


def _adamw(learning_rate, weight_decay):
    """Decoupled: learning_rate times (Adam's direction + weight_decay times the weights)."""
    return chain(scale_by_adam(), add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate))


def _lamb(learning_rate, eps, weight_decay):
    """LAMB of its links: learning_rate times the trust ratio times (Adam's direction by eps + weight_decay w)."""
    decayed = chain(scale_by_adam(eps=eps), add_decayed_weights(weight_decay))
    return chain(decayed, scale_by_trust_ratio(), scale_by_learning_rate(learning_rate))


def _momentum(momentum, nesterov=False):
    """Optax's `trace` by momentum, with nesterov or without."""
    return optax.trace(momentum, nesterov)


_momentum.__name__ = "trace"


def _first(path):
    return not path.endswith(("b", "y", "b1", "w2"))


def _groups(learning_rate, other_rate):
    """Gradient descent by learning_rate for one parameter of each problem, Adam by other_rate for the rest."""
    return parameter_groups({_first: sgd(learning_rate)}, rest=adam(other_rate))


def _groups_of_optax(learning_rate, other_rate):
    labels = lambda params: jax.tree.map(lambda p: "first" if _first(p) else "rest", path_names(params))
    return optax.partition({"first": optax.sgd(learning_rate), "rest": optax.adam(other_rate)}, labels)


def _accumulating(learning_rate, steps):
    """Adam by learning_rate, with the mean of as many gradients as there are steps."""
    return accumulate(adam(learning_rate), steps=steps)


def _multi_steps(learning_rate, steps):
    return optax.MultiSteps(optax.adam(learning_rate), steps, accumulator_dtype=None).gradient_transformation()


def _looking_ahead(learning_rate, sync_period, slow_step_size, reset_state=False):
    """Adam by learning_rate; every sync_period steps, slow_step_size of the way; reset_state clears the moments."""
    return lookahead(adam(learning_rate), sync_period, slow_step_size, reset_state=reset_state)


def _lookahead_of_optax(learning_rate, sync_period, slow_step_size, reset_state=False):
    """Optax keeps the slow weights beside the parameters; here they ride along in the state."""
    pair = optax.lookahead(optax.adam(learning_rate), sync_period, slow_step_size, reset_state)

    def init(params):
        both = optax.LookaheadParams.init_synced(params)
        return pair.init(both), both.slow

    def update(grads, state, params=None, **extra):
        updates, own = pair.update(grads, state[0], optax.LookaheadParams(params, state[1]))
        return updates.fast, (own, jax.tree.map(lambda s, u: s + u, state[1], updates.slow))

    return GradientTransformation(init, update)


def _clip_each(max_norm):
    """Optax has no clip of each leaf's norm; over a tree of one leaf the global norm is that leaf's."""
    one = optax.clip_by_global_norm(max_norm)
    each = lambda grads, state, params=None: (jax.tree.map(lambda g: one.update(g, ())[0], grads), state)
    return optax.GradientTransformation(lambda params: (), each)


_clip_each.__name__ = "clip_by_global_norm of one leaf"

TRANSFORMATIONS = [
    _row("identity", identity, optax.identity, {"learning_rate": 1e-3}),
    _row("scale", scale, optax.scale, {"learning_rate": 1e-2, "step_size": 0.1}),
    OptimizerRow(
        "scale_by_learning_rate",
        scale_by_learning_rate,
        optax.scale_by_learning_rate,
        "optax.scale_by_learning_rate",
        {"learning_rate": 1e-3},
    ),
    _row("clip", clip, optax.clip, {"learning_rate": 5e-3, "max_delta": 0.3}),
    _row("clip_by_norm", clip_by_norm, _clip_each, {"learning_rate": 5e-3, "max_norm": 0.3}),
    _row("clip_by_block_rms", clip_by_block_rms, optax.clip_by_block_rms, {"learning_rate": 5e-3, "threshold": 0.3}),
    _row(
        "clip_by_global_norm",
        clip_by_global_norm,
        optax.clip_by_global_norm,
        {"learning_rate": 3e-3, "max_norm": 3.0},  # larger steps oscillate across the valley, and rounding grows
    ),
    _row(
        "adaptive_grad_clip",
        adaptive_grad_clip,
        optax.adaptive_grad_clip,
        {"learning_rate": 1e-3, "clipping": 0.1, "eps": 3.0},
    ),
    _row(
        "add_decayed_weights, coupled",
        add_decayed_weights,
        optax.add_decayed_weights,
        {"learning_rate": 1e-3, "weight_decay": 0.3},
    ),
    OptimizerRow(
        "add_decayed_weights, decoupled",
        _adamw,
        optax.adamw,
        "optax.adamw",
        {"learning_rate": 1e-2, "weight_decay": 0.3},
    ),
    _row("scale_by_adam", scale_by_adam, optax.scale_by_adam, {"learning_rate": 1e-2, "b1": 0.85, "eps": 1e-6}),
    _row("scale_by_momentum", scale_by_momentum, _momentum, {"learning_rate": 2e-4, "momentum": 0.8}),
    OptimizerRow(
        "scale_by_trust_ratio, in LAMB",
        _lamb,
        optax.lamb,
        "optax.lamb",
        {"learning_rate": 1e-2, "eps": 1e-6, "weight_decay": 0.1},
        covers=(scale_by_trust_ratio,),
    ),
    OptimizerRow(
        "parameter_groups",
        _groups,
        _groups_of_optax,
        "optax.partition",
        {"learning_rate": 1e-3, "other_rate": 1e-2},
        covers=(parameter_groups,),
    ),
    OptimizerRow(
        "accumulate",
        _accumulating,
        _multi_steps,
        "optax.MultiSteps",
        {"learning_rate": 2e-2},
        {"steps": 3},
        covers=(accumulate,),
    ),
    OptimizerRow(
        "lookahead",
        _looking_ahead,
        _lookahead_of_optax,
        "optax.lookahead",
        {"learning_rate": 1e-2, "slow_step_size": 0.4},
        {"sync_period": 6},
        covers=(lookahead,),
    ),
    OptimizerRow(
        "lookahead, moments begun anew",
        _looking_ahead,
        _lookahead_of_optax,
        "optax.lookahead",
        {"learning_rate": 1e-2, "slow_step_size": 0.4},
        {"sync_period": 6, "reset_state": True},
    ),
]
