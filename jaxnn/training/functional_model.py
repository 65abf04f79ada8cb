"""`FunctionalModel` gives every kind of model the form that the step needs: two pure functions."""

import inspect
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from jaxnn.signatures import accepted
from jaxnn.training.compilation import is_hashable
from jaxnn.training.key_streams import NO_KEYS

SWITCHES = {  # names of the switch between training and use -> whether True means training
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}


_REMEDY = "Write `def __call__(self, x, *, train: bool)`, or pass the pair (init, apply)."


@dataclass(frozen=True, eq=False)
class FunctionalModel:
    """Adapts a Flax linen module, or a bare pair `(init, apply)`, to one signature.

    A pair has `init(key, x) -> params` and `apply(params, x) -> outputs`; it may take `train`, `key` (of dropout) and
    `keys` (of any stream) as keywords. A linen module may take `train` in its `__call__`; both forms may take another
    of `SWITCHES` instead. The variables of a linen module other than its parameters (batch statistics) are the model
    state. Random numbers of a linen module other than dropout's come from a separate stream, "sampling".

    >>> model = FunctionalModel((lambda key, x: 2.0, lambda params, x: params * x))
    >>> params, model_state = model.init(None, 1.0)
    >>> model.apply(params, model_state, 3.0, train=False)
    (6.0, {})
    """

    model: Any

    def init(self, key, x) -> tuple[Any, dict]:
        """Returns `(params, model_state)` for inputs like `x`."""
        if isinstance(self.model, tuple):
            return self.model[0](key, x), {}
        switch = self._switch(self.model.init, train=False)
        with nullcontext() if switch else _refused_switches(self.model):
            variables = dict(self.model.init({"params": key}, x, **switch))
        return variables.pop("params", {}), variables

    def apply(self, params, model_state, x, *, train: bool, keys=NO_KEYS) -> tuple[Any, dict]:
        """Returns `(outputs, model_state)`; `keys` are those of the step, for dropout and all other random numbers."""
        if isinstance(self.model, tuple):
            wanted = accepted(self.model[1], key=keys.get("dropout"), keys=keys)
            return self.model[1](params, x, **self._switch(self.model[1], train=train), **wanted), model_state
        variables, switch = {"params": params, **model_state}, self._switch(self.model.apply, train=train)
        rngs = None if keys.key is None else {"dropout": keys["dropout"], "params": keys["sampling"]}
        if not train:
            return self.model.apply(variables, x, **switch, rngs=rngs), model_state
        outputs, changed = self.model.apply(variables, x, **switch, rngs=rngs, mutable=list(model_state))
        return outputs, dict(changed)

    def _switch(self, method: Callable, *, train: bool) -> dict[str, bool]:
        """Returns the keyword that switches a model between training and use; `__call__` of a linen module has it."""
        is_linen = not isinstance(self.model, tuple) and callable(self.model)
        signed = type(self.model).__call__ if is_linen else method
        if is_linen:
            _check_signature(signed)
        return accepted(signed, **{name: train == means_train for name, means_train in SWITCHES.items()})

    def __eq__(self, other):
        if not isinstance(other, FunctionalModel):
            return NotImplemented
        same = self.model is other.model
        return same or (is_hashable(self.model) and is_hashable(other.model) and self.model == other.model)

    def __hash__(self):
        return hash(self.model) if is_hashable(self.model) else id(self.model)

    def __post_init__(self):
        if isinstance(self.model, FunctionalModel):
            object.__setattr__(self, "model", self.model.model)
        pair = isinstance(self.model, tuple) and len(self.model) == 2 and all(map(callable, self.model))
        module = hasattr(self.model, "init") and hasattr(self.model, "apply") and not isinstance(self.model, type)
        if not pair and not module:
            raise ValueError(
                "`model` must be a Flax linen module or a pair of functions (init, apply); received "
                f"{self.model!r}. Pass an instance, such as jaxnn.models.LeNet5(). Modules of Equinox and NNX enter by "
                "jaxnn.adapters."
            )


def _check_signature(call) -> None:
    """Raises ValueError for a parameter of a module beside its inputs that is not a switch and has no default."""
    for parameter in [*inspect.signature(call).parameters.values()][2:]:
        named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if named and parameter.default is parameter.empty and parameter.name not in SWITCHES:
            raise ValueError(
                f"`__call__` of the model must want nothing but its inputs and one of {list(SWITCHES)}; received the "
                f"parameter {parameter.name!r} without a default. {_REMEDY}"
            )


def _refused_switches(model):
    """Makes a context that refuses layers which behave differently in training, for a linen module without a switch.

    Flax is found through the module's own class, because `jaxnn.training` does not import it.
    """
    linen = [sys.modules[base.__module__] for base in type(model).__mro__ if base.__module__ == "flax.linen.module"]

    def refuse(method, args, keywords, context):
        layer = context.module
        drops = hasattr(layer, "deterministic") and getattr(layer, "rate", getattr(layer, "dropout_rate", 0)) != 0
        if layer is not model and (drops or hasattr(layer, "use_running_average")):
            raise ValueError(
                f"`__call__` of the model must have a switch, one of {list(SWITCHES)}, for it contains a "
                f"{type(layer).__name__}, which would not be told whether it trains. {_REMEDY}"
            )
        return method(*args, **keywords)

    return linen[0].intercept_methods(refuse) if linen else nullcontext()
