"""A model as the step sees it: two pure functions, whatever they were made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxnn.signatures import accepted


@dataclass(frozen=True)
class FunctionalModel:
    """Adapts a Flax linen module, or a bare pair `(init, apply)`, to one signature.

    A pair has `init(key, x) -> params` and `apply(params, x) -> outputs`; it may take `train` and `key` as keywords.
    A linen module may take `train` in its `__call__`; what it keeps beside its parameters (batch statistics) is the
    model state.

    >>> model = FunctionalModel((lambda key, x: 2.0, lambda params, x: params * x))
    >>> params, model_state = model.init(None, 1.0)
    >>> model.apply(params, model_state, 3.0, train=False, key=None)
    (6.0, {})
    """

    model: Any

    def init(self, key, x) -> tuple[Any, dict]:
        """`(params, model_state)` for inputs like `x`."""
        if isinstance(self.model, tuple):
            return self.model[0](key, x), {}
        keywords = accepted(self._signed(self.model.init), train=False)
        variables = dict(self.model.init({"params": key}, x, **keywords))
        return variables.pop("params", {}), variables

    def apply(self, params, model_state, x, *, train: bool, key) -> tuple[Any, dict]:
        """`(outputs, model_state)`; `key` feeds dropout and the like while training."""
        if isinstance(self.model, tuple):
            return self.model[1](params, x, **accepted(self.model[1], train=train, key=key)), model_state
        variables, keywords = {"params": params, **model_state}, accepted(self._signed(self.model.apply), train=train)
        if not train:
            return self.model.apply(variables, x, **keywords), model_state
        rngs = {"dropout": key}
        outputs, changed = self.model.apply(variables, x, **keywords, rngs=rngs, mutable=list(model_state))
        return outputs, dict(changed)

    def _signed(self, method: Callable) -> Callable:
        """What shows in its signature which keywords the method takes: of a linen module, its `__call__`."""
        return type(self.model).__call__ if callable(self.model) else method

    def __post_init__(self):
        if isinstance(self.model, FunctionalModel):
            object.__setattr__(self, "model", self.model.model)
        pair = isinstance(self.model, tuple) and len(self.model) == 2 and all(map(callable, self.model))
        module = hasattr(self.model, "init") and hasattr(self.model, "apply") and not isinstance(self.model, type)
        if not pair and not module:
            raise ValueError(
                "`model` must be a Flax linen module or a pair of functions (init, apply); received "
                f"{self.model!r}. Pass an instance, such as jaxnn.models.LeNet5()."
            )
