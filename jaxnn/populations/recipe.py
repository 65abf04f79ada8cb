"""What the members of a group share, and how a hyperparameter finds the piece that it belongs to."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.training import TrainState, TrainStep, init_state
from jaxnn.training.train_step import EvaluationStep

INITIAL_SCALE = "initial_scale"
BATCH_SIZE = "batch_size"


class MemberState(NamedTuple):
    """A run and its traced hyperparameters, float32 scalars."""

    hyperparameters: dict[str, jax.Array]
    run: TrainState


@dataclass(frozen=True)
class Recipe:
    """A value, as `TrainStep` is: a hyperparameter goes to whichever of optimizer, loss and model names it.

    Args:
      model: a linen module, whose fields can be set, or a pair (init, apply), whose keywords can.
      optimizer: a factory, such as `optimizers.adam`, or a pair (init, update) without hyperparameters.
      loss: per example, of (outputs, targets, **keywords).
      metrics, preprocess, fields: as for `TrainStep`.
      static: pairs (name, value) of the hyperparameters that are no floats.
    """

    model: Any
    optimizer: Any
    loss: Callable[..., jax.Array]
    metrics: tuple[tuple[str, Callable[..., jax.Array]], ...]
    preprocess: Callable[[jax.Array], jax.Array]
    fields: tuple[str, str]
    static: tuple[tuple[str, Any], ...] = ()

    def check(self, names) -> None:
        """Raises ValueError for a hyperparameter that none of the pieces takes, or more than one."""
        known = {piece: _names(getattr(self, piece)) for piece in ("optimizer", "loss", "model")}
        for name in sorted({*names} - {INITIAL_SCALE, BATCH_SIZE}):
            takers = [piece for piece, taken in known.items() if name in taken]
            if not takers:
                raise unknown("hyperparameter", name, {INITIAL_SCALE, BATCH_SIZE}.union(*known.values()))
            if len(takers) > 1:
                raise ValueError(
                    f"hyperparameter {name!r} must belong to one piece; {' and '.join(takers)} both take it. "
                    "Fix it in one of them with functools.partial, or wrap it in a function of other names."
                )

    def pieces(self, hyperparameters):
        """`(model, optimizer, loss)` for one member; called inside the compiled program."""
        given = {**dict(self.static), **hyperparameters}
        own = lambda piece: {name: value for name, value in given.items() if name in _names(piece)}  # noqa: E731
        optimizer = self.optimizer(**own(self.optimizer)) if callable(self.optimizer) else self.optimizer
        return _with(self.model, own(self.model)), optimizer, partial(self.loss, **own(self.loss))

    def init(self, hyperparameters, key, x) -> MemberState:
        """The state before the first step, for inputs like `x`."""
        model, optimizer, _ = self.pieces(hyperparameters)
        run = init_state(model, optimizer, x, key=key, preprocess=self.preprocess)
        scale = {**dict(self.static), **hyperparameters}.get(INITIAL_SCALE)
        if scale is not None:
            params = jax.tree.map(partial(_scaled, scale), run.params)
            run = run._replace(params=params, opt_state=optimizer.init(params))
        return MemberState(hyperparameters, run)


@dataclass(frozen=True)
class MemberStep:
    """`step(member, batch) -> (member, metrics)`: the one `TrainStep`, with its hyperparameters as inputs.

    axis_name: of the devices that divide a member's batch, as for `TrainStep`.
    """

    recipe: Recipe
    axis_name: str | None = None

    @property
    def metrics(self):
        """As `TrainStep.metrics`."""
        return self.recipe.metrics

    def __call__(self, member: MemberState, batch):
        """One update."""
        recipe = self.recipe
        model, optimizer, loss = recipe.pieces(member.hyperparameters)
        pieces = model, loss, optimizer.update, recipe.metrics, recipe.preprocess, recipe.fields
        step = TrainStep(*pieces, axis_name=self.axis_name)
        run, metrics = step(member.run, batch)
        return MemberState(member.hyperparameters, run), metrics


@dataclass(frozen=True)
class MemberEvaluation:
    """`step(member, batch) -> metrics`, without an update."""

    recipe: Recipe

    def __call__(self, member: MemberState, batch):
        """The (sum, count) pairs of one batch."""
        recipe = self.recipe
        model, _, loss = recipe.pieces(member.hyperparameters)
        step = EvaluationStep(model, (("loss", loss), *recipe.metrics), recipe.preprocess, recipe.fields)
        return step(member.run.params, member.run.model_state, batch)


def _names(piece) -> set[str]:
    """The keywords that a factory or a loss takes, the fields of a linen module."""
    if isinstance(piece, tuple) and not hasattr(piece, "_fields"):
        return set().union(*map(_names, piece)) - {"params", "x", "key", "train"}
    if dataclasses.is_dataclass(piece) and hasattr(piece, "clone"):
        return {field.name for field in dataclasses.fields(piece)} - {"parent", "name"}
    if not callable(piece):
        return set()
    parameters = inspect.signature(piece).parameters.values()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _with(model, changes):
    if not changes:
        return model
    if isinstance(model, tuple):
        return tuple(partial(f, **{k: v for k, v in changes.items() if k in _names(f)}) for f in model)
    return model.clone(**changes)


def _scaled(scale, leaf):
    """Weights are what has two axes or more; biases stay."""
    return leaf * jnp.asarray(scale, leaf.dtype) if leaf.ndim > 1 else leaf
