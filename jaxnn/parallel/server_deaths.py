"""What the deaths of a server cost, from its log: the updates that it had accepted and that its next life lacks."""

from collections.abc import Sequence

from jaxnn.parallel.push_log import Life, Version


def lost_updates(lives: Sequence[Life]) -> list[int]:
    """How many accepted updates each death of a server took with it: one number for each life but the last.

    A push is accepted once it stands in the log, which is before it is applied and before its worker is told. A version
    is made of the pushes that its life had applied before it, and of all that the version is made of from which the
    life began. Lost at a death is what the dead server's last version was made of and the version that was restored is
    not. It cannot be more than the interval between checkpoints, for a server writes one before it takes the next push.

    Args:
      lives: all of one shard, of `read_log`.

    >>> from jaxnn.parallel.push_log import Push
    >>> pushes = [Push(0, 0, step, (), applied=step) for step in range(7)]
    >>> lost_updates([Life(0, None, pushes), Life(1, Version(0, 5), [])])
    [2]
    """
    ends = [Version(life.number, 1 + max((push.applied for push in life.pushes), default=-1)) for life in lives[:-1]]
    origins = [life.origin for life in lives[1:]]
    return [len(_made_of(lives, end) - _made_of(lives, origin)) for end, origin in zip(ends, origins, strict=True)]


def _made_of(lives, version: Version | None) -> set[tuple[int, int]]:
    """The pushes, as (life, applied)."""
    made = set()
    while version is not None:
        life = lives[version.life]
        made |= {(life.number, push.applied) for push in life.pushes if push.applied < version.number}
        version = life.origin
    return made
