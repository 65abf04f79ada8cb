"""The catalog is complete: nothing is exported that has neither a row nor a reason."""

import ast
import functools
import importlib
import inspect
import pkgutil
from pathlib import Path

import catalog
import pytest

import jaxnn

ROOT = Path(jaxnn.__file__).parent
SUBPACKAGES = tuple(
    name for name in ("layers", "losses", "metrics", "models", "optimizers", "second_order") if (ROOT / name).is_dir()
)


def exports(module):
    """The public functions and classes that a subpackage re-exports or a flat module defines."""
    own = lambda value: getattr(value, "__module__", "").startswith(module.__name__)
    return {name: value for name, value in vars(module).items() if name[0] != "_" and callable(value) and own(value)}


def flat_modules():
    found = pkgutil.iter_modules(jaxnn.__path__)
    return [m.name for m in found if not m.ispkg and m.name not in catalog.NOT_CONCEPTS]


def catalogued():
    """What has a row: the piece itself, or what a row says that it covers."""
    kinds = (catalog.FUNCTIONS, catalog.INITIALIZERS, catalog.SCHEDULES, catalog.NETWORK_LAYERS, catalog.DESCENTS)
    made = [*catalog.OPTIMIZERS, *catalog.TRANSFORMATIONS]
    pieces = {*(row.public for rows in kinds for row in rows), *(type(row.module) for row in catalog.MODELS)}
    return pieces | {row.factory for row in made} | {piece for row in made for piece in row.covers}


@functools.cache
def covered() -> set[str]:
    """What has no oracle and tests of its own: `COVERS` of the test files, such as "optimizers.averaging"."""
    names = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "COVERS":
                names |= ast.literal_eval(node.value)
    return names


@pytest.mark.parametrize("name", [*SUBPACKAGES, *flat_modules()])
def test_every_export_has_a_row_or_a_reason(name):
    public = exports(importlib.import_module(f"jaxnn.{name}"))
    assert public, f"jaxnn.{name} exports nothing"
    missing = [
        f"jaxnn.{name}.{export}"
        for export, value in public.items()
        if value not in catalogued() and f"{name}.{export}" not in covered()
    ]
    assert not missing, (
        f"add rows in jaxnn/verification or, without an oracle, tests that have them in COVERS: {missing}"
    )


def test_what_is_covered_exists_and_has_no_row():
    assert len(covered()) > 40
    for path in covered():
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(f"jaxnn.{module}"), name) not in catalogued(), f"{path} has a row by now"


def test_every_named_model_has_a_row():
    assert {row.name: type(row.module) for row in catalog.MODELS} == jaxnn.models.MODELS


def test_names_are_unique():
    kinds = (
        catalog.FUNCTIONS,
        catalog.INITIALIZERS,
        catalog.SCHEDULES,
        catalog.OPTIMIZERS,
        catalog.DESCENTS,
        catalog.MODELS,
    )
    for rows in kinds:
        assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("name", [*SUBPACKAGES, *flat_modules()])
def test_every_export_is_documented(name):
    for export, value in exports(importlib.import_module(f"jaxnn.{name}")).items():
        lines = (inspect.getdoc(value) or "").splitlines()
        assert "".join(lines[:1]), f"jaxnn.{name}.{export} has no docstring"
        assert not lines[0].startswith(f"{export}("), f"jaxnn.{name}.{export} has a docstring that nobody wrote"
