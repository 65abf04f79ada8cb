"""The catalog is complete: nothing is exported that has neither a row nor a reason."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import catalog
import pytest

import jaxnn

ROOT = Path(jaxnn.__file__).parent
SUBPACKAGES = tuple(name for name in ("layers", "losses", "metrics", "models", "optimizers") if (ROOT / name).is_dir())


def exports(module):
    """The public functions and classes that a subpackage re-exports or a flat module defines."""
    own = lambda value: getattr(value, "__module__", "").startswith(module.__name__)
    return {name: value for name, value in vars(module).items() if name[0] != "_" and callable(value) and own(value)}


def flat_modules():
    found = pkgutil.iter_modules(jaxnn.__path__)
    return [m.name for m in found if not m.ispkg and m.name not in catalog.NOT_CONCEPTS]


def catalogued():
    functions = [
        row.public
        for rows in (
            catalog.FUNCTIONS,
            catalog.INITIALIZERS,
            catalog.SCHEDULES,
            catalog.NETWORK_LAYERS,
            catalog.DESCENTS,
        )
        for row in rows
    ]
    return {*functions, *(row.factory for row in catalog.OPTIMIZERS), *(type(row.module) for row in catalog.MODELS)}


@pytest.mark.parametrize("name", [*SUBPACKAGES, *flat_modules()])
def test_every_export_has_a_row_or_a_reason(name):
    public = exports(importlib.import_module(f"jaxnn.{name}"))
    assert public, f"jaxnn.{name} exports nothing"
    missing = [
        f"jaxnn.{name}.{export}"
        for export, value in public.items()
        if value not in catalogued() and f"jaxnn.{name}.{export}" not in catalog.NOT_IN_THE_CATALOG
    ]
    assert not missing, f"add rows in jaxnn/verification (or a reason to NOT_IN_THE_CATALOG) for {missing}"


def test_every_reason_is_still_needed():
    for path in catalog.NOT_IN_THE_CATALOG:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name) not in catalogued(), f"{path} has a row by now"


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
