"""How far data parallelism carries, on paper: seconds of a step on N machines, and where communication ends it.

A step computes on every machine, then sums the gradients of all: S bytes, over links of B bytes a second, with a
latency of L seconds a message.

    ring      2 (N-1)/N S/B + 2 (N-1) L    every byte travels once around and back (Patarasuk and Yuan 2009)
    tree      2 S/B + 2 log2(N) L          both links busy, few hops (Sanders, Speck and Träff 2009; NCCL 2.4)

The bytes' share is about 2 S/B whatever N: what ends it is that the machines' shares of a batch grow small (strong
scaling), that the slowest of N machines is slower, and that a larger batch saves ever fewer steps (McCandlish et al.
2018, arXiv 1812.06162). Numbers are NumPy's, and arguments may be arrays of machines.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Link(NamedTuple):
    """Of every machine to its neighbour: bytes a second each way, and seconds until the first byte of a message."""

    bandwidth: float
    latency: float = 0.0


def ring_all_reduce_seconds(size, machines, link: Link):
    """`2 (N-1)/N S/B + 2 (N-1) L`: N-1 rounds that sum, N-1 that hand round, each of S/N bytes.

    Args:
      size: bytes of the gradient, S.
      machines: N.

    >>> ring_all_reduce_seconds(1e9, 4, Link(bandwidth=1e9)).item()
    1.5
    """
    machines = _positive("machines", machines)
    rounds = 2 * (machines - 1)
    return rounds * (size / machines / link.bandwidth + link.latency)


def tree_all_reduce_seconds(size, machines, link: Link):
    """`2 S/B + 2 log2(N) L` for N > 1, the messages cut so small that all links are busy: two binary trees at once.

    >>> tree_all_reduce_seconds(1e9, 1024, Link(bandwidth=1e9, latency=0.01)).item()
    2.2
    """
    machines = _positive("machines", machines)
    return np.where(machines > 1, 2 * size / link.bandwidth + 2 * np.ceil(np.log2(machines)) * link.latency, 0.0)


def all_reduce_seconds(size, machines, link: Link):
    """The faster of ring and tree, as libraries choose."""
    return np.minimum(ring_all_reduce_seconds(size, machines, link), tree_all_reduce_seconds(size, machines, link))


def step_seconds(compute, communication, *, overlap: float = 0.0):
    """`compute + max(0, communication - overlap compute)`.

    Args:
      compute, communication: seconds.
      overlap: the share of the computation beside which gradients already travel; the backward pass is 2/3 of a step.

    >>> step_seconds(3.0, 2.5, overlap=0.5).item()
    4.0
    """
    if not 0 <= overlap <= 1:
        raise ValueError(f"`overlap` must be in [0, 1]; received {overlap}. The backward pass is 2/3 of a step.")
    return compute + np.maximum(0.0, communication - overlap * compute)


def efficiency(compute, step):
    """The share of a step in which a machine computes; times N, the speedup over one machine.

    >>> efficiency(3.0, 4.0)
    0.75
    """
    return compute / step


def break_even(compute: Callable, communication: Callable, *, most: int = 2**20) -> int | None:
    """The fewest machines with which communication takes as long as the computation; None: not up to `most`.

    Args:
      compute, communication: functions N -> seconds; their ratio must not get better with N > 1.

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
    """`1 + batch / critical`: examples needed for the same loss, as a multiple of what tiny batches need.

    Steps needed are `1 + critical / batch` times the fewest possible: up to the critical batch, the gradient's noise
    scale, machines buy time nearly one for one; beyond it they buy almost nothing (McCandlish et al. 2018).

    >>> examples_factor(8192, critical=8192)
    2.0
    """
    return 1 + batch / critical


def simulate_ring(ready, size: float, link: Link):
    """Seconds at which each machine has the sum, by messages: machines that are ready late hold up their neighbours.

    In every round machine i sends one of N parts to i + 1, as soon as it has it and the link is free; with equal
    `ready` times the result is the formula's.

    Args:
      ready: (machines,) seconds at which each has its gradient.

    >>> simulate_ring(np.zeros(4), 1e9, Link(bandwidth=1e9)).tolist()
    [1.5, 1.5, 1.5, 1.5]
    """
    time = np.array(ready, float)
    for _ in range(2 * (len(time) - 1)):
        time = np.maximum(time, np.roll(time, 1)) + size / len(time) / link.bandwidth + link.latency
    return time


def simulate_step(machines: int, *, compute: float, spread: float, size: float, link: Link, steps: int, seed: int = 0):
    """Mean seconds of synchronous steps whose machines compute for log-normal times of mean `compute`.

    Args:
      spread: standard deviation of the logarithm of a machine's time; 0.1 is about 10 %.
      steps: to average over.
      seed: of NumPy's generator.

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
