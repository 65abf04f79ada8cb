"""The rules that stand on a configuration's fields, in their annotations, and what reads them. Imports no jax.

    epochs: Annotated[int, Between(1, 10**6)] = 2
    hidden: Annotated[tuple[int, ...], Each(Between(1, 2**24), most=64)] = (128,)
    momentum: Annotated[float, Between(0, 1, "[)"), Needs("optimizer", ("sgd",))] | None = None

A rule says what is wrong in one sentence: the flag, what was expected, what was received, what to do.
"""

import dataclasses
import functools
import math
import re
import reprlib
import struct
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from jaxnn.naming import unknown

LEAST_POSITIVE, MOST_POSITIVE = 1e-37, 1e30  # float32, in which all is computed, holds both and their neighbours
LEAVE_OUT = "Leave it out for its default."


@dataclass(frozen=True)
class Between:
    """A number between two others, in float32 as well: 1e39 is infinite there, and 0.99999999 is 1.

    Args:
      low, high: the ends.
      ends: which of them belong to it, as an interval is written: "[]", "[)", "(]" or "()".
      words: what such a number is called where another is no positive, finite one.
    """

    low: float
    high: float
    ends: Literal["[]", "[)", "(]", "()"] = "[]"
    words: str | None = None

    def check(self, flag: str, value: float) -> None:
        """Raises ValueError for a number outside."""
        if not self._holds(value) or (type(value) is float and not self._in_float32()._holds(_as_float32(value))):
            raise ValueError(f"{flag} must be {self._expected(value)}; received {shown(value)}. {LEAVE_OUT}")

    def _in_float32(self) -> "Between":
        return dataclasses.replace(self, low=_as_float32(self.low), high=_as_float32(self.high))

    def _holds(self, value) -> bool:
        above = self.low < value if self.ends[0] == "(" else self.low <= value
        return above and (value < self.high if self.ends[1] == ")" else value <= self.high)

    def _expected(self, value) -> str:
        if self.words and not 0 < value < math.inf:
            return self.words
        if type(value) is int:
            return f"an integer of at {f'least {self.low}' if value < self.low else f'most {self.high}'}"
        low = f"{'more than' if self.ends[0] == '(' else 'at least'} {self.low:g}"
        return f"{low} and {'less than' if self.ends[1] == ')' else 'at most'} {self.high:g}"


POSITIVE = Between(LEAST_POSITIVE, MOST_POSITIVE, words="a positive, finite number")


@dataclass(frozen=True)
class Each:
    """The rule of every element of a tuple, and how many there may be."""

    rule: Any
    most: int

    def check(self, flag: str, values: Iterable) -> None:
        """Raises ValueError for the first element that is wrong."""
        values = tuple(values)
        if len(values) > self.most:
            raise ValueError(f"{flag} must have at most {self.most} values; received {len(values)}. {LEAVE_OUT}")
        for value in values:
            self.rule.check(flag, value)


@dataclass(frozen=True, eq=False)
class OneOf:
    """One of some names; `kind` is what they name."""

    kind: str
    known: Iterable[str]

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError with the nearest names."""
        if value not in self.known:
            raise unknown(self.kind, value, self.known)


@dataclass(frozen=True, eq=False)
class NameOrCode(OneOf):
    """One of some names, or FILE.py:NAME or package.module:NAME, which names code outside of the package."""

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError with the nearest names."""
        if not re.fullmatch(r"[^:\0]+:[A-Za-z_]\w*", value):
            super().check(flag, value)


@dataclass(frozen=True)
class Matching:
    """Text that a pattern matches; `words` say which."""

    pattern: str
    words: str

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError for other text."""
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"{flag} must be {self.words}; received {shown(value)}. {LEAVE_OUT}")


@dataclass(frozen=True)
class Needs:
    """The field changes nothing unless another has one of these values; see `check_effects`."""

    field: str
    values: tuple


def validate(config):
    """The configuration itself, if each of its fields, those of a configuration inside it too, keeps its rules.

    Raises:
      ValueError: the first that does not, in a sentence.
    """
    for name, hint in fields_of(type(config)).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            validate(value)
        elif value is not None:
            _check_text(flag_of(name, hint), value)
            for rule in rules_of(hint, Between, Each, OneOf, Matching):
                rule.check(flag_of(name, hint), value)
    return config


def check_field(config_class: type, name: str, value) -> None:
    """Raises ValueError if the value is none that the field of this name may have."""
    hint = fields_of(config_class)[name]
    for rule in rules_of(hint, Between, Each, OneOf, Matching):
        rule.check(flag_of(name, hint), value)


def check_effects(config, default, *, over: Mapping[str, Any] | None = None) -> None:
    """Raises ValueError for a field that changes nothing, though it differs from the default's or is varied.

    Args:
      config: whose fields are looked at.
      default: what they are if nobody gives them.
      over: of a search: name -> the values that are tried.
    """
    over, hints = over or {}, fields_of(type(config))
    for name in without_effect(config, over=over):
        value, rule = getattr(config, name), _needs(type(config), name)
        if name not in over and value == getattr(default, name):
            continue
        flag = f"--over {name}" if name in over else flag_of(name, hints[name])
        received = "it" if name in over else shown(value)
        has = over.get(rule.field, (getattr(config, rule.field),))
        had, wanted = (_setting(rule.field, hints[rule.field], values) for values in (has, rule.values))
        raise ValueError(f"{flag} changes nothing with {had}; received {received}. Leave it out, or take {wanted}.")


def without_effect(config, *, over: Mapping[str, Any] | None = None) -> list[str]:
    """The names of the fields that change nothing, as the others are; `over`: as for `check_effects`."""
    names = [name for name in fields_of(type(config)) if _needs(type(config), name)]
    return [name for name in names if not _is_met(config, _needs(type(config), name), over or {})]


@functools.cache
def fields_of(config_class: type) -> dict[str, Any]:
    """Name -> annotation of each field, with what stands beside its type."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_class)}


def rules_of(hint, *kinds: type) -> list:
    """What of these kinds stands in an annotation, in a union's parts too."""
    if typing.get_origin(hint) is typing.Annotated:
        inner, *marks = typing.get_args(hint)
        return [mark for mark in marks if isinstance(mark, kinds)] + rules_of(inner, *kinds)
    if is_union(hint):
        return [rule for part in typing.get_args(hint) for rule in rules_of(part, *kinds)]
    return []


def plain(hint):
    """An annotation without what stands beside its type."""
    return plain(typing.get_args(hint)[0]) if typing.get_origin(hint) is typing.Annotated else hint


def is_union(hint) -> bool:
    """Says so of `A | B`, however it is written."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def flag_of(name: str, hint) -> str:
    """How the field is called on the command line: --its-name, its short form, or NAME if it is told by its place."""
    if is_marked(hint, tyro.conf.Positional):
        return name.upper()
    aliases = [alias for mark in rules_of(hint, object) for alias in getattr(mark, "aliases", None) or ()]
    return aliases[0] if aliases else f"--{name.replace('_', '-')}"


def is_marked(hint, mark) -> bool:
    """Whether the annotation bears one of tyro's marks."""
    return any(found is mark for found in rules_of(hint, object))


def shown(value) -> str:
    """A value as it was received, shortened if it is long or deep."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)


def _check_text(flag, value) -> None:
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and (not text or "\0" in text):
            raise ValueError(f"{flag} must not be empty or hold a zero byte; received {shown(text)}. {LEAVE_OUT}")


def _as_float32(value: float) -> float:
    if not math.isfinite(value):
        return value
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _needs(config_class, name) -> Needs | None:
    return next(iter(rules_of(fields_of(config_class)[name], Needs)), None)


def _is_met(config, rule: Needs, over) -> bool:
    return any(value in rule.values for value in over.get(rule.field, (getattr(config, rule.field),)))


def _setting(name, hint, values) -> str:
    """A field with some of its values, as they are written on the command line."""
    if plain(hint) is bool:
        return flag_of(name, hint) if values[0] else f"--no-{name}"
    *first, last = map(str, values)
    joined = f"{', '.join(first)} or {last}" if first else last
    return joined if is_marked(hint, tyro.conf.Positional) else f"{flag_of(name, hint)} {joined}"
