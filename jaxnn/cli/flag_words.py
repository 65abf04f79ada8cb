"""`check_words` checks the words of a command line before they are parsed. This module imports no jax.

The words are compared with the fields of a configuration. The error is one sentence with the flag, the values that it
takes, and the received words.
"""

import dataclasses
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import tyro

from jaxnn.cli.field_rules import fields_of, flag_of, is_marked, is_union, plain
from jaxnn.cli.flag_synonyms import meant_flag, remedy_of
from jaxnn.naming import shown, unknown

_TAKEN = {int: "an integer", float: "a number", str: "a word"}


def check_words(config_class: type, words: Sequence[str], *, command: str) -> None:
    """Raises ValueError for the first wrong word, such as an unknown flag, a repeated one or one without its value.

    Args:
      config_class: the class of the configuration of the command.
      words: the words after the command.
      command: the name of the command.
    """
    flags = dict(_flags(config_class))
    if {"-h", "--help"} & {*words}:
        return
    taken, places = [], []
    for flag, values in _groups(words):
        if flag is None:
            places += values
            continue
        name = _known(flag.partition("=")[0], flags, command)
        _check_once(name, taken)
        taken.append(name)
        places += _check_values(name, flags[name], [flag.partition("=")[2], *values] if "=" in flag else values, flag)
    _check_places(config_class, places, command)


def split_lists(config_class: type, words: Sequence[str]) -> list[str]:
    """Returns the words with each value of a list in a word of its own, however they were separated.

    `--hidden 128,64`, `--hidden 128x64` and `--hidden "128 64"` become `--hidden 128 64`. The values of `--over` hold
    commas themselves; there a word without a name belongs to the word before it.

    Args:
      config_class: the class of the configuration of the command.
      words: the words after the command.
    """
    flags, split = dict(_flags(config_class)), []
    for flag, values in _groups(words):
        name, equals, first = (flag or "").partition("=")
        hint = flags.get(name.replace("_", "-"))
        if hint is None or not _elements(hint):
            split += values if flag is None else [flag, *values]
        else:
            split += [name, *_separated([first, *values] if equals else values, _elements(hint)[0])]
    return split


def _separated(values, kind) -> list[str]:
    if not any("=" in value for value in values):
        return [part for value in values for part in re.split(r"[,\sx]+" if kind is int else r"[,\s]+", value) if part]
    joined = []
    for value in values:
        if "=" in value or not joined:
            joined.append(value)
        else:
            joined[-1] = f"{joined[-1].rstrip(',')},{value}"
    return joined


def _elements(hint) -> list:
    """Returns the type of the elements of a field that is a list, without its rules; [] for any other field."""
    return [plain(typing.get_args(kind)[0]) for kind in _kinds(hint) if typing.get_origin(kind) is tuple]


def _flags(config_class) -> Iterator[tuple[str, Any]]:
    """Yields flag -> annotation, also for a nested configuration, with the short form and, for a switch, --no-NAME."""
    for name, hint in fields_of(config_class).items():
        if dataclasses.is_dataclass(plain(hint)):
            yield from _flags(plain(hint))
        elif not (is_marked(hint, tyro.conf.Positional) or is_marked(hint, tyro.conf.Suppress)):
            yield f"--{name.replace('_', '-')}", hint
            yield flag_of(name, hint), hint
            if plain(hint) is bool:
                yield f"--no-{name.replace('_', '-')}", hint


def _groups(words) -> Iterator[tuple[str | None, list[str]]]:
    """Yields each flag with the words after it; the first item has the words before any flag."""
    flag, values = None, []
    for word in words:
        if re.match(r"--?(?!inf|nan)[a-z]", word, re.IGNORECASE):
            yield flag, values
            flag, values = word, []
        else:
            values.append(word)
    yield flag, values


def _known(flag, flags, command) -> str:
    name = flag.replace("_", "-")
    if name in flags:
        return name
    meant = meant_flag(name, flags)
    hint = f"; did you mean {meant!r}?" if meant else remedy_of(name, command)
    raise ValueError(f"unknown flag of `jaxnn {command}` {shown(flag)}{hint} `jaxnn {command} --help` lists them.")


def _check_once(name, taken) -> None:
    if name in taken:
        raise ValueError(f"{name} must stand once; received it twice. Leave one out.")
    other = f"--{name.removeprefix('--no-')}" if name.startswith("--no-") else f"--no-{name.removeprefix('--')}"
    if other in taken:
        raise ValueError(f"{name} must not stand beside {other}. Leave one out.")


def _check_values(flag, hint, values, written) -> Sequence[str]:
    """Checks the values of a flag, and returns the words after it that do not belong to it."""
    kinds = _kinds(hint)
    if kinds == [bool]:
        if "=" in written:
            raise ValueError(f"{flag} takes no value; received {shown(values[0])}. Say {flag}, or leave it out.")
        return values
    many = _elements(hint)
    if not values:
        raise ValueError(f"{flag} needs {_told(many or kinds)} behind it; received none.")
    for value in values if many else values[:1]:
        _check_value(flag, many or kinds, value)
    return () if many else values[1:]


def _check_value(flag, kinds, value) -> None:
    choices = [
        choice for kind in kinds if typing.get_origin(kind) is typing.Literal for choice in typing.get_args(kind)
    ]
    if choices and value not in choices:
        raise unknown(flag.removeprefix("--"), value, choices)
    if not choices and not any(_is_read(kind, value) for kind in kinds):
        raise ValueError(f"{flag} must be {_told(kinds)}; received {shown(value)}.")


def _is_read(kind, value) -> bool:
    if kind is type(None):
        return value == "None"
    try:
        plain(kind)(value)
    except ValueError:
        return False
    return True


def _check_places(config_class, places, command) -> None:
    """Raises ValueError unless the command takes as many positional words as there are."""
    hints = {name: hint for name, hint in _all_fields(config_class) if is_marked(hint, tyro.conf.Positional)}
    takes_many = any(typing.get_origin(plain(hint)) is tuple for hint in hints.values())
    most = len(places) if takes_many else len(hints)
    if len(places) > most:
        raise ValueError(f"`jaxnn {command}` takes no {shown(places[most])} there. `jaxnn {command} --help` explains.")
    needed = [name for name, hint in hints.items() if _is_needed(config_class, name)]
    if len(places) < len(needed):
        name = needed[len(places)].upper()
        raise ValueError(f"`jaxnn {command}` needs {name}; received none. `jaxnn {command} --help` explains.")


def _all_fields(config_class):
    for name, hint in fields_of(config_class).items():
        yield from _all_fields(plain(hint)) if dataclasses.is_dataclass(plain(hint)) else [(name, hint)]


def _is_needed(config_class, name) -> bool:
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    is_text = name in fields and typing.get_origin(plain(fields_of(config_class)[name])) is not tuple
    return is_text and fields[name].default is dataclasses.MISSING


def _kinds(hint) -> list:
    hint = plain(hint)
    return [plain(part) for part in typing.get_args(hint)] if is_union(hint) else [hint]


def _told(kinds) -> str:
    return " or ".join(_TAKEN.get(plain(kind), "a word") for kind in kinds if kind is not type(None))
