"""These functions build the optimizer and the schedule of a configuration, for one training or for a member."""

from functools import partial
from numbers import Number

from jaxnn import optimizers, schedules
from jaxnn.recipes.chosen_values import Chosen
from jaxnn.signatures import accepted


def build_optimizer(config, *, steps: int):
    """Builds the optimizer with its schedule over `steps` steps.

    All numbers of one training are traced, so that another value needs no new compilation. Those of a member of a
    population (`Chosen`) are traced already.
    """
    factory, wanted = _factory_and_numbers(config, steps)
    return factory(**wanted) if isinstance(config, Chosen) else optimizers.adjustable(factory)(**wanted)


def build_schedule(config, *, steps: int):
    """Builds the schedule of the learning rate over all steps, with peak `config.learning_rate`; it may be traced."""
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


def _factory_and_numbers(config, steps):
    """Returns the optimizer's factory and its arguments: the numbers that are given and that the factory accepts."""
    factory = getattr(optimizers, config.optimizer)
    given = {name: getattr(config, name) for name in ("momentum", "b1", "b2", "eps", "weight_decay", "nesterov")}
    if config.optimizer == "sgd":
        given["momentum"] = 0.9 if config.momentum is None else _none_if_zero(config.momentum)
    known = {name: value for name, value in given.items() if value is not None and value is not False}
    return factory, {"learning_rate": build_schedule(config, steps=steps), **accepted(factory, **known)}


def _none_if_zero(value):
    return None if isinstance(value, Number) and value == 0 else value
