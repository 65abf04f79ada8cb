"""Compiler options decide how much XLA optimizes a program."""

import os

import jax

_LEVEL = "xla_backend_optimization_level"


def compiler_options(*, runs_once: bool) -> dict[str, str] | None:
    """Returns XLA's options for a program, None for the defaults; a program that runs once is compiled at level 0.

    On CPU other programs are compiled at level 2: level 3, the default, takes half as long again to compile, for
    programs that are no faster. A level that the user has set in XLA_FLAGS applies to every program.
    """
    if _LEVEL in os.environ.get("XLA_FLAGS", ""):
        return None
    if runs_once:
        return {_LEVEL: "0"}
    return {_LEVEL: "2"} if jax.default_backend() == "cpu" else None
