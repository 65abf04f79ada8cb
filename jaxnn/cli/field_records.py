"""Functions that convert a configuration to JSON and back, with a check of every annotation. Imports no jax."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jaxnn.cli.field_rules import fields_of, is_union, plain, validate
from jaxnn.naming import shown

Config = TypeVar("Config")
EDITED = "Was the file edited? Restore it from a copy, or start a new run."
_WORDS = {int: "an integer", float: "a number with a decimal point", str: "text", bool: "true or false"}


def record_of(config) -> dict[str, Any]:
    """Returns the fields of a configuration as values that JSON can hold."""
    return {
        name: record_of(value) if dataclasses.is_dataclass(value) else list(value) if type(value) is tuple else value
        for name, value in vars(config).items()
    }


def read_record(kind: type[Config], record: Any, *, where: str, check: Callable[[Config], Any]) -> Config:
    """Returns the configuration of a record; it is the inverse of `record_of`.

    The record must have every field and no other, each of exactly its type and within its rules. Only the fields in
    `kind.ADDED_LATER` may be missing; they then have the values given there.

    Args:
      kind: the dataclass of the configuration.
      record: the value that was read from JSON.
      where: the name of the file, for the error.
      check: a function that raises ValueError for fields that do not fit together.

    Raises:
      ValueError: a field is wrong; the message is one sentence about the first such field.
    """
    try:
        config = validate(_read(kind, record))
        check(config)
        return config
    except ValueError as error:
        raise ValueError(f"{where}: {error} {EDITED}") from None


def _read(kind, record):
    if not isinstance(record, Mapping):
        raise ValueError(f"the configuration must be an object; received {shown(record)}.")
    record, hints = {**getattr(kind, "ADDED_LATER", {}), **record}, fields_of(kind)
    if missing := [name for name in hints if name not in record]:
        raise ValueError(f"the configuration lacks {', '.join(missing)}.")
    if foreign := sorted(record.keys() - hints.keys()):
        raise ValueError(f"the configuration has {shown(', '.join(foreign))}, which this version does not know.")
    return kind(**{name: _value(name, hint, record[name]) for name, hint in hints.items()})


def _value(name, hint, value):
    hint = plain(hint)
    kinds = [plain(part) for part in typing.get_args(hint)] if is_union(hint) else [hint]
    for kind in kinds:
        if dataclasses.is_dataclass(kind):
            return _read(kind, value)
        if typing.get_origin(kind) is tuple and type(value) is list:
            return tuple(_value(name, typing.get_args(kind)[0], element) for element in value)
        if type(value) is kind or (typing.get_origin(kind) is typing.Literal and value in typing.get_args(kind)):
            return value
    raise ValueError(f"{name} must be {' or '.join(map(_words, kinds))}; received {shown(value)}.")


def _words(kind) -> str:
    if typing.get_origin(kind) is tuple:
        return "a list, in brackets"
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    return "null" if kind is type(None) else _WORDS[kind]
