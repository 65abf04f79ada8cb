"""A model on paper predicts the seconds of a data-parallel step on N machines, and when communication dominates.

In a step every machine computes its gradient; then the gradients of all machines are summed. A gradient has S bytes,
the links carry B bytes a second, and a message has a latency of L seconds. The sum takes, by algorithm,

    ring      2 (N-1)/N S/B + 2 (N-1) L    every byte travels once around and back (Patarasuk and Yuan 2009)
    tree      2 S/B + 2 log2(N) L          both links busy, few hops (Sanders, Speck and Träff 2009; NCCL 2.4)

The bytes take about 2 S/B seconds for any N. Three other things limit the speedup: each machine's share of a batch
grows small (strong scaling), the slowest of N machines is slower for larger N, and a larger batch saves ever fewer
steps (McCandlish et al. 2018, arXiv 1812.06162). Results are NumPy's numbers, and arguments may be arrays with a value
for each number of machines.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Link(NamedTuple):
    """Describes the link of a machine to its neighbour: bytes a second each way, seconds to a message's first byte."""

    bandwidth: float
    latency: float = 0.0


def ring_all_reduce_seconds(size, machines, link: Link):
    """Returns `2 (N-1)/N S/B + 2 (N-1) L`: N-1 rounds sum and N-1 rounds distribute, each with S/N bytes.

    Args:
      size: bytes of the gradient, S.
      machines: the number of machines, N.

    >>> ring_all_reduce_seconds(1e9, 4, Link(bandwidth=1e9)).item()
    1.5
    """
    machines = _positive("machines", machines)
    rounds = 2 * (machines - 1)
    return rounds * (size / machines / link.bandwidth + link.latency)


def tree_all_reduce_seconds(size, machines, link: Link):
    """Returns `2 S/B + 2 log2(N) L` for N > 1, with log2(N) rounded up, and 0 for one machine.

    Two binary trees work at once, with messages cut so small that all links are busy.

    >>> tree_all_reduce_seconds(1e9, 1024, Link(bandwidth=1e9, latency=0.01)).item()
    2.2
    """
    machines = _positive("machines", machines)
    return np.where(machines > 1, 2 * size / link.bandwidth + 2 * np.ceil(np.log2(machines)) * link.latency, 0.0)


def all_reduce_seconds(size, machines, link: Link):
    """Returns the seconds of the faster of ring and tree, which is the one that libraries choose."""
    return np.minimum(ring_all_reduce_seconds(size, machines, link), tree_all_reduce_seconds(size, machines, link))


def step_seconds(compute, communication, *, overlap: float = 0.0):
    """Returns the seconds of a step, `compute + max(0, communication - overlap compute)`.

    Args:
      compute, communication: seconds.
      overlap: the share of the computation during which gradients already travel; the backward pass is 2/3 of a step.

    >>> step_seconds(3.0, 2.5, overlap=0.5).item()
    4.0
    """
    if not 0 <= overlap <= 1:
        raise ValueError(f"`overlap` must be in [0, 1]; received {overlap}. The backward pass is 2/3 of a step.")
    return compute + np.maximum(0.0, communication - overlap * compute)


def efficiency(compute, step):
    """Returns the share of a step in which a machine computes; N times this share is the speedup over one machine.

    >>> efficiency(3.0, 4.0)
    0.75
    """
    return compute / step


def break_even(compute: Callable, communication: Callable, *, most: int = 2**20) -> int | None:
    """Finds the fewest machines with which communication takes as long as computation; None if not up to `most`.

    Args:
      compute, communication: functions N -> seconds; for N > 1 the ratio communication / compute must not fall.

    >>> break_even(lambda n: 8.0 / n, lambda n: 1.0)
    8
    """
    ends = lambda n: communication(n) >= compute(n)
    if not ends(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if ends(middle) else (middle, high)
    return high


def examples_factor(batch, critical):
    """Returns `1 + batch / critical`, the examples needed for the same loss as a multiple of what tiny batches need.

    The steps needed are `1 + critical / batch` times the fewest possible. The critical batch is the noise scale of the
    gradient. Up to it, more machines reduce the time almost in proportion; beyond it they reduce it hardly at all
    (McCandlish et al. 2018).

    >>> examples_factor(8192, critical=8192)
    2.0
    """
    return 1 + batch / critical


def simulate_ring(ready, size: float, link: Link):
    """Simulates the messages of a ring and returns the seconds at which each machine has the sum.

    In every round machine i sends one of N parts to machine i + 1, as soon as it has the part and the link is free. A
    machine that is ready late delays its neighbours. With equal `ready` times the result is that of the formula.

    Args:
      ready: (machines,) seconds at which each machine has its gradient.

    >>> simulate_ring(np.zeros(4), 1e9, Link(bandwidth=1e9)).tolist()
    [1.5, 1.5, 1.5, 1.5]
    """
    time = np.array(ready, float)
    for _ in range(2 * (len(time) - 1)):
        time = np.maximum(time, np.roll(time, 1)) + size / len(time) / link.bandwidth + link.latency
    return time


def simulate_step(machines: int, *, compute: float, spread: float, size: float, link: Link, steps: int, seed: int = 0):
    """Simulates synchronous steps whose machines compute for log-normal times of mean `compute`; returns mean seconds.

    Args:
      spread: standard deviation of the logarithm of a machine's time; 0.1 is about 10 %.
      steps: the number of steps to average over.
      seed: the seed of NumPy's generator.

    >>> round(simulate_step(2, compute=1.0, spread=0.0, size=0.0, link=Link(1.0), steps=3), 6)
    1.0
    """
    rng = np.random.default_rng(seed)
    times = compute * rng.lognormal(-(spread**2) / 2, spread, size=(steps, machines))
    return float(np.mean([simulate_ring(ready, size, link).max() for ready in times]))


def _positive(name: str, value):
    value = np.asarray(value)
    if (value < 1).any():
        raise ValueError(f"`{name}` must be at least 1; received {value.min()}. One machine sends nothing.")
    return value
