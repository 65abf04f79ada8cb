"""The answers of `jaxnn predict`, for people, as JSON or as CSV; and what is to be said of the pictures, on stderr."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence

import numpy as np

Ranked = Sequence[Sequence[tuple[str, float]]]  # of each picture: its classes with their probabilities, the best first


class Hints:
    """Collects what is to be said of pictures, and says it once for all pictures that it is true of."""

    def __init__(self):
        self._sentences: list[str] = []
        self._pictures: dict[str, list[str]] = {}

    def add(self, sentence: str) -> None:
        self._sentences.append(sentence)

    def of(self, path: str, words: str) -> None:
        self._pictures.setdefault(words, []).append(path)

    def print(self) -> None:
        for words, paths in self._pictures.items():
            others = f" (and {len(paths) - 1} more pictures, each)" if len(paths) > 1 else ""
            self._sentences.append(f"{printable(paths[0])}{others} {words}")
        print(*self._sentences, sep="\n", end="\n" if self._sentences else "", file=sys.stderr, flush=True)


def rank(probabilities, classes: Sequence[str], top: int, *, run: str) -> Ranked:
    """Returns the `top` most probable classes of each row, rounded to six digits; of equal ones the first comes first.

    Args:
        probabilities: (examples, classes).
        classes: the names of the classes.
        top: how many classes to return.
        run: the name of the run, for the message.

    Raises:
        ValueError: a probability is not finite.

    >>> rank([[0.25, 0.5, 0.25]], "abc", 2, run="runs/1")
    [[('b', 0.5), ('a', 0.25)]]
    """
    probabilities = np.asarray(probabilities)
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{run} answers with probabilities that are not finite. Take an earlier checkpoint: --step.")
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        [(classes[k], round(float(row[k]), 6)) for k in order] for row, order in zip(probabilities, best, strict=True)
    ]


def print_json(paths: Iterable[str], ranked: Ranked) -> None:
    """Prints one object a line: {"image": path, "classes": {name: probability, ...}}."""
    for path, best in zip(paths, ranked, strict=True):
        print(json.dumps({"image": path, "classes": dict(best)}))


def print_csv(paths: Iterable[str], ranked: Ranked) -> None:
    """Prints a table with one row for each image and rank."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("image", "rank", "class", "probability"))
    for path, best in zip(paths, ranked, strict=True):
        table.writerows((printable(path), rank, name, f"{p:.6f}") for rank, (name, p) in enumerate(best, 1))


def print_text(paths: Sequence[str], ranked: Ranked) -> None:
    """Prints one line for each image, in columns."""
    names = [printable(path) for path in paths]
    width, name_width = max(map(len, names)), max(len(name) for best in ranked for name, _ in best)
    for path, best in zip(names, ranked, strict=True):
        print(f"{path:<{width}}", *(f"{name:>{name_width}} {100 * p:5.1f} %" for name, p in best), sep="   ")


def printable(path: str) -> str:
    """Returns a name that fits on one line of any terminal: as it is, or quoted if it has other characters in it.

    >>> printable("a.png"), printable("a\\nb.png")
    ('a.png', "'a\\\\nb.png'")
    """
    return path if path.isprintable() else ascii(path)


FORMS = {"text": print_text, "json": print_json, "csv": print_csv}
