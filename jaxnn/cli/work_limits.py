"""Functions that check the memory and work of a command before it allocates or compiles. Imports no jax."""

import itertools

from jaxnn.machine_memory import available_memory, total_memory
from jaxnn.naming import shown

MOST_TRAININGS = 100_000  # trainings of one command; so many take days on any machine
MOST_SEEDS = 2**32  # seeds are integers of 32 bits
MOST_STEPS = 2**31 - 1  # steps are counted in int32
PIXELS, CLASSES, NUMBER = 784, 10, 4  # pixels and classes of the smallest data; bytes of a float32
PROCESS = 200 * 2**20  # bytes of a process that has imported JAX and trains a small model


def check_widths(hidden: tuple[int, ...]) -> None:
    """Raises ValueError if the machine cannot hold the parameters of the hidden layers and their gradients."""
    parameters = sum((a + 1) * b for a, b in itertools.pairwise((PIXELS, *hidden, CLASSES)))
    if 2 * NUMBER * parameters > total_memory():
        raise ValueError(
            f"--hidden {shown(hidden)} makes {parameters} parameters, {bytes_told(2 * NUMBER * parameters)} with their "
            f"gradients; this machine has {bytes_told(total_memory())}. Take narrower layers."
        )


def check_trainings(count: int, flags: str) -> None:
    """Raises ValueError for more trainings than one command allows; `flags` names the flags that make the count."""
    if count > MOST_TRAININGS:
        raise ValueError(f"{flags} make {count} trainings; one command makes at most {MOST_TRAININGS}. Make less.")


def check_seeds(seed: int, count: int, flag: str) -> None:
    """Raises ValueError if `seed`, `seed` + 1, ... are not `count` seeds of 32 bits; `flag` makes the count."""
    if seed + count > MOST_SEEDS:
        raise ValueError(
            f"--seed must leave room for the {count} seeds of {flag}; received {seed}. Take at most "
            f"{MOST_SEEDS - count}."
        )


def check_members(count: int, *, each: int) -> None:
    """Raises ValueError if the memory cannot hold `count` trainings side by side with `each` bytes for every one."""
    free = available_memory()
    if count * each > free:
        raise ValueError(
            f"{count} trainings side by side keep {bytes_told(count * each)}, {bytes_told(each)} each; "
            f"{bytes_told(free)} are free here. Make at most {max(1, free // each)}."
        )


def check_steps(*, epochs: int, batch_size: int, examples: int) -> int:
    """Returns the number of steps of a training; raises ValueError if int32 cannot count them."""
    steps = epochs * -(-examples // batch_size)
    if steps > MOST_STEPS:
        raise ValueError(
            f"--epochs {epochs} in batches of {batch_size} make {steps} steps; at most {MOST_STEPS} can be counted. "
            f"Say --epochs {max(1, MOST_STEPS * epochs // steps)} or less."
        )
    return steps


def check_processes(count: int, flag: str) -> None:
    """Raises ValueError for more processes than the machine can hold, even if each trains a small model."""
    if count * PROCESS > total_memory():
        most = total_memory() // PROCESS
        raise ValueError(
            f"{flag} start {count} processes, which take {bytes_told(count * PROCESS)} at least; this machine has "
            f"{bytes_told(total_memory())}. Start at most {most}."
        )


def bytes_told(size: int) -> str:
    """Formats a number of bytes in MiB or GiB.

    >>> bytes_told(3 * 2**29), bytes_told(2**19)
    ('1.5 GiB', '0.5 MiB')
    """
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"
