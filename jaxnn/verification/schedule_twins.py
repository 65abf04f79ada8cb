"""Twins of the schedules."""

import optax

from jaxnn import schedules
from jaxnn.verification.rows import ScheduleRow

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
]
