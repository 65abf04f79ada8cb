"""Ring 1 takes the first case of each kind; the other cases of a test are marked `full` and run in ring 2."""

import pytest


def first_of(name, cases, *, kind=lambda case: None, ids=None):
    """Parametrizes a test over cases, of which ring 1 runs the first of each kind: by default the first of all."""
    seen, chosen = set(), []
    for case in cases:
        is_first = kind(case) not in seen
        seen.add(kind(case))
        values = case if isinstance(name, tuple) else (case,)
        chosen.append(pytest.param(*values, id=ids and ids(case), marks=() if is_first else pytest.mark.full))
    return pytest.mark.parametrize(name, chosen)


DTYPES = first_of("dtype", ["float32", "bfloat16", "float64"])
