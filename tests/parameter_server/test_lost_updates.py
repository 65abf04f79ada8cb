"""What deaths cost, counted by hand."""

import numpy as np
import pytest

from jaxnn.parameter_server.log_replay import lost_updates
from jaxnn.parameter_server.push_log import Life, Push, Version


def life(number, origin, count):
    """A life that applied so many pushes from its origin on."""
    first = 0 if origin is None else origin[1]
    pushes = [Push(0, 0, int(step), (), applied=int(step)) for step in np.arange(first, first + count)]
    return Life(number, None if origin is None else Version(*origin), pushes)


@pytest.mark.parametrize(
    ("lives", "lost"),
    [
        ([(None, 7)], []),
        ([(None, 7), ((0, 7), 3)], [0]),  # killed just after a checkpoint
        ([(None, 7), ((0, 5), 3)], [2]),
        ([(None, 7), (None, 3)], [7]),  # killed before the first
        ([(None, 7), ((0, 5), 3), ((0, 5), 1)], [2, 3]),  # again before the first of its own: what it did is lost
        ([(None, 7), ((0, 5), 6), ((1, 10), 0), ((1, 10), 2)], [2, 1, 0]),  # and one that did nothing
        ([(None, 10), ((0, 10), 5), ((0, 5), 1)], [0, 10]),  # the newest checkpoint was damaged: five of each life
    ],
)
def test_lost_are_those_that_the_next_life_does_not_have(lives, lost):
    assert lost_updates([life(number, *one) for number, one in enumerate(lives)]) == lost
