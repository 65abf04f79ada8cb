"""A schedule is a traceable callable `step -> value` and also a pytree, so its numbers can be traced leaves.

>>> import jax
>>> jax.tree.leaves(linear(0.0, 1.0, steps=10))
[0.0, 1.0, 10]

So a schedule can be differentiated, `vmap`ped over its peak, or changed without recompiling (`optimizers.adjustable`).
Steps are counted from 0; the value has JAX's default float type, which is float32, or float64 where x64 is enabled. A
rate that falls when validation stalls is not a function of the step: see `optimizers.plateau_scale`.
"""

import math
import numbers
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jax.typing import ArrayLike

from jaxnn.real_numbers import known_number

Schedule = Callable  # step -> value


def constant(value: ArrayLike) -> Schedule:
    """Returns the schedule that is `value` at every step.

    >>> float(constant(0.1)(7))
    0.10000000149011612
    """
    _check(value=value)
    return Partial(_constant, value)


def linear(start: ArrayLike, end: ArrayLike, *, steps: ArrayLike) -> Schedule:
    """Returns the schedule that goes in a straight line from `start` to `end` in `steps` steps and stays at `end`.

    >>> [float(linear(0.0, 1.0, steps=4)(t)) for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    _check(start=start, end=end)
    _check(1, steps=steps)
    return Partial(_linear, start, end, steps)


def polynomial(start: ArrayLike, end: ArrayLike, *, steps: ArrayLike, power: ArrayLike) -> Schedule:
    """Returns the schedule `end + (start - end) (1 - t / steps)^power` until `steps`, then `end`; power 1 is `linear`.

    >>> [float(polynomial(1.0, 0.0, steps=4, power=2)(t)) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.5625, 0.25, 0.0, 0.0]
    """
    _check(start=start, end=end)
    _check(1, steps=steps)
    _check(0, power=power)
    return Partial(_polynomial, start, end, steps, power)


def cosine(start: ArrayLike, end: ArrayLike, *, steps: ArrayLike, power: ArrayLike = 1.0) -> Schedule:
    """Returns the schedule that follows half a cosine from `start` to `end` in `steps` steps and stays at `end`.

        value = end + (start - end) ((1 + cos(pi t / steps)) / 2)^power

    A power above 1 falls faster; it is the `exponent` of Optax. Source: Loshchilov and Hutter 2016, arXiv 1608.03983.

    >>> [round(float(cosine(1.0, 0.0, steps=4)(t)), 4) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.8536, 0.5, 0.0, 0.0]
    """
    _check(start=start, end=end)
    _check(1, steps=steps)
    _check(0, power=power)
    return Partial(_cosine, start, end, steps, power)


def warm_restarts(
    start: ArrayLike, end: ArrayLike = 0.0, *, steps: ArrayLike, growth: ArrayLike = 1.0, factor: ArrayLike = 1.0
) -> Schedule:
    """Returns the schedule of repeated cosines from `start` to `end`, each cycle `growth` times as long as the last.

    The first cycle has `steps` steps. With T_i = steps growth^i, the length of cycle i, and T, the steps since it began
    (each cycle begins at a whole step),

        value = end + (start factor^i - end) (1 + cos(pi T / T_i)) / 2

    With a `factor` below 1 each cycle begins lower than the one before. The value `end` itself is not reached,
    because the next cycle begins there. `growth` is T_mult of SGDR (Loshchilov and Hutter 2016, arXiv 1608.03983,
    equation 5) and of PyTorch. For cycles of any other lengths `join` cosines.

    >>> [round(float(warm_restarts(1.0, steps=2, growth=2)(t)), 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """
    _check(start=start, end=end)
    _check(1, steps=steps, growth=growth)
    _check(0, factor=factor)
    return Partial(_warm_restarts, start, end, steps, growth, factor)


def exponential(start: ArrayLike, *, factor: ArrayLike, steps: ArrayLike = 1) -> Schedule:
    """Returns the schedule `start factor^(t / steps)`: multiplied by `factor` over every `steps` steps, smoothly.

    The lectures' `start e^(-k t)` is `factor=e^-k`. For a staircase see `step_decay`. A factor near 1 over very many
    steps should be a Python number: as a float32 array it is rounded before it is raised to the power.

    >>> [float(exponential(1.0, factor=0.25, steps=2)(t)) for t in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    _check(start=start)
    _check(0, factor=factor)
    _check(1, steps=steps)
    return Partial(_exponential, start, factor, steps)


def step_decay(start: ArrayLike, *, factor: ArrayLike, steps: ArrayLike) -> Schedule:
    """Returns the schedule `start factor^floor(t / steps)`: multiplied at once by `factor` after every `steps` steps.

    >>> [float(step_decay(1.0, factor=0.5, steps=2)(t)) for t in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    _check(start=start)
    _check(0, factor=factor)
    _check(1, steps=steps)
    return Partial(_step_decay, start, factor, steps)


def inverse_time(start: ArrayLike, *, steps: ArrayLike, power: ArrayLike = 1.0) -> Schedule:
    """Returns the schedule `start / (1 + t / steps)^power`, which falls without end.

    With power 1 it is half of `start` after `steps` steps. A power in (1/2, 1] satisfies the condition of Robbins and
    Monro (1951) for convergence under noise: the sum of the values diverges, and the sum of their squares converges.
    The lectures' `start / (1 + k t)` is `steps=1/k`.

    >>> [float(inverse_time(1.0, steps=2)(t)) for t in (0, 2, 6)]
    [1.0, 0.5, 0.25]
    """
    _check(start=start)
    _check(1, steps=steps)
    _check(0, power=power)
    return Partial(_inverse_time, start, steps, power)


def piecewise_constant(values: Sequence[ArrayLike], *, boundaries: Sequence[ArrayLike]) -> Schedule:
    """Returns the schedule that is `values[i]` from step `boundaries[i-1]` on, until just before `boundaries[i]`.

    >>> [round(float(piecewise_constant([1.0, 0.1, 0.01], boundaries=[2, 3])(t)), 3) for t in range(5)]
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    return join([constant(value) for value in values], boundaries=boundaries)


def join(schedules: Sequence[Schedule], *, boundaries: Sequence[ArrayLike]) -> Schedule:
    """Joins schedules: `schedules[i]` is used from step `boundaries[i-1]` on and counts its steps from there.

    Args:
      schedules: schedules of this module, or any functions `step -> number`.
      boundaries: increasing steps, one fewer than schedules.

    Raises:
      ValueError: another number of boundaries, or boundaries that do not increase.

    >>> schedule = join([constant(1.0), linear(1.0, 0.0, steps=2)], boundaries=[2])
    >>> [float(schedule(t)) for t in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    schedules, boundaries = tuple(map(_as_pytree, schedules)), tuple(boundaries)
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"`boundaries` must be one fewer than the pieces between them; received {len(boundaries)} boundaries "
            f"for {len(schedules)} pieces."
        )
    for a, b in zip((0, *boundaries), boundaries, strict=False):
        if all(isinstance(x, numbers.Real) for x in (a, b)) and not a < b:
            raise ValueError(f"`boundaries` must be positive and increase; received {boundaries}.")
    return Partial(_join, schedules, boundaries)


def warmup(schedule: Schedule, *, steps: ArrayLike, start: ArrayLike = 0.0) -> Schedule:
    """Adds a warm-up: a line from `start` to the schedule's first value in `steps` steps, then the schedule itself.

    The schedule begins with its step 0 after the warm-up.

    >>> [float(warmup(linear(1.0, 0.0, steps=4), steps=2)(t)) for t in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    _check(start=start)
    _check(0, steps=steps)
    return Partial(_warmup, _as_pytree(schedule), steps, start)


def one_cycle(
    peak: ArrayLike,
    *,
    steps: ArrayLike,
    warmup: ArrayLike = 0.3,
    start_factor: ArrayLike = 25.0,
    end_factor: ArrayLike = 1e4,
    three_phases: bool = False,
) -> Schedule:
    """Returns the schedule that rises to `peak` along a cosine (warm-up) and falls along another one (annealing).

    It rises from `peak / start_factor` during the first `warmup` (a fraction) of all steps, then falls to
    `peak / (start_factor end_factor)` (Smith and Topin, arXiv 1708.07120). The defaults and the path are those of
    Optax's `cosine_onecycle_schedule`.

    With `three_phases` it falls from the peak to its first value along the mirror image of the warm-up, and then to
    the end during the remaining steps; `warmup` is then at most 1/2.

    PyTorch's phases end one step earlier, at `total_steps pct_start - 1` and `total_steps - 1`. Its path is
    `steps=total_steps - 1, warmup=(total_steps pct_start - 1) / (total_steps - 1)`.
    `one_cycle_momentum` is the momentum that belongs to it.

    >>> [round(float(one_cycle(1.0, steps=10)(t)), 3) for t in (0, 3, 6, 10)]
    [0.04, 1.0, 0.611, 0.0]
    """
    _check(peak=peak)
    _check(1, steps=steps)
    _check(0, most=0.5 if three_phases else 1, warmup=warmup)
    _check(above=0, start_factor=start_factor, end_factor=end_factor)
    return Partial(_three_phases if three_phases else _one_cycle, peak, steps, warmup, start_factor, end_factor)


def one_cycle_momentum(
    high: ArrayLike = 0.95,
    low: ArrayLike = 0.85,
    *,
    steps: ArrayLike,
    warmup: ArrayLike = 0.3,
    three_phases: bool = False,
) -> Schedule:
    """Returns the momentum that belongs to `one_cycle`: it falls from `high` to `low` while the rate rises.

    Then it returns to `high`, along a cosine too, while the rate falls: until `steps`, or with `three_phases` until
    `2 warmup steps`. It is a schedule for the momentum of an optimizer (Smith and Topin, arXiv 1708.07120):

        sgd(one_cycle(0.1, steps=n), momentum=one_cycle_momentum(steps=n))

    The defaults are those of PyTorch, whose phases end one step earlier; see `one_cycle`.

    >>> [round(float(one_cycle_momentum(steps=10)(t)), 3) for t in (0, 3, 10)]
    [0.95, 0.85, 0.95]
    """
    _check(high=high, low=low)
    _check(1, steps=steps)
    _check(0, most=0.5 if three_phases else 1, warmup=warmup)
    return Partial(_one_cycle_momentum, high, low, warmup * steps, (2 * warmup if three_phases else 1) * steps)


def cyclic(
    low: ArrayLike, high: ArrayLike, *, rising: ArrayLike, falling: ArrayLike | None = None, factor: ArrayLike = 1.0
) -> Schedule:
    """Returns the schedule of triangles: a line from `low` to `high` and back, again and again.

    A cycle has `rising` steps up and `falling` steps down. With i, the number of whole cycles before t, and x, the
    height in the triangle from 0 to 1,

        value = low + (high - low) factor^i x

    This is Smith's cyclical learning rate (2015, arXiv 1506.01186): `triangular` with factor 1, `triangular2` with
    factor 1/2. His `exp_range`, where the amplitude falls at every step, is `cyclic_exponential`.

    Args:
      low, high: the base of every triangle, and the top of the first one.
      rising, falling: numbers of steps, at least 1; `falling` is `rising` where it is None.
      factor: multiplies the amplitude after every cycle.

    Raises:
      ValueError: a number is out of its range.

    >>> [round(float(cyclic(0.0, 1.0, rising=2, factor=0.5)(t)), 3) for t in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    _check(low=low, high=high)
    _check(1, rising=rising, **({} if falling is None else {"falling": falling}))
    _check(0, factor=factor)
    return Partial(_cyclic, low, high, rising, rising if falling is None else falling, factor)


def cyclic_exponential(
    low: ArrayLike, high: ArrayLike, *, rising: ArrayLike, falling: ArrayLike | None = None, factor: ArrayLike
) -> Schedule:
    """Returns the triangles of `cyclic`, where `factor` multiplies the amplitude after every step: Smith's `exp_range`.

        value = low + (high - low) factor^t x

    Args:
      low, high, rising, falling: as in `cyclic`.
      factor: at least 0; Smith's and PyTorch's gamma.

    Raises:
      ValueError: a number is out of its range.

    >>> [round(float(cyclic_exponential(0.0, 1.0, rising=1, factor=0.5)(t)), 3) for t in range(4)]
    [0.0, 0.5, 0.0, 0.125]
    """
    _check(0, factor=factor)
    triangles = cyclic(low, high, rising=rising, falling=falling)
    return Partial(_cyclic_exponential, *triangles.args[:4], factor)


def _constant(value, step):
    return jnp.asarray(value, float)


def _progress(step, steps):
    """Returns the progress from 0 to 1 in `steps` steps; 1 if `steps` is 0."""
    fraction = jnp.asarray(step, float) / jnp.where(steps > 0, steps, 1)
    return jnp.where(steps > 0, jnp.clip(fraction, 0.0, 1.0), 1.0)


def _power(factor, exponent):
    """Computes `factor^exponent`; of a Python number also what float32 rounds off, which counts in high powers.

    With f, the rounded factor, it is f^exponent exp(exponent log(factor / f)), so that powers of 1/2 stay exact.
    """
    f = jnp.asarray(factor, float)
    if not isinstance(factor, numbers.Real) or factor == 0:
        return f**exponent
    rounded = float(np.asarray(factor, f.dtype))
    return f**exponent * jnp.exp(exponent * math.log1p((factor - rounded) / rounded))


def _linear(start, end, steps, step):
    return start + (end - start) * _progress(step, steps)


def _polynomial(start, end, steps, power, step):
    return end + (start - end) * (1 - _progress(step, steps)) ** power


def _cosine(start, end, steps, power, step):
    return end + (start - end) * _half_cosine(_progress(step, steps)) ** power


def _half_cosine(progress):
    return (1 + jnp.cos(jnp.pi * progress)) / 2


def _warm_restarts(start, end, steps, growth, factor, step):
    step = jnp.asarray(step, float)
    ratio = jnp.where(growth == 1, 2.0, growth)  # avoids 0 / 0 in the branch of `where` that is not chosen

    def beginning(i):  # the start of cycle i, after i cycles of equal length or of a geometric series
        return jnp.round(steps * jnp.where(growth == 1, i, (ratio**i - 1) / (ratio - 1)))

    i = jnp.where(growth == 1, step / steps, jnp.log1p(step / steps * (ratio - 1)) / jnp.log(ratio))
    i = jnp.floor(i)
    i = i + (step >= beginning(i + 1)) - (step < beginning(i))  # rounding may put i just beside a whole number
    progress = _progress(step - beginning(i), beginning(i + 1) - beginning(i))
    return end + (start * _power(factor, i) - end) * _half_cosine(progress)


def _exponential(start, factor, steps, step):
    return start * _power(factor, jnp.asarray(step, float) / steps)


def _step_decay(start, factor, steps, step):
    return start * _power(factor, jnp.asarray(step, float) // steps)


def _inverse_time(start, steps, power, step):
    return start / (1 + jnp.asarray(step, float) / steps) ** power


def _join(schedules, boundaries, step):
    value = jnp.asarray(schedules[0](step), float)
    for boundary, schedule in zip(boundaries, schedules[1:], strict=True):
        later = schedule(jnp.maximum(step - boundary, 0))
        value = jnp.where(step < boundary, value, later)
    return value


def _warmup(schedule, steps, start, step):
    rising, then = _linear(start, schedule(0), steps, step), schedule(jnp.maximum(step - steps, 0))
    return jnp.where(step < steps, rising, then).astype(float)


def _one_cycle(peak, steps, warmup, start_factor, end_factor, step):
    start, rising = peak / start_factor, warmup * steps
    up = _cosine(start, peak, rising, 1, step)
    down = _cosine(peak, start / end_factor, steps - rising, 1, step - rising)
    return jnp.where(step < rising, up, down)


def _three_phases(peak, steps, warmup, start_factor, end_factor, step):
    start, rising = peak / start_factor, warmup * steps
    up = _cosine(start, peak, rising, 1, step)
    down = _cosine(peak, start, rising, 1, step - rising)
    end = _cosine(start, start / end_factor, steps - 2 * rising, 1, step - 2 * rising)
    return jnp.where(step < rising, up, jnp.where(step < 2 * rising, down, end))


def _one_cycle_momentum(high, low, lowest, end, step):
    falling, returning = _cosine(high, low, lowest, 1, step), _cosine(low, high, end - lowest, 1, step - lowest)
    return jnp.where(step < lowest, falling, returning)


def _cyclic(low, high, rising, falling, factor, step):
    cycle = jnp.asarray(step, float) // (rising + falling)
    return low + (high - low) * _power(factor, cycle) * _triangle(rising, falling, step)


def _cyclic_exponential(low, high, rising, falling, factor, step):
    return low + (high - low) * _power(factor, jnp.asarray(step, float)) * _triangle(rising, falling, step)


def _triangle(rising, falling, step):
    """Returns the height from 0 to 1 in triangles."""
    t = jnp.asarray(step, float) % (rising + falling)
    return jnp.minimum(t / rising, (rising + falling - t) / falling)


def _as_pytree(schedule):
    return schedule if isinstance(schedule, Partial) else Partial(schedule)


def _check(least=-math.inf, *, above=-math.inf, most=math.inf, **values):
    """Raises ValueError unless each value is a finite real number within the bounds; traced values pass unchecked."""
    for name, value in values.items():
        number = known_number(name, value)
        if number is None or (math.isfinite(number) and above < number and least <= number <= most):
            continue
        bounds = {"at least ": least, "greater than ": above, "at most ": most}
        wanted = [word + f"{bound}" for word, bound in bounds.items() if math.isfinite(bound)]
        raise ValueError(f"`{name}` must be {' and '.join(['finite', *wanted])}; received {value}.")
