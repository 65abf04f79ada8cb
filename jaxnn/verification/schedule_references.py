"""These rows compare the schedules with their references."""

import numpy as np
import optax

from jaxnn import schedules
from jaxnn.verification.rows import ScheduleRow


def _restarts(start, end, lengths):
    cycles = [{"init_value": start, "peak_value": start, "end_value": end, "warmup_steps": 0} for _ in lengths]
    return optax.sgdr_schedule([cycle | {"decay_steps": n} for cycle, n in zip(cycles, lengths, strict=True)])


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
]
