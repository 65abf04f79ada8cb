"""Recipes are found here by name: the package's, and users', whose code runs only if the command line names it."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from jaxnn.cli.training_flags import Training
from jaxnn.naming import unknown
from jaxnn.recipes.image_classifiers import RECIPES
from jaxnn.recipes.training_recipes import Recipe

AGAIN = "Code outside of jaxnn is run only if you name it: say --recipe {name}"
_NAMED: dict[str, Recipe] = {}  # what the user named on this command line


def recipe(name: str) -> Recipe:
    """Finds the recipe that a user named on the command line.

    Args:
      name: a name of the package, or FILE.py:NAME or package.module:NAME, whose code is then run.

    Raises:
      ValueError: an unknown name; code that cannot be run; or code that has no recipe or model of this name.
    """
    if ":" in name:
        _NAMED[name] = _of_user(name)
    return known_recipe(name)


def known_recipe(name: str) -> Recipe:
    """Finds a recipe of the package, or one that `recipe` has found before; runs no code.

    Raises:
      ValueError: an unknown name.
    """
    if name in _NAMED:
        return _NAMED[name]
    if ":" in name:
        raise ValueError(f"the run was trained by {name}. {AGAIN.format(name=name)}")
    if name not in RECIPES:
        raise unknown("model", name, RECIPES)
    return RECIPES[name]


def recorded_recipe(name: str, *, again: str | None = None) -> Recipe:
    """Finds the recipe that a run folder names; runs code outside of the package only if the user names it `again`.

    Raises:
      ValueError: as in `recipe`; or the user does not name the code again, or names another recipe than the folder.
    """
    if ":" not in name:
        if again is not None and again != name:
            raise ValueError(f"--recipe must be {name}, which the run was trained by; received {again}. Leave it out.")
        return known_recipe(name)
    if again is None:
        raise ValueError(f"the run was trained by {name}. {AGAIN.format(name=name)}")
    if again.rpartition(":")[2] != name.rpartition(":")[2]:
        raise ValueError(f"the run was trained by {name}; received --recipe {again}. {AGAIN.format(name=name)}")
    _NAMED[name] = recipe(again)
    return _NAMED[name]


def _of_user(name: str) -> Recipe:
    place, _, attribute = name.rpartition(":")
    found = getattr(_module(place, name), attribute, None)
    if isinstance(found, Recipe):
        return Recipe(**{**vars(found), "defaults": _named(found.defaults, name)})
    if found is None:
        raise ValueError(f"{place} must define {attribute}; received none of that name.")
    return _of_model(found, name)


def _module(place: str, name: str) -> Any:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not Path(place).is_file():
            raise ValueError(f"{place} must be a file; received {name}. Give FILE.py:NAME or package.module:NAME.")
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(Path(place).stem, module)  # dataclasses look their module up there
        spec.loader.exec_module(module)
        return module
    except ValueError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise ValueError(f"{place} cannot be run: {type(error).__name__}: {error}") from error


def _named(defaults: Training, name: str) -> Training:
    """Returns the defaults under the name that the user gave; they keep the recipe's own class."""
    return type(defaults)(**{**vars(defaults), "model": name})


def _of_model(model, name: str) -> Recipe:
    """Returns the recipe of a model without one: it is trained as a classifier, with the defaults of `mlp`."""
    from jaxnn.recipes.classifier_pieces import build_own

    like = RECIPES["mlp"]
    return Recipe(**{**vars(like), "defaults": _named(like.defaults, name), "build": build_own(model, name)})
