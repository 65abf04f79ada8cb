"""These functions build the parts of the package's classifiers: model, preprocessing and loss for a configuration."""

from functools import partial
from numbers import Number

from jaxnn import losses
from jaxnn.metrics import accuracy
from jaxnn.models import MODELS
from jaxnn.preprocessing import PaddedRange, Standardize, as_float
from jaxnn.recipes.optimizer_choice import build_optimizer
from jaxnn.recipes.training_recipes import Facts
from jaxnn.training import Trial, supervised_trial

OF_IMAGES = ("lenet5", "lenet1998")  # these have convolutions; the other models accept any numbers


def build(config, facts: Facts, steps: int) -> Trial:
    """Builds the trial that trains a classifier.

    Raises:
      ValueError: a model for images with data that are points.
    """
    return _trial(build_model(config, classes=len(facts.classes)), config, facts, steps)


def build_own(model, name: str):
    """Returns a `build` for the user's model: a linen module, or a function of the number of classes that makes one."""

    def build(config, facts, steps):
        made = model(len(facts.classes)) if callable(model) and not hasattr(model, "apply") else model
        if not isinstance(made, tuple) and not (hasattr(made, "init") and hasattr(made, "apply")):
            raise ValueError(
                f"{name} must be a recipe, a model with `init` and `apply`, or a function of the number of classes "
                f"that makes one; received a {type(made).__name__}."
            )
        return _trial(made, config, facts, steps)

    return build


def build_model(config, *, classes: int):
    """Builds the linen module; the number of classes follows the data, except for "lenet1998", which has its own."""
    if config.model == "mlp":
        return MODELS["mlp"](features=config.hidden, classes=classes, dropout_rate=config.dropout_rate)
    if config.model == "lenet1998":
        return MODELS["lenet1998"]()
    return MODELS[config.model](classes=classes)


def build_preprocessing(config, facts: Facts):
    """Returns the preprocessing of every batch: images are standardized or, for "lenet1998", scaled and padded.

    Inputs that are no images get `as_float`.
    """
    if "image" not in facts.fields:
        return as_float
    return PaddedRange(2, -0.1, 1.175) if config.model == "lenet1998" else Standardize(facts.mean, facts.std)


def build_loss(config):
    """Returns the loss of each example.

    Members of a population may set its `label_smoothing`, except for "lenet1998", whose loss has none.
    """
    if config.model == "lenet1998":
        return losses.cross_entropy_with_rejection
    if isinstance(config.label_smoothing, Number) and config.label_smoothing == 0:
        return losses.cross_entropy
    return partial(losses.cross_entropy, label_smoothing=config.label_smoothing)


def _trial(model, config, facts, steps):
    inputs = "image" if "image" in facts.fields else facts.fields[0]
    if config.model in OF_IMAGES and inputs != "image":
        raise ValueError(f"{config.model} takes images; received {facts.name}, of {inputs}s. Take mlp.")
    how = {"preprocess": build_preprocessing(config, facts), "fields": (inputs, "label")}
    optimizer = build_optimizer(config, steps=steps)
    return supervised_trial(model, build_loss(config), optimizer, metrics={"accuracy": accuracy}, **how)
