"""What the tests of damaged files are made of: valid files, ways to damage them, and a parser."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from file_mutations import Special

Content = bytes | Special
Damage = Callable[[Random], dict[str, Content]]  # the files that it replaces, by their names in the folder


class Subject(NamedTuple):
    """Valid files by name, ways to damage them, and what reads them: it returns, or raises a documented error."""

    files: dict[str, bytes]
    damages: tuple[Damage, ...]
    parse: Callable[[], Any]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damages_of(name: str, content: bytes, *mutations: Callable[[Random, bytes], Content]) -> tuple[Damage, ...]:
    """Each mutation of one file."""
    return tuple(lambda rng, mutate=mutate: {name: mutate(rng, content)} for mutate in mutations)
