"""The formulas agree with one another, with the simulation by messages, and with what they must do at their ends."""

import numpy as np
import pytest

from jaxnn.parallel.scaling_model import (
    Link,
    all_reduce_seconds,
    break_even,
    efficiency,
    examples_factor,
    ring_all_reduce_seconds,
    simulate_ring,
    simulate_step,
    step_seconds,
    tree_all_reduce_seconds,
)

LINK = Link(bandwidth=25e9, latency=1e-5)
MACHINES = 2 ** np.arange(13)


@pytest.mark.parametrize("machines", [1, 2, 3, 8, 100])
def test_the_ring_by_messages_takes_what_the_formula_says(machines):
    expected = ring_all_reduce_seconds(5e8, machines, LINK)
    np.testing.assert_allclose(simulate_ring(np.full(machines, 2.0), 5e8, LINK), 2.0 + expected, rtol=1e-12)


def test_a_ring_waits_for_its_slowest_machine():
    ready = np.array([0.0, 0.0, 7.0, 0.0])
    done = simulate_ring(ready, 1e9, LINK)
    assert done.max() == pytest.approx(7 + ring_all_reduce_seconds(1e9, 4, LINK))
    assert done.min() > 7  # nobody has a sum without it


def test_one_machine_sends_nothing_and_many_send_twice_the_gradient():
    for seconds in (ring_all_reduce_seconds, tree_all_reduce_seconds, all_reduce_seconds):
        assert seconds(1e9, 1, LINK) == 0
        assert seconds(1e9, 4096, LINK._replace(latency=0.0)) == pytest.approx(2 * 1e9 / 25e9, rel=1e-3)


def test_rings_are_for_few_machines_and_trees_for_many():
    ring, tree = (seconds(1e8, MACHINES, LINK) for seconds in (ring_all_reduce_seconds, tree_all_reduce_seconds))
    assert ring[1] < tree[1]
    assert ring[-1] > 5 * tree[-1]
    np.testing.assert_array_equal(all_reduce_seconds(1e8, MACHINES, LINK), np.minimum(ring, tree))


def test_weak_scaling_keeps_its_efficiency_and_strong_scaling_loses_it():
    communication = all_reduce_seconds(1e8, MACHINES, LINK)
    weak = efficiency(0.1, step_seconds(0.1, communication))
    strong = efficiency(1 / MACHINES, step_seconds(1 / MACHINES, communication))
    assert weak[-1] > 0.9
    assert strong[0] == 1
    assert strong[-1] < 0.05
    assert (np.diff(strong) <= 0).all()


def test_what_overlaps_is_free_until_it_is_too_much():
    assert step_seconds(3.0, 2.0, overlap=2 / 3) == 3
    assert step_seconds(3.0, 2.5, overlap=2 / 3) == pytest.approx(3.5)
    assert step_seconds(3.0, 2.5) == 5.5


def test_break_even_is_the_first_number_of_machines():
    compute, communication = lambda n: 1.0 / n, lambda n: float(all_reduce_seconds(1e8, n, LINK))
    n = break_even(compute, communication)
    assert communication(n) >= compute(n)
    assert communication(n - 1) < compute(n - 1)
    assert break_even(lambda n: 1.0, communication, most=4096) is None
    assert break_even(lambda n: 0.0, lambda n: 1.0) == 1


def test_the_mean_of_the_slowest_grows_with_the_machines():
    """Of N log-normal times of spread s the slowest is near exp(s sqrt(2 ln N)) times the median."""
    steps = [simulate_step(n, compute=1.0, spread=0.1, size=0.0, link=Link(1.0), steps=50) for n in (1, 16, 256)]
    assert steps[0] == pytest.approx(1.0, abs=0.05)
    assert 1.1 < steps[1] < 1.25
    assert 1.2 < steps[2] < np.exp(0.1 * np.sqrt(2 * np.log(256))) + 0.01
    again = simulate_step(16, compute=1.0, spread=0.1, size=0.0, link=Link(1.0), steps=50)
    assert again == steps[1]


def test_a_batch_beyond_the_critical_one_buys_nothing():
    steps = lambda batch: examples_factor(batch, 1000) / batch
    assert steps(10) / steps(20) == pytest.approx(2, rel=0.02)
    assert steps(100_000) / steps(200_000) == pytest.approx(1, rel=0.01)


def test_nonsense_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"`machines` must be at least 1; received 0\. One machine sends nothing"):
        ring_all_reduce_seconds(1.0, 0, LINK)
    with pytest.raises(ValueError, match=r"`overlap` must be in \[0, 1\]; received 2\. The backward pass is 2/3"):
        step_seconds(1.0, 1.0, overlap=2)
