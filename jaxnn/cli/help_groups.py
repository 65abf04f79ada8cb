"""`show_help` prints the help of a command in groups, without flags that have no effect. Imports no jax."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from jaxnn.cli.field_rules import Needs, fields_of, is_marked, rules_of

_ORDER = ("optimizer", "schedule", "data", "devices", "downpour", "run folder")


@dataclass(frozen=True)
class InGroup:
    """Marks a field with the heading of its flag in the help."""

    name: str


def show_help(config_class: type, default: Any, *, command: str) -> None:
    """Prints the help of the command and exits, as the parser does."""
    shown, values = _grouped(config_class, default)
    tyro.cli(shown, prog=f"jaxnn {command}", args=["--help"], default=values, description=inspect.getdoc(config_class))


def has_groups(config_class: type) -> bool:
    """Returns whether a field of the configuration has a heading."""
    return any(rules_of(hint, InGroup) for hint in fields_of(config_class).values())


def _grouped(config_class, default):
    """Returns a class for the parser in which each group of fields is a nested class, and an instance of it."""
    texts, groups = _field_texts(config_class), {}
    for name, hint in fields_of(config_class).items():
        if not _changes_nothing(hint, default):
            group = next((mark.name for mark in rules_of(hint, InGroup)), None)
            groups.setdefault(group, []).append((name, _told(hint, texts.get(name)), getattr(default, name)))
    own = groups.pop(None, [])
    for group in sorted(groups, key=_ORDER.index):
        inner = _class(group.capitalize(), groups[group])
        hint = tyro.conf.OmitArgPrefixes[Annotated[inner, tyro.conf.arg(help="")]]
        own.append((group.replace(" ", "_"), hint, inner()))
    shown = _class(config_class.__name__, own)
    return shown, shown()


def _class(name, fields):
    made = [
        (field, hint, dataclasses.field(default_factory=lambda value=value: value)) for field, hint, value in fields
    ]
    return dataclasses.make_dataclass(name, made, frozen=True)


def _told(hint, text):
    return Annotated[hint, tyro.conf.arg(help=text)] if text and not is_marked(hint, tyro.conf.Suppress) else hint


def _changes_nothing(hint, default) -> bool:
    """Returns whether a flag needs another model than the one whose help is shown."""
    return any(rule.field == "model" and default.model not in rule.values for rule in rules_of(hint, Needs))


def _field_texts(config_class) -> dict[str, str]:
    """Returns the docstrings below the fields of a class and of its base classes."""
    texts = {}
    for one in reversed(config_class.__mro__):
        if dataclasses.is_dataclass(one) and "__annotations__" in vars(one):
            body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body
            for field, below in itertools.pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    texts[field.target.id] = " ".join(below.value.value.split())
    return texts
