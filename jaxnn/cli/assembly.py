"""From a configuration to the pieces that `fit` takes."""

from functools import partial

import numpy as np

from jaxnn import data, losses, optimizers, schedules
from jaxnn.cli.configurations import Training
from jaxnn.models import MODELS
from jaxnn.preprocessing import PaddedRange, Standardize
from jaxnn.runs.training_run import Task


def assemble(config: Training, dataset: data.Dataset) -> Task:
    """Builds model, optimizer, loss and preprocessing for the data.

    Raises:
      ValueError: a batch larger than the data.
    """
    examples = len(dataset.train["label"])
    if config.batch_size > examples:
        raise ValueError(
            f"--batch-size must be at most the number of training examples, {examples}; received {config.batch_size}."
        )
    return Task(
        model=build_model(config, classes=len(dataset.classes)),
        train=dataset.train,
        test=dataset.test,
        optimizer=build_optimizer(config, steps=config.epochs * -(-examples // config.batch_size)),
        loss=losses.cross_entropy_with_rejection if config.model == "lenet1998" else _cross_entropy(config),
        preprocess=PaddedRange(2, -0.1, 1.175)
        if config.model == "lenet1998"
        else Standardize(dataset.mean, dataset.std),
        classes=dataset.classes,
        seed=config.seed,
    )


def build_model(config: Training, *, classes: int):
    """The linen module; its classes follow the data where the model leaves them open."""
    if config.model == "mlp":
        return MODELS["mlp"](features=config.hidden, classes=classes)
    if config.model == "lenet1998":
        return MODELS["lenet1998"]()
    return MODELS[config.model](classes=classes)


def build_optimizer(config: Training, *, steps: int):
    """The optimizer with its schedule; all its numbers are traced, so that another value compiles nothing anew."""
    learning_rate = {
        "constant": partial(schedules.constant, config.learning_rate),
        "linear": partial(schedules.linear, config.learning_rate, 0.0, steps=steps),
        "cosine": partial(schedules.cosine, config.learning_rate, 0.0, steps=steps),
        "one_cycle": partial(schedules.one_cycle, config.learning_rate, steps=steps, warmup=config.warmup),
    }[config.schedule]()
    if config.optimizer == "sgd":
        momentum = config.momentum or None
        return optimizers.adjustable(optimizers.sgd)(
            learning_rate=learning_rate, momentum=momentum, nesterov=config.nesterov
        )
    return optimizers.adjustable(optimizers.adam)(
        learning_rate=learning_rate, b1=config.b1, b2=config.b2, eps=config.eps
    )


def _cross_entropy(config):
    if config.label_smoothing == 0:
        return losses.cross_entropy
    return partial(losses.cross_entropy, label_smoothing=np.float32(config.label_smoothing))
