"""From a configuration to the pieces that `fit` takes, one training's or a population's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Number
from typing import Any

from jaxnn import data, losses, optimizers, schedules
from jaxnn.cli.configurations import Training
from jaxnn.cli.work_limits import check_steps
from jaxnn.metrics import accuracy
from jaxnn.models import MODELS
from jaxnn.preprocessing import PaddedRange, Standardize
from jaxnn.runs.training_run import Task
from jaxnn.signatures import accepted
from jaxnn.training import Trial, supervised_trial


def assemble(config: Training, dataset: data.Dataset) -> Task:
    """Builds model, optimizer, loss and preprocessing for the data.

    Raises:
      ValueError: a batch larger than the data, more steps than can be counted.
    """
    examples = len(dataset.train["label"])
    if config.batch_size > examples:
        raise ValueError(
            f"--batch-size must be at most the number of training examples, {examples}; received {config.batch_size}."
        )
    steps = check_steps(epochs=config.epochs, batch_size=config.batch_size, examples=examples)
    return Task(
        model=build_model(config, classes=len(dataset.classes)),
        train=dataset.train,
        test=dataset.test,
        optimizer=build_optimizer(config, steps=steps),
        loss=build_loss(config),
        preprocess=build_preprocessing(config, dataset),
        classes=dataset.classes,
        seed=config.seed,
    )


def build_model(config, *, classes: int):
    """The linen module; its classes follow the data where the model leaves them open."""
    if config.model == "mlp":
        return MODELS["mlp"](features=config.hidden, classes=classes, dropout_rate=config.dropout_rate)
    if config.model == "lenet1998":
        return MODELS["lenet1998"]()
    return MODELS[config.model](classes=classes)


def build_optimizer(config: Training, *, steps: int):
    """The optimizer with its schedule; all its numbers are traced, so that another value compiles nothing anew."""
    factory, wanted = _optimizer_and_numbers(config, steps)
    return optimizers.adjustable(factory)(**wanted)


@dataclass(frozen=True)
class Chosen:
    """A configuration with some values in place of its own; they may be traced, which no `Training` may hold."""

    config: Training
    values: Mapping[str, Any]

    def __getattr__(self, name):
        return self.values[name] if name in self.values else getattr(self.config, name)


@dataclass(frozen=True)
class TrialOfMember:
    """`build(values) -> Trial` for populations: the training of a configuration, with a member's own values put in.

    Args:
      config: the values of what a member does not set; `learning_rate` is the peak of the schedule.
      classes, mean, std: of the data set.
      examples: that a member learns from; they make the steps of the schedule.
    """

    config: Training
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    examples: int

    def __call__(self, values) -> Trial:
        """What a member trains; the values may be traced."""
        config = Chosen(self.config, values)
        how = {"metrics": {"accuracy": accuracy}, "preprocess": build_preprocessing(config, self)}
        model = build_model(config, classes=len(self.classes))
        return supervised_trial(model, build_loss(config), self.optimizer(values), **how)

    def optimizer(self, values):
        """The pair (init, update) of a member."""
        config = Chosen(self.config, values)
        factory, wanted = _optimizer_and_numbers(config, config.epochs * -(-self.examples // config.batch_size))
        return factory(**wanted)


def _optimizer_and_numbers(config, steps):
    """The factory, and what it is called with: the numbers that are given and that it takes."""
    factory = getattr(optimizers, config.optimizer)
    given = {name: getattr(config, name) for name in ("momentum", "b1", "b2", "eps", "weight_decay", "nesterov")}
    if config.optimizer == "sgd":
        given["momentum"] = 0.9 if config.momentum is None else _none_if_zero(config.momentum)
    known = {name: value for name, value in given.items() if value is not None and value is not False}
    return factory, {"learning_rate": build_schedule(config, steps=steps), **accepted(factory, **known)}


def _none_if_zero(value):
    return None if isinstance(value, Number) and value == 0 else value


def build_schedule(config, *, steps: int):
    """The learning rate over all steps, of a `Training`, or what has its fields; the numbers may be traced."""
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


def build_preprocessing(config, dataset):
    """What every batch of images goes through; `dataset` has a `mean` and a `std`."""
    return PaddedRange(2, -0.1, 1.175) if config.model == "lenet1998" else Standardize(dataset.mean, dataset.std)


def build_loss(config):
    """Of each example; members of a population may set its `label_smoothing`, where the model's criterion has one."""
    if config.model == "lenet1998":
        return losses.cross_entropy_with_rejection
    if isinstance(config.label_smoothing, Number) and config.label_smoothing == 0:
        return losses.cross_entropy
    return partial(losses.cross_entropy, label_smoothing=config.label_smoothing)
