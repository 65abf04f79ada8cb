"""Ring 1 has one case of each kind, and no case is in no ring."""

from catalog import FUNCTIONS, over, room_of
from rings import first_of


def cases(mark):
    return [(*case.values, *(m.name for m in case.marks)) for case in mark.args[1]]


def test_the_first_of_each_kind_is_in_ring_1_and_the_others_in_ring_2():
    assert cases(first_of("x", [1, 3, 2])) == [(1,), (3, "full"), (2, "full")]
    assert cases(first_of("x", [1, 3, 2, 4], kind=lambda x: x % 2)) == [(1,), (3, "full"), (2,), (4, "full")]
    assert cases(first_of(("x", "y"), [(1, 2), (3, 4)])) == [(1, 2), (3, 4, "full")]


def test_every_room_that_has_rows_is_in_ring_1_once():
    first = [row for row, *marks in cases(over(FUNCTIONS)) if not marks]
    assert sorted(map(room_of, first)) == sorted({room_of(row) for row in FUNCTIONS})
