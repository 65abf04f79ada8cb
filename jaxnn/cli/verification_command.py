"""`jaxnn verify` compares every piece with its reference implementation on this device, and prints a table."""

import json
import math
from dataclasses import dataclass
from importlib import metadata
from typing import Annotated

from jaxnn.cli.field_rules import OneOf
from jaxnn.cli.main import parse
from jaxnn.cli.missing_devices import check_devices

COLUMNS = "{:<36}{:<18}{:<50}{:>6}{:>12}  {}"


@dataclass(frozen=True)
class VerificationFlags:
    """Compares every piece with an independent implementation on this device; the exit status is 1 if any differs."""

    dtype: Annotated[str, OneOf("dtype", ("float32", "float64", "bfloat16"))] = "float32"
    """Selects float32, float64 or bfloat16."""
    only: str = "*"
    """Selects pieces or kinds by a glob: "conv*", "losses", "adam"."""
    json: bool = False
    """Prints one JSON object instead of a table."""


def verify_command(args) -> int:
    """Prints a line for each piece and quantity: oracle, cases, the largest relative difference, verdict."""
    config = parse(VerificationFlags, args, command="verify")
    from jaxnn.verification import verify

    check_devices()
    verdicts = verify(config.dtype, only=config.only)
    rows = list(verdicts) if config.json else list(map(_shown, _with_headings(verdicts)))
    failed = [row for row in rows if not row.passed]
    if config.json:
        print(json.dumps(_as_json(rows, config.dtype), indent=1, allow_nan=False))
    else:
        print(f"\n{_summary(rows, failed)} {config.dtype} on {_device()}.")
    return 1 if failed else 0


def _with_headings(verdicts):
    """Yields the verdicts, and prints a heading before each kind."""
    print(COLUMNS.format("piece", "quantity", "oracle", "cases", "difference", "verdict"))
    kind = None
    for verdict in verdicts:
        if verdict.kind != kind:
            kind = verdict.kind
            print(f"\n{kind}", flush=True)
        yield verdict


def _shown(verdict):
    said = "ok" if verdict.passed else verdict.problem or f"FAILED: more than {verdict.tolerance:.0e}"
    difference = "-" if verdict.problem else f"{verdict.difference:.1e}"
    print(COLUMNS.format(f"  {verdict.piece}", *verdict[2:5], difference, said), flush=True)
    return verdict


def _summary(rows, failed) -> str:
    pieces, cases = len({(row.kind, row.piece) for row in rows}), sum(row.cases for row in rows)
    verdict = f"{len(failed)} of {len(rows)} lines FAILED." if failed else "all within tolerance."
    return f"{pieces} pieces, {cases} cases: {verdict}"


def _as_json(rows, dtype: str) -> dict:
    finite = lambda row: row.difference if math.isfinite(row.difference) else None
    return {
        "passed": all(row.passed for row in rows),
        "dtype": dtype,
        "device": _device(),
        "versions": {name: metadata.version(name) for name in ("jax", "flax", "optax", "numpy")},
        "rows": [{**row._asdict(), "difference": finite(row), "passed": row.passed} for row in rows],
    }


def _device() -> str:
    import jax

    kind, platform = jax.devices()[0].device_kind, jax.default_backend()
    return platform if kind == platform else f"{kind} ({platform})"
