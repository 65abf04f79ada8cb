"""docs/coming_from.md names every piece of PyTorch, Keras and Optax, and only pieces of ours that exist."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import jaxnn

PAGE = (Path(__file__).parent.parent / "docs" / "coming_from.md").read_text()
ROOMS = "activations|layers|losses|metrics|optimizers|second_order|schedules|regularizers|preprocessing|training"


def section(title: str) -> str:
    """The page from a heading to the next of its rank or above."""
    level = title.split(" ")[0]
    begin = PAGE.index(f"\n{title}\n")
    end = re.search(rf"\n#{{1,{len(level)}}} ", PAGE[begin + len(title) :])
    return PAGE[begin : begin + len(title) + end.start()] if end else PAGE[begin:]


def theirs(title: str) -> set[str]:
    """The names in the left columns of a section's tables."""
    rows = re.findall(r"^\| (.*?) \| ", section(title), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def public(module: str, *, kind=callable) -> set[str]:
    names = vars(importlib.import_module(module)).items()
    return {name for name, value in names if not name.startswith("_") and kind(value)}


def test_every_name_of_ours_exists():
    named = re.findall(rf"(?<![\w.])({ROOMS})\.(\w+)", PAGE)
    assert len(named) > 150
    assert sorted({f"{room}.{name}" for room, name in named if not hasattr(getattr(jaxnn, room), name)}) == []


def test_every_recipe_names_what_exists():
    """Functions of JAX, Flax and Optax that stand in place of ours."""
    named = set(re.findall(r"(?<![\w.])((?:jax|jnp|optax|flax)(?:\.\w+)+)", PAGE))
    assert len(named) > 15
    assert [name for name in named if not exists(name.replace("jnp", "jax.numpy").split("."))] == []


def exists(path: list[str]) -> bool:
    """Of a module, or of what is in it."""
    try:
        importlib.import_module(".".join(path))
    except ModuleNotFoundError:
        return len(path) > 1 and exists(path[:-1]) and hasattr(importlib.import_module(".".join(path[:-1])), path[-1])
    return True


def test_the_same_names_are_the_same():
    """Rows that say so, instead of naming each."""
    rows = re.findall(r"^\| (.*?) \| the same names in `(\w+)`", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for row, room in rows:
        assert [name for name in re.findall(r"`(\w+)`", row) if not hasattr(getattr(jaxnn, room), name)] == []


def test_optax_is_covered():
    """Its types of states and arguments aside."""
    types = {name for name in public("optax", kind=inspect.isclass) if name.endswith(("State", "Params"))}
    types |= {"MaskOrFn", "MaskedNode", "OptState", "Params", "Updates", "ScalarOrSchedule", "ZoomLinesearchInfo"}
    names = public("optax") | public("optax.losses") | public("optax.schedules") | public("optax.contrib")
    names = {name for name in names if not name.endswith(("State", "DimensionNumbers"))}
    assert sorted(names - types - theirs("## Optax")) == []


@pytest.mark.parametrize(
    ("module", "base", "title"),
    [
        ("torch.nn", "Module", "## PyTorch"),
        ("torch.optim", "Optimizer", "### `torch.optim`"),
        ("torch.optim.lr_scheduler", "LRScheduler", "### `torch.optim.lr_scheduler`"),
    ],
)
def test_pytorch_is_covered(module, base, title):
    pytest.importorskip("torch")
    base = getattr(importlib.import_module(module), base)
    kind = lambda value: inspect.isclass(value) and issubclass(value, base)
    assert sorted(public(module, kind=kind) - theirs(title)) == []


@pytest.mark.parametrize("room", ["activations", "losses", "metrics", "layers", "optimizers", "optimizers.schedules"])
def test_keras_is_covered(room):
    pytest.importorskip("keras")
    title = "### `keras.optimizers` and their schedules" if room.startswith("opt") else f"### `keras.{room}`"
    title += " (and their functions)" if room == "losses" else ""
    assert sorted(public(f"keras.{room}") - theirs(title)) == []
