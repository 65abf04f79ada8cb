"""`verify` runs the table of references on the device at hand, in the dtype asked for."""

import fnmatch
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import jax
import numpy as np

import jaxnn.verification.row_checks as row_checks
from jaxnn.naming import unknown
from jaxnn.verification.rows import (
    DescentRow,
    FunctionRow,
    InitializerRow,
    LayerRow,
    ModelRow,
    OptimizerRow,
    ScheduleRow,
)
from jaxnn.verification.table import TABLE

DTYPES = ("bfloat16", "float32", "float64")
CASES = {
    FunctionRow: row_checks.function_cases,
    LayerRow: row_checks.layer_cases,
    InitializerRow: row_checks.initializer_cases,
    ScheduleRow: row_checks.schedule_cases,
    OptimizerRow: row_checks.optimizer_cases,
    DescentRow: row_checks.descent_cases,
    ModelRow: row_checks.model_cases,
}


class Verdict(NamedTuple):
    """Says how far a piece is from an oracle at most, over all cases, and how far it may be: a line of the table."""

    kind: str
    piece: str
    quantity: str
    oracle: str
    cases: int
    difference: float
    """the largest, relative to the largest magnitude in its array"""
    tolerance: float
    problem: str = ""
    """what was raised, if something was"""

    @property
    def passed(self) -> bool:
        """Whether every case is within the tolerance; NaN is not."""
        return not self.problem and self.difference <= self.tolerance


def verify(dtype: str = "float32", *, only: str = "*") -> Iterator[Verdict]:
    """Yields the verdicts, piece by piece, as soon as they are known.

    Matrix products run in the device's highest precision, so that what is compared is the mathematics.

    Args:
      dtype: of the arguments; `float64` turns JAX's doubles on for the while. In `bfloat16` values are compared; for
        gradients, optimizers, schedules and models it means float32: rounded arguments tie, and where maxima tie no
        gradient is the right one, and a path of a hundred rounded steps says nothing.
      only: a glob for the pieces or the kinds to run, such as "conv*" or "losses".

    Raises:
      ValueError: an unknown dtype, or a pattern that fits nothing.

    >>> [verdict.passed for verdict in verify(only="scaled_tanh")]
    [True]
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    pieces = [(kind, piece, list(rows)) for kind, piece, rows in _pieces()]
    chosen = [row for row in pieces if any(fnmatch.fnmatchcase(name, only) for name in row[:2])]
    if not chosen:
        raise unknown("piece", only, {name for row in pieces for name in row[:2]})
    return (verdict for kind, piece, rows in chosen for verdict in _verdicts(kind, piece, rows, dtype))


def _verdicts(kind: str, piece: str, rows: list, dtype: str) -> list[Verdict]:
    """One for each quantity and oracle; one more if something raised: the other pieces shall still have their say."""
    cases, problems = [], []
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        for row in rows:
            try:
                cases += CASES[type(row)](row, dtype)
            except Exception as error:
                first_line = str(error).partition("\n")[0]
                problems.append(
                    Verdict(kind, row.name, "-", "-", 0, np.nan, 0.0, f"{type(error).__name__}: {first_line}")
                )
    compared = dict.fromkeys((case.quantity, case.oracle) for case in cases)
    return [_summed(kind, piece, [case for case in cases if case[:2] == pair]) for pair in compared] + problems


def _summed(kind: str, piece: str, cases: list[row_checks.Case]) -> Verdict:
    worst = float(np.max([case.difference for case in cases]))  # NaN stays NaN
    return Verdict(kind, piece, *cases[0][:2], len(cases), worst, max(case.tolerance for case in cases))


def _pieces():
    for kind, rows in TABLE.items():
        for piece, variants in groupby(rows, lambda row: row.name.partition(",")[0]):
            yield kind, piece, variants
