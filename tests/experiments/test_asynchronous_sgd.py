"""Orders of events are as late as counting says, and every way of working together computes equally many gradients."""

import numpy as np
from experiment_files import load

from jaxnn import asynchronous

orders, race, rates = load("event_orders"), load("straggler_race"), load("asynchronous_sgd")


def test_gradients_are_as_late_as_counting_says():
    programs = orders.programs(orders.Settings(workers=4, gradients=96))
    late = {name: asynchronous.staleness_of(asynchronous.log_of(program)) for name, program in programs.items()}
    assert not late["in turns"].any()
    for name in ("asynchronous", "a straggler x5"):
        assert 2.8 < late[name].mean() < 3  # N - 1 = 3, less at the beginning
        assert len(late[name]) == 96
    assert late["bounded, s = 2"].mean() < 3
    assert late["n_fetch = 4"].mean() > 6


def test_only_who_waits_for_the_straggler_is_slow():
    settings = race.Settings(workers=4, gradients=256, points=2)
    times = asynchronous.WorkerTimes(4, spread=0.3, slowdown={0: 5.0}, latency=0.1)
    seconds = {name: way.plan(times).time[-1] for name, way in race.ways_of(settings).items()}
    assert len(seconds) == 10
    for name in ("1 backup worker", "Downpour, AdaGrad", "EASGD, tau = 8"):
        assert seconds[name] < 0.6 * seconds["synchronous"]
    for name in ("bounded s = 4, AdaGrad", "local SGD, H = 8"):
        assert seconds[name] > 0.6 * seconds["synchronous"]


def test_the_first_time_and_the_largest_rate_that_works():
    curve = load("simulated_clusters").Curve(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.9, 0.8]), 0)
    assert race.first_time(curve, 0.9) == 2.0
    assert np.isnan(race.first_time(curve, 0.95))
    assert rates.largest([0.9, 0.85, 0.1], (0.1, 0.2, 0.5)) == 0.2
    assert np.isnan(rates.largest([0.1], (0.1,)))
