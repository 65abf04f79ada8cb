"""Races record where optimizers go: every path, or every training loss, from one compiled program.

All optimizers advance in the body of one `scan`, from the same start and, in training, on the same batches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.diagnostics.surfaces import Surface
from jaxnn.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from jaxnn.optimizers.adam_family import adam, nadam
from jaxnn.optimizers.adam_variants import adamax, amsgrad, radam
from jaxnn.optimizers.gradient_transformation import GradientTransformation, apply_updates
from jaxnn.optimizers.momentum_and_nesterov import sgd
from jaxnn.optimizers.sign_methods import lion, rprop, sign_sgd
from jaxnn.preprocessing import as_float
from jaxnn.training.batching import plain_order, take_batch
from jaxnn.training.objectives import supervised
from jaxnn.training.train_state import init_state
from jaxnn.training.train_step import TrainStep

NEAR = 0.05  # share of the frame's size; a path this near to the minimum has arrived


@dataclass(frozen=True)
class Contestant:
    """Describes an optimizer in a race: `make(rate)`, where `rate` is `factor` times the rate that `kind` selects.

    kind: "gradient" selects the surface's `gradient_rate`, "step" selects its `step_rate`, and "own" selects 1.
    """

    name: str
    make: Callable[..., GradientTransformation]
    kind: str = "step"
    factor: float = 1.0

    def rate(self, gradient_rate, step_rate):
        """Returns the learning rate of this optimizer from the two of a race; these are numbers or traced."""
        return self.factor * {"gradient": gradient_rate, "step": step_rate, "own": 1.0}[self.kind]


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("sgd", sgd, kind="gradient"),
        Contestant("momentum", partial(sgd, momentum=0.9), kind="gradient", factor=0.3),
        Contestant("nesterov", partial(sgd, momentum=0.9, nesterov=True), kind="gradient", factor=0.3),
        Contestant("adagrad", adagrad, factor=5.0),
        Contestant("rmsprop", rmsprop),
        Contestant("adadelta", partial(adadelta, eps=1e-4), kind="own"),
        Contestant("adam", adam),
        Contestant("nadam", nadam),
        Contestant("adamax", adamax),
        Contestant("amsgrad", amsgrad),
        Contestant("radam", radam, factor=0.3),  # its first steps are multiples of the gradient: too long on beale
        Contestant("lion", partial(lion, weight_decay=0.0), factor=0.5),
        Contestant("sign_sgd", sign_sgd, factor=0.5),
        Contestant("rprop", rprop),
    )
}
"""Maps names to all optimizers that can run; those whose steps all have one length get a shorter step."""

DEFAULT_CONTESTANTS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "lion")


def run_races(surfaces: Sequence[Surface], contestants: Sequence[Contestant], *, steps: int, rate_scale=1.0):
    """Returns the paths of all optimizers on all surfaces: (surface, optimizer, steps + 1, 2), float32, start first.

    One compiled program, mapped over the surfaces, computes them. A path that diverges continues to infinity and NaN.

    Args:
      surfaces: at least one.
      contestants: at least one, see `CONTESTANTS`.
      steps: the number of updates, at least 1.
      rate_scale: multiplies every learning rate; another number does not compile again.

    Raises:
      ValueError: if there is no surface, no contestant, or no step.

    >>> from jaxnn.diagnostics.surfaces import SURFACES
    >>> paths = run_races([SURFACES["saddle"]], [CONTESTANTS["sgd"]], steps=3)
    >>> paths.shape, round(float(paths[0, 0, 1, 0]), 3)  # x <- x - 0.03 * 2 x
    ((1, 1, 4, 2), 0.94)
    """
    _check(contestants, steps)
    if not surfaces:
        raise ValueError("`surfaces` must name at least one; received none. See SURFACES.")
    column = lambda name: np.array([getattr(surface, name) for surface in surfaces], np.float32)
    functions = tuple(surface.f for surface in surfaces)
    numbers = (column("start"), column("gradient_rate"), column("step_rate"))
    return np.asarray(_races(functions, tuple(contestants), steps, np.float32(rate_scale), *numbers))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _races(functions, contestants, steps, rate_scale, starts, gradient_rates, step_rates):
    def on_surface(index, start, gradient_rate, step_rate):
        grad = jax.grad(lambda w: jax.lax.switch(index, functions, w))
        optimizers = [one.make(rate_scale * one.rate(gradient_rate, step_rate)) for one in contestants]

        def advance(runners, _):
            runners = [
                _descend(optimizer, grad, *runner) for optimizer, runner in zip(optimizers, runners, strict=True)
            ]
            return runners, jnp.stack([w for w, _ in runners])

        runners = [(start, optimizer.init(start)) for optimizer in optimizers]
        _, points = jax.lax.scan(advance, runners, length=steps)
        first = jnp.broadcast_to(start, (1, len(contestants), 2))
        return jnp.swapaxes(jnp.concatenate([first, points]), 0, 1)

    return jax.vmap(on_surface)(jnp.arange(len(functions)), starts, gradient_rates, step_rates)


def _descend(optimizer, grad, w, state):
    updates, state = optimizer.update(grad(w), state, w)
    return apply_updates(w, updates), state


class RaceOutcome(NamedTuple):
    """Describes how a path ended: its last loss (NaN if not finite), the step of arrival (None: never), and a text."""

    loss: float
    arrived: int | None
    said: str


def judge(surface: Surface, path) -> RaceOutcome:
    """Judges how one path (steps + 1, 2) ended: it arrived and stayed, escaped, diverged, or is still on its way.

    A path has arrived at the first step from which on it stays near the minimum. It has diverged if it ends higher than
    it began, or at a loss that is not finite. On a surface without a minimum, a path that leaves the frame has escaped
    if it is then lower than at its start, else it has diverged.

    >>> from jaxnn.diagnostics.surfaces import SURFACES
    >>> judge(SURFACES["steep-shallow"], np.array([[-4.0, 1.0], [-1.0, 0.5], [0.1, 0.0]]))
    RaceOutcome(loss=0.005..., arrived=2, said='arrived at step 2')
    """
    losses = losses_along(surface, path)
    if surface.minimum is None:
        escaped = _first_outside(surface, path)
        downhill = escaped is not None and losses[escaped] < losses[0]
        said = f"escaped at step {escaped}" if downhill else "diverged" if escaped is not None else "not escaped"
        return RaceOutcome(float(losses[-1]), escaped if downhill else None, said)
    if not losses[-1] <= losses[0]:
        return RaceOutcome(float(losses[-1]), None, "diverged")
    size = np.array([np.ptp(surface.x_limits), np.ptp(surface.y_limits)])
    away = np.flatnonzero(~(np.linalg.norm((path - np.array(surface.minimum)) / size, axis=1) < NEAR))
    arrived = int(away[-1]) + 1 if away.size else 0
    if arrived < len(path):
        return RaceOutcome(float(losses[-1]), arrived, f"arrived at step {arrived}")
    return RaceOutcome(float(losses[-1]), None, f"loss {losses[-1]:.2g}")


def losses_along(surface: Surface, path) -> np.ndarray:
    """Returns the loss at every point of a path, as float64; it is NaN where it is not finite."""
    losses = values(surface.f, path)
    return np.where(np.isfinite(losses), losses, np.nan)


def values(f, points) -> np.ndarray:
    """Returns `f` at each of the points (n, 2), computed in float32 and cast to float64.

    It is compiled once for each `f` and n.
    """
    return np.asarray(_mapped(f, np.asarray(points, np.float32)), np.float64)


@partial(jax.jit, static_argnums=0)
def _mapped(f, points):
    return jax.vmap(f)(points)


def _first_outside(surface, path) -> int | None:
    low, high = np.array([surface.x_limits, surface.y_limits]).T
    outside = np.flatnonzero(~((path >= low) & (path <= high)).all(axis=1))
    return int(outside[0]) if outside.size else None


def race_training(
    model,
    data,
    contestants: Sequence[Contestant],
    *,
    loss,
    steps: int,
    batch_size: int,
    gradient_rate,
    step_rate,
    key=0,
    preprocess=as_float,
    rate_scale=1.0,
) -> np.ndarray:
    """Returns the training losses of all optimizers on one model: (optimizer, steps), each before the step's update.

    All optimizers start from the same parameters and see the same batches, in one compiled program. The batches follow
    the order of the data and then repeat; examples that do not fill a last batch are left out.

    Args:
      model: a linen module or a pair (init, apply).
      data: a dict of arrays, "image" and "label".
      contestants: at least one, see `CONTESTANTS`.
      loss: `loss(outputs, targets) -> per-example array`.
      steps, batch_size: at least 1; a batch no larger than the data.
      gradient_rate, step_rate: the learning rates, as in a `Surface`.
      key: a typed key or a seed.
      preprocess: a pure function of the inputs.
      rate_scale: multiplies every learning rate.

    Raises:
      ValueError: if there is no contestant, no step, or a batch is larger than the data.
    """
    _check(contestants, steps)
    examples = len(data["label"])
    if not 1 <= batch_size <= examples:
        raise ValueError(f"`batch_size` must be 1 to {examples}, the examples there are; received {batch_size}.")
    order = plain_order(examples=examples - examples % batch_size, batch_size=batch_size)
    order = np.resize(order, (steps, batch_size))
    optimizers = [one.make(rate_scale * one.rate(gradient_rate, step_rate)) for one in contestants]
    objective = supervised(model, loss, preprocess=preprocess)
    trainers = [TrainStep(objective, optimizer.update) for optimizer in optimizers]

    @jax.jit
    def program(data, order):
        def advance(states, indices):
            batch = take_batch(data, indices)
            results = [trainer(state, batch) for trainer, state in zip(trainers, states, strict=True)]
            means = [metrics["loss"].sum / metrics["loss"].count for _, metrics in results]
            return [state for state, _ in results], jnp.stack(means)

        example = data["image"][:1]
        states = [init_state(model, one, example, key=key, preprocess=preprocess) for one in optimizers]
        return jax.lax.scan(advance, states, order)[1].T

    return np.asarray(program(data, order))


def _check(contestants, steps) -> None:
    if not contestants:
        raise ValueError("`contestants` must name at least one optimizer; received none. See CONTESTANTS.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; received {steps}.")
