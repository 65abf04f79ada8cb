"""Ring 1 takes the first case of each kind; the other cases of a test are marked `full` and run in ring 2."""

import pytest


def first_of(name, cases, *, kind=lambda case: None, ids=None):
    """Parametrizes a test over cases, of which ring 1 runs the first of each kind: by default the first of all."""
    seen, chosen = set(), []
    for case in cases:
        marks = [pytest.mark.full] if kind(case) in seen else []
        seen.add(kind(case))
        chosen.append(pytest.param(*(case if isinstance(name, tuple) else [case]), marks=marks))
    return pytest.mark.parametrize(name, chosen, ids=ids)


DTYPES = first_of("dtype", ["float32", "bfloat16", "float64"])
