"""Rules in the annotations of the fields of a configuration bound their values. This module imports no jax.

    epochs: Annotated[int, Between(1, 10**6)] = 2
    hidden: Annotated[tuple[int, ...], Each(Between(1, 2**24), most=64)] = (128,)
    momentum: Annotated[float, Between(0, 1, "[)"), Needs("optimizer", ("sgd",))] | None = None

The error of a rule is one sentence with the flag, the expected value, the received value and a remedy.
"""

import dataclasses
import functools
import math
import re
import struct
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from jaxnn.naming import shown, unknown

LEAST_POSITIVE, MOST_POSITIVE = 1e-37, 1e30  # float32, the dtype of all computations, holds both and their neighbours
LEAVE_OUT = "Leave it out for its default."


@dataclass(frozen=True)
class Between:
    """Requires a number between two others, in float32 too, where 1e39 is infinite and 0.99999999 is 1.

    Args:
      low, high: the ends of the interval.
      ends: which ends belong to the interval, in the usual notation: "[]", "[)", "(]" or "()".
      words: the words for an allowed number, used in the message if the received number is not positive and finite.
    """

    low: float
    high: float
    ends: Literal["[]", "[)", "(]", "()"] = "[]"
    words: str | None = None

    def check(self, flag: str, value: float) -> None:
        """Raises ValueError for a number outside the interval."""
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
    """Requires that every element of a tuple keeps a rule, and that there are at most `most` elements."""

    rule: Any
    most: int

    def check(self, flag: str, values: Iterable) -> None:
        """Raises ValueError for too many elements, or for the first element that breaks the rule."""
        values = tuple(values)
        if len(values) > self.most:
            raise ValueError(f"{flag} must have at most {self.most} values; received {len(values)}. {LEAVE_OUT}")
        for value in values:
            self.rule.check(flag, value)


@dataclass(frozen=True, eq=False)
class OneOf:
    """Requires one of the known names; `kind` is the kind of thing that they name."""

    kind: str
    known: Iterable[str]

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError for an unknown name; the message suggests the nearest name."""
        if value not in self.known:
            raise unknown(self.kind, value, self.known)


@dataclass(frozen=True, eq=False)
class NameOrCode(OneOf):
    """Requires one of the known names, or FILE.py:NAME or package.module:NAME, which names code outside the package."""

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError for any other text; the message suggests the nearest name."""
        if not re.fullmatch(r"[^:\0]+:[A-Za-z_]\w*", value):
            super().check(flag, value)


@dataclass(frozen=True)
class Matching:
    """Requires text that matches a pattern; `words` describes such text in the message."""

    pattern: str
    words: str

    def check(self, flag: str, value: str) -> None:
        """Raises ValueError for text that does not match."""
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"{flag} must be {self.words}; received {shown(value)}. {LEAVE_OUT}")


@dataclass(frozen=True)
class Needs:
    """Marks a field that has no effect unless another field has one of these values; see `check_effects`."""

    field: str
    values: tuple


def validate(config):
    """Checks every field by its rules, also those of a nested configuration, and returns the configuration itself.

    Raises:
      ValueError: a field breaks a rule; the message is one sentence about the first such field.
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
    """Raises ValueError if the field of this name may not have the value."""
    hint = fields_of(config_class)[name]
    for rule in rules_of(hint, Between, Each, OneOf, Matching):
        rule.check(flag_of(name, hint), value)


def check_effects(config, default, *, over: Mapping[str, Any] | None = None) -> None:
    """Raises ValueError for a field that has no effect, if the user changed its default or varies it.

    Args:
      config: the configuration to check.
      default: a configuration with the default values.
      over: the values that a search tries: name -> values.
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
    """Lists the fields that have no effect with the values of the other fields; `over` is as for `check_effects`."""
    names = [name for name in fields_of(type(config)) if _needs(type(config), name)]
    return [name for name in names if not _is_met(config, _needs(type(config), name), over or {})]


@functools.cache
def fields_of(config_class: type) -> dict[str, Any]:
    """Returns name -> annotation of each field, with the rules in the annotation."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(config_class)}


def rules_of(hint, *kinds: type) -> list:
    """Returns the rules of these kinds in an annotation, also those in the parts of a union."""
    if typing.get_origin(hint) is typing.Annotated:
        inner, *marks = typing.get_args(hint)
        return [mark for mark in marks if isinstance(mark, kinds)] + rules_of(inner, *kinds)
    if is_union(hint):
        return [rule for part in typing.get_args(hint) for rule in rules_of(part, *kinds)]
    return []


def plain(hint):
    """Returns the type of an annotation without its rules."""
    return plain(typing.get_args(hint)[0]) if typing.get_origin(hint) is typing.Annotated else hint


def is_union(hint) -> bool:
    """Returns whether an annotation is a union, written as `A | B` or as `Union[A, B]`."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def flag_of(name: str, hint) -> str:
    """Returns the name of a field on the command line: --its-name, its short form, or NAME if it is positional."""
    if is_marked(hint, tyro.conf.Positional):
        return name.upper()
    aliases = [alias for mark in rules_of(hint, object) for alias in getattr(mark, "aliases", None) or ()]
    return aliases[0] if aliases else f"--{name.replace('_', '-')}"


def is_marked(hint, mark) -> bool:
    """Returns whether the annotation has this mark of tyro."""
    return any(found is mark for found in rules_of(hint, object))


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
    """Returns a field with some of its values, as they are written on the command line."""
    if plain(hint) is bool:
        return flag_of(name, hint) if values[0] else f"--no-{name}"
    *first, last = map(str, values)
    joined = f"{', '.join(first)} or {last}" if first else last
    return joined if is_marked(hint, tyro.conf.Positional) else f"{flag_of(name, hint)} {joined}"
