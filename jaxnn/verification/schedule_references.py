"""These rows compare the schedules with their references."""

import numpy as np
import optax

from jaxnn import schedules
from jaxnn.verification.rows import ScheduleRow

PYTORCH = "PyTorch's documented algorithm"


def _restarts(start, end, lengths):
    cycles = [{"init_value": start, "peak_value": start, "end_value": end, "warmup_steps": 0} for _ in lengths]
    return optax.sgdr_schedule([cycle | {"decay_steps": n} for cycle, n in zip(cycles, lengths, strict=True)])


def _falling_restarts(start, end, steps, factor):
    """Each cycle of the one before times `factor`, by NumPy."""

    def value(t):
        cycle, within = divmod(t, steps)
        return end + (start * factor**cycle - end) * (1 + np.cos(np.pi * within / steps)) / 2

    return value


def _phases(*phases):
    """Cosines one after another, as PyTorch's OneCycleLR has them: (last step, value before, value after)."""

    def value(t):
        first = 0
        for last, before, after in phases:
            if t <= last or last == phases[-1][0]:
                share = min((t - first) / (last - first), 1)
                return after + (before - after) / 2 * (1 + np.cos(np.pi * share))
            first = last
        raise AssertionError("the last phase has every later step")

    return value


def _triangles(low, high, rising, falling, amplitude):
    """CyclicLR of PyTorch: `amplitude(cycle, step)` scales the triangle."""
    total = rising + falling

    def value(t):
        cycle = np.floor(1 + t / total)
        x = 1 + t / total - cycle
        height = x / (rising / total) if x <= rising / total else (x - 1) / (rising / total - 1)
        return low + (high - low) * height * amplitude(cycle - 1, t)

    return value


SCHEDULES = [
    ScheduleRow(
        "constant",
        schedules.constant,
        schedules.constant(0.1),
        optax.constant_schedule(0.1),
        "optax.constant_schedule",
        10,
    ),
    ScheduleRow(
        "linear",
        schedules.linear,
        schedules.linear(0.1, 2.0, steps=37),
        optax.linear_schedule(0.1, 2.0, 37),
        "optax.linear_schedule",
        37,
    ),
    ScheduleRow(
        "cosine",
        schedules.cosine,
        schedules.cosine(2.0, 0.5, steps=37),
        optax.cosine_decay_schedule(2.0, 37, alpha=0.25),
        "optax.cosine_decay_schedule",
        37,
    ),
    ScheduleRow(
        "one_cycle",
        schedules.one_cycle,
        schedules.one_cycle(0.3, steps=100),
        optax.cosine_onecycle_schedule(100, 0.3),
        "optax.cosine_onecycle_schedule",
        100,
    ),
    ScheduleRow(
        "one_cycle, its own shape",
        schedules.one_cycle,
        schedules.one_cycle(0.3, steps=80, warmup=0.125, start_factor=10.0, end_factor=100.0),
        optax.cosine_onecycle_schedule(80, 0.3, pct_start=0.125, div_factor=10.0, final_div_factor=100.0),
        "optax.cosine_onecycle_schedule",
        80,
    ),
    ScheduleRow(
        "polynomial",
        schedules.polynomial,
        schedules.polynomial(0.5, 0.02, steps=37, power=2.5),
        optax.polynomial_schedule(0.5, 0.02, 2.5, 37),
        "optax.polynomial_schedule",
        37,
    ),
    ScheduleRow(
        "warm_restarts",
        schedules.warm_restarts,
        schedules.warm_restarts(0.4, 0.01, steps=12),
        _restarts(0.4, 0.01, [12] * 5),
        "optax.sgdr_schedule",
        40,
    ),
    ScheduleRow(
        "warm_restarts, growing",
        schedules.warm_restarts,
        schedules.warm_restarts(0.4, 0.01, steps=5, growth=2),
        _restarts(0.4, 0.01, [5, 10, 20, 40, 80]),
        "optax.sgdr_schedule",
        100,
    ),
    ScheduleRow(
        "exponential",
        schedules.exponential,
        schedules.exponential(0.5, factor=0.6, steps=9),
        optax.exponential_decay(0.5, 9, 0.6),
        "optax.exponential_decay",
        40,
    ),
    ScheduleRow(
        "step_decay",
        schedules.step_decay,
        schedules.step_decay(0.5, factor=0.3, steps=7),
        optax.exponential_decay(0.5, 7, 0.3, staircase=True),
        "optax.exponential_decay",
        40,
    ),
    ScheduleRow(
        "inverse_time",
        schedules.inverse_time,
        schedules.inverse_time(0.5, steps=4),
        lambda step: 0.5 / (1 + 0.25 * np.float64(step)),
        "NumPy",
        40,
    ),
    ScheduleRow(
        "inverse_time, of the square root",
        schedules.inverse_time,
        schedules.inverse_time(0.5, steps=4, power=0.5),
        lambda step: 0.5 / np.sqrt(1 + 0.25 * np.float64(step)),
        "NumPy",
        40,
    ),
    ScheduleRow(
        "piecewise_constant",
        schedules.piecewise_constant,
        schedules.piecewise_constant([0.5, 0.05, 0.2], boundaries=[4, 20]),
        optax.piecewise_constant_schedule(0.5, {4: 0.1, 20: 4.0}),
        "optax.piecewise_constant_schedule",
        40,
    ),
    ScheduleRow(
        "join",
        schedules.join,
        schedules.join(
            [schedules.constant(0.5), schedules.cosine(0.5, 0.1, steps=10), schedules.linear(0.3, 0.0, steps=9)],
            boundaries=[4, 20],
        ),
        optax.join_schedules(
            [
                optax.constant_schedule(0.5),
                optax.cosine_decay_schedule(0.5, 10, alpha=0.2),
                optax.linear_schedule(0.3, 0.0, 9),
            ],
            [4, 20],
        ),
        "optax.join_schedules",
        40,
    ),
    ScheduleRow(
        "warmup, then a cosine",
        schedules.warmup,
        schedules.warmup(schedules.cosine(0.8, 0.2, steps=30), steps=10, start=0.1),
        optax.warmup_cosine_decay_schedule(0.1, 0.8, 10, 40, end_value=0.2),
        "optax.warmup_cosine_decay_schedule",
        40,
    ),
    ScheduleRow(
        "warmup, then a staircase",
        schedules.warmup,
        schedules.warmup(schedules.step_decay(0.8, factor=0.5, steps=6), steps=10),
        optax.warmup_exponential_decay_schedule(0.0, 0.8, 10, 6, 0.5, staircase=True),
        "optax.warmup_exponential_decay_schedule",
        40,
    ),
    ScheduleRow(
        "cosine, a power",
        schedules.cosine,
        schedules.cosine(2.0, 0.5, steps=37, power=2.5),
        optax.cosine_decay_schedule(2.0, 37, alpha=0.25, exponent=2.5),
        "optax.cosine_decay_schedule",
        37,
    ),
    ScheduleRow(
        "one_cycle, three phases",
        schedules.one_cycle,
        schedules.one_cycle(0.3, steps=80, warmup=0.25, three_phases=True),
        _phases((20, 0.012, 0.3), (40, 0.3, 0.012), (80, 0.012, 1.2e-6)),
        PYTORCH,
        80,
    ),
    ScheduleRow(
        "one_cycle_momentum",
        schedules.one_cycle_momentum,
        schedules.one_cycle_momentum(steps=80, warmup=0.25),
        _phases((20, 0.95, 0.85), (80, 0.85, 0.95)),
        PYTORCH,
        80,
    ),
    ScheduleRow(
        "one_cycle_momentum, three phases",
        schedules.one_cycle_momentum,
        schedules.one_cycle_momentum(steps=80, warmup=0.25, three_phases=True),
        _phases((20, 0.95, 0.85), (40, 0.85, 0.95)),
        PYTORCH,
        80,
    ),
    ScheduleRow(
        "cyclic, falling",
        schedules.cyclic,
        schedules.cyclic(0.1, 1.0, rising=4, falling=9, factor=0.5),
        _triangles(0.1, 1.0, 4, 9, lambda cycle, step: 1 / 2**cycle),
        PYTORCH,
        50,
    ),
    ScheduleRow(
        "cyclic",
        schedules.cyclic,
        schedules.cyclic(0.1, 1.0, rising=5),
        _triangles(0.1, 1.0, 5, 5, lambda cycle, step: 1),
        PYTORCH,
        50,
    ),
    ScheduleRow(
        "cyclic_exponential",
        schedules.cyclic_exponential,
        schedules.cyclic_exponential(0.1, 1.0, rising=4, falling=9, factor=0.97),
        _triangles(0.1, 1.0, 4, 9, lambda cycle, step: 0.97**step),
        PYTORCH,
        50,
    ),
    ScheduleRow(
        "warm_restarts, from lower each time",
        schedules.warm_restarts,
        schedules.warm_restarts(0.4, 0.01, steps=12, factor=0.6),
        _falling_restarts(0.4, 0.01, 12, 0.6),
        "NumPy",
        40,
    ),
]
