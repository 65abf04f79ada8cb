"""A path such as `optimizer.learning_rate` or `model.dropout_rate` names a hyperparameter.

The last word of the path is enough where it is unique.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.naming import unknown
from jaxnn.populations.member_steps import BATCH_SIZE
from jaxnn.training import FunctionalModel, Trial, supervised_trial

INITIAL_SCALE = "init.scale"  # a factor of the initial weights


@dataclass(frozen=True)
class SupervisedTrials:
    """Builds a `Trial` from the pieces that `fit` takes; a path names the piece whose keyword gets the value.

    Args:
      model: a linen module, whose fields can be set, or a pair (init, apply), whose keywords can; or the
        `FunctionalModel` of one, which has a hash in any case.
      optimizer: a factory, such as `optimizers.adam`, or a pair (init, update) without hyperparameters.
      loss: per-example function of (outputs, targets, **keywords).
      settings: pairs (name, value), the other arguments of `supervised`.
      paths: pairs (name, path), the path that each name of a hyperparameter stands for.
    """

    model: Any
    optimizer: Any
    loss: Callable[..., jax.Array]
    settings: tuple[tuple[str, Any], ...]
    paths: tuple[tuple[str, str], ...] = ()

    def __call__(self, values: Mapping[str, Any]) -> Trial:
        """Builds the `Trial` of a member with these values, a dict name -> value."""
        own = {"model": {}, "optimizer": {}, "loss": {}, "init": {}}
        for name, path in self.paths:
            piece, keyword = path.split(".")
            own[piece][keyword] = values[name]
        model, settings = _with(FunctionalModel(self.model).model, own["model"]), dict(self.settings)
        optimizer = self.optimizer(**own["optimizer"]) if callable(self.optimizer) else self.optimizer
        trial = supervised_trial(model, partial(self.loss, **own["loss"]), optimizer, **settings)
        rescaled = lambda key, example: _rescaled(trial.init(key, example), optimizer, own["init"].get("scale"))
        return trial._replace(init=rescaled)


def paths_of(names: Iterable[str], *, model, optimizer, loss) -> dict[str, str]:
    """Returns the path of each hyperparameter, which may be given as a path or by its last word.

    Raises:
      ValueError: a name that no piece takes, or that more than one piece takes.
    """
    pieces = {"model": _keywords(model), "optimizer": _keywords(optimizer), "loss": _keywords(loss), "init": {"scale"}}
    known = [f"{piece}.{keyword}" for piece, keywords in pieces.items() for keyword in sorted(keywords)]
    return {name: _path(name, known) for name in names if name != BATCH_SIZE}


def _path(name, known):
    meant = [path for path in known if name in (path, path.split(".")[1])]
    if not meant:
        raise unknown("hyperparameter", name, [BATCH_SIZE, *known, *(path.split(".")[1] for path in known)])
    if len(meant) > 1:
        raise ValueError(f"hyperparameter {name!r} must name one of {meant}. Give the whole path.")
    return meant[0]


def _keywords(piece) -> set[str]:
    """Returns the keywords that a factory or a loss takes, or the fields of a linen module."""
    if isinstance(piece, tuple) and not hasattr(piece, "_fields"):
        return set().union(*map(_keywords, piece)) - {"params", "x", "key", "keys", "train"}
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
        return tuple(partial(f, **{k: v for k, v in changes.items() if k in _keywords(f)}) for f in model)
    return model.clone(**changes)


def _rescaled(state, optimizer, scale):
    """Returns the state with weights (arrays of two axes or more) times `scale`; biases stay."""
    if scale is None:
        return state
    rescale = lambda leaf: leaf * jnp.asarray(scale, leaf.dtype) if leaf.ndim > 1 else leaf
    params = jax.tree.map(rescale, state.params)
    return state._replace(params=params, opt_state=optimizer.init(params))
