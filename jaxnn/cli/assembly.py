"""From a configuration to the pieces that `fit` takes."""

from functools import partial

import numpy as np

from jaxnn import data, losses, optimizers, schedules
from jaxnn.cli.configurations import Training
from jaxnn.models import MODELS
from jaxnn.preprocessing import PaddedRange, Standardize
from jaxnn.runs.training_run import Task
from jaxnn.signatures import accepted


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
    factory = getattr(optimizers, config.optimizer)
    given = {name: getattr(config, name) for name in ("momentum", "b1", "b2", "eps", "weight_decay", "nesterov")}
    if config.optimizer == "sgd":
        given["momentum"] = 0.9 if config.momentum is None else config.momentum or None
    wanted = accepted(
        factory, **{name: value for name, value in given.items() if value is not None and value is not False}
    )
    return optimizers.adjustable(factory)(learning_rate=build_schedule(config, steps=steps), **wanted)


def build_schedule(config: Training, *, steps: int):
    """The learning rate over all steps."""
    peak, epoch = config.learning_rate, max(1, steps // config.epochs)
    if config.schedule == "one_cycle":
        return schedules.one_cycle(peak, steps=steps, warmup=0.2 if config.warmup is None else config.warmup)
    rising = round((config.warmup or 0) * steps)
    schedule = {
        "constant": partial(schedules.constant, peak),
        "linear": partial(schedules.linear, peak, 0.0, steps=steps - rising),
        "polynomial": partial(schedules.polynomial, peak, 0.0, steps=steps - rising, power=2.0),
        "cosine": partial(schedules.cosine, peak, 0.0, steps=steps - rising),
        "step_decay": partial(schedules.step_decay, peak, factor=config.decay_rate, steps=-(-steps // 3)),
        "exponential": partial(schedules.exponential, peak, factor=config.decay_rate, steps=steps),
        "inverse_time": partial(schedules.inverse_time, peak, steps=epoch),
        "warm_restarts": partial(schedules.warm_restarts, peak, 0.0, steps=epoch),
    }[config.schedule]()
    return schedules.warmup(schedule, steps=rising) if rising else schedule


def _cross_entropy(config):
    if config.label_smoothing == 0:
        return losses.cross_entropy
    return partial(losses.cross_entropy, label_smoothing=np.float32(config.label_smoothing))
