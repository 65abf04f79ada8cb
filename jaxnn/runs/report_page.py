"""`report.html` shows a run on one page, which opens in any browser without a network.

The page also has a layout for a narrow screen, a dark one and a printed one. It needs no other file: pictures are data
URIs, and there is no script (`plots.html_page`). All text that comes from outside is escaped.
"""

import base64
import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxnn.runs.atomic_files as atomic_files
from jaxnn.plots.html_page import render_page
from jaxnn.runs.report_style import STYLE
from jaxnn.version import __version__

LAST_ROWS = 10  # rows of the history that are shown
LARGE = 640  # pixels: a telephone scrolls a wider picture that has no narrow form, instead of shrinking it
_DPI = 1.44  # `png_of` draws 144 dots per inch; a picture has its natural size at 100 dots per inch


class Picture(NamedTuple):
    """Holds a PNG and how the page shows it.

    Attributes:
      caption: the heading above the picture.
      png: the bytes of the file.
      narrow: the bytes of a narrow form of the picture, for a telephone.
      note: a sentence below the picture.
      is_half: whether the picture may be beside another section.
      inverts: whether the picture is ink on white, which a dark page shows as light on black. A colour photograph is
        not inverted.
    """

    caption: str
    png: bytes
    narrow: bytes | None = None
    note: str = ""
    is_half: bool = False
    inverts: bool = True


def write_report(
    folder: str | os.PathLike,
    *,
    title: str,
    kicker: str = "",
    numbers: Mapping[str, Any] = {},
    history: Sequence[Mapping[str, float | None]] = (),
    result: Mapping[str, float | None] | None = None,
    interval: tuple[float, float] | None = None,
    command: str = "",
    pictures: Sequence[Picture] = (),
    matrix=None,
    classes: Sequence[str] = (),
    facts: Mapping[str, Any] = {},
    configuration: Mapping[str, Any] = {},
) -> Path:
    """Writes `report.html` into the folder of the run, completely or not at all.

    Args:
      folder: the folder of the run; it exists.
      title: the heading.
      kicker: the small line above the heading.
      numbers: name -> value, a few numbers in large print beside the result.
      history: rows of `metrics.jsonl`, oldest first.
      result: the metrics that were measured on the test data once at the end; they make the headline.
      interval: the 95 % confidence interval of the test accuracy.
      command: the command that repeats this run.
      pictures: the pictures in their order on the page. The table of the history follows the first picture, and the
        table of the classes follows the second.
      matrix: (k, k) counts [true class, predicted class] of the test set, for the accuracy of each class.
      classes: the names of the k classes.
      facts: name -> value, the rows of the table "How it was trained".
      configuration: every value of the configuration, in a part of the page that the reader can open.

    Returns:
      The path of the page.

    Raises:
      ValueError: a picture is not a PNG, or `matrix` is not (k, k) for the k classes.
    """
    parts = [_picture(picture) for picture in pictures]
    if matrix is not None:
        parts.insert(2, _section("Accuracy of each class", _classes_table(np.asarray(matrix), classes)))
    told = []
    if history:  # wide, after the curves that show it
        parts.insert(1, _section(_history_title(history), _history_table(history)))
    if facts:
        told.append(_section("How it was trained", _facts_table(facts), below=_configuration(configuration)))
    parts += ['<div class="stack">', *told, "</div>"] if pictures and pictures[-1].is_half else told
    header = _header(title, kicker, _headline(history, result, interval), numbers, command)
    footer = f"<footer>Written by jaxnn {escape(__version__)}</footer>"
    body = "\n".join([header, '<main class="sections">', *parts, "</main>", footer])
    path = Path(folder) / "report.html"
    atomic_files.write(path, render_page(title=title, style=STYLE, body=body))
    return path


def _header(title, kicker, headline, numbers, command) -> str:
    tiles = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in numbers.items())
    lines = [
        f'<p class="kicker">{escape(kicker)}</p>' if kicker else "",
        f"<h1>{escape(title)}</h1>",
        f'<div class="summary">\n<div>\n{headline}\n</div>' if headline else '<div class="summary">',
        f'<dl class="numbers">{tiles}</dl>' if tiles else "",
        "</div>",
        f"<pre><code>{escape(command)}</code></pre>" if command else "",
    ]
    return "<header>\n{}\n</header>".format("\n".join(filter(None, lines)))


def _headline(history, result, interval) -> str:
    """Returns the result in large print, and a sentence that names it."""
    if result:
        row, places = {f"test/{name}": value for name, value in result.items()}, ("test/accuracy", "test/loss")
    else:
        row = history[-1] if history else {}
        places = ("test/accuracy", "test/loss", "validation/accuracy", "validation/loss", "train/loss")
    for metric in places:
        if _is_number(row.get(metric)):
            epochs = (history[-1] if history else {}).get("epoch", len(history))
            told = f"{metric.replace('/', ' ')} after {epochs:g} epoch{'s' * (epochs != 1)}{_mistakes(row)}"
            sure = _sureness(interval) if metric == "test/accuracy" and interval else ""
            return f'<p class="result">{_shown(metric, row[metric])}</p>\n<p>{told}</p>{sure}'
    return ""


def _mistakes(row) -> str:
    accuracy, count = row.get("test/accuracy"), row.get("test/count")
    if not (_is_number(accuracy) and _is_number(count)):
        return ""
    return f": {grouped(round((1 - accuracy) * count))} of {grouped(int(count))} wrong"


def _sureness(interval) -> str:
    low, high = (_shown("accuracy", float(end)) for end in interval)
    return f"\n<p>95 % confidence interval: {low} to {high}</p>"


def _facts_table(facts) -> str:
    rows = (f'<tr><th scope="row">{escape(str(k))}</th><td>{escape(str(v))}</td></tr>' for k, v in facts.items())
    return '<table class="facts">\n<tbody>\n{}\n</tbody>\n</table>'.format("\n".join(rows))


def _configuration(configuration) -> str:
    if not configuration:
        return ""
    code = escape(json.dumps(configuration, indent=2, default=str))
    return f"\n<details><summary>The whole configuration</summary>\n<pre><code>{code}</code></pre></details>"


def _classes_table(matrix, classes) -> str:
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"`matrix` must have a row for each of {len(classes)} classes; received {matrix.shape}.")
    rows = []
    for i, name in enumerate(classes):
        count, correct = int(matrix[i].sum()), int(matrix[i, i])
        share = _shown("accuracy", correct / count) if count else "–"
        rows.append([name, grouped(count), grouped(count - correct), share, _confused_with(matrix[i], i, classes)])
    return _table(["class", "examples", "wrong", "accuracy", "most often taken for"], rows)


def _confused_with(row, i, classes) -> str:
    others = np.where(np.arange(len(row)) == i, 0, row)
    return f"{classes[others.argmax()]} ({grouped(int(others.max()))} ×)" if others.max() else "–"


def _history_title(history) -> str:
    return "History" if len(history) <= LAST_ROWS else f"History: the last {LAST_ROWS} of {len(history)} evaluations"


def _history_table(history) -> str:
    names = dict.fromkeys(name for row in history for name in row if not name.endswith("/count"))
    columns = sorted(names, key=lambda name: {"epoch": 0, "step": 1}.get(name, 2))
    rows = [[_shown(name, row.get(name)) for name in columns] for row in history[-LAST_ROWS:]]
    return _table([name.replace("/", " ") for name in columns], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of strings, which are escaped here; the first column names the row."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(map(_table_row, rows))
    return f"<table>\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _table_row(cells: Sequence[str]) -> str:
    name, *values = map(escape, cells)
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{value}</td>" for value in values)}</tr>'


def _section(title: str, content: str, below: str = "") -> str:
    label = escape(title)
    return (
        f'<section>\n<h2>{label}</h2>\n<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"{content}\n</div>{below}\n</section>"
    )


def _picture(picture: Picture) -> str:
    label, (width, height) = escape(picture.caption), _size(picture.caption, picture.png)
    sizes = f'width="{width}" height="{height}"'
    kinds = ["ink"] * picture.inverts + ["large"] * (width > LARGE and picture.narrow is None)
    image = f'<img class="{" ".join(kinds)}" src="{_data(picture.png)}" alt="{label}" {sizes}>'
    if picture.narrow is not None:
        _size(picture.caption, picture.narrow)
        source = f'<source media="(max-width: 40rem)" srcset="{_data(picture.narrow)}">'
        image = f"<picture>{source}{image}</picture>"
    note = f'\n<p class="note">{escape(picture.note)}</p>' if picture.note else ""
    place = "" if picture.is_half else ' class="wide"'
    return (
        f"<figure{place}>\n<figcaption>{label}</figcaption>\n"
        f'<div class="card scroll" role="region" aria-label="{label}" tabindex="0">{image}</div>{note}\n</figure>'
    )


def _size(caption: str, png: bytes) -> tuple[int, int]:
    """Returns the width and height of a PNG in pixels of the page."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"the picture {caption!r} must be a PNG; received {png[:8]!r} .... Use `png_of`.")
    width, height = struct.unpack(">II", png[16:24])
    return round(width / _DPI), round(height / _DPI)


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _shown(name: str, value: float | None) -> str:
    """Formats a metric for a reader, with spaces at which no line breaks.

    >>> [_shown("step", 46900), _shown("test/loss", 0.0123456), _shown("loss", None)]
    ['46\\xa0900', '0.01235', '–']
    >>> _shown("test/accuracy", 0.98765), _shown("seconds", 12.3456)
    ('98.77\\xa0%', '12.3')
    """
    if not _is_number(value):
        return "–"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f}\u00a0%"
    if name == "seconds":
        return f"{value:.1f}"
    return grouped(int(value)) if float(value).is_integer() else f"{value:.4g}"


def _is_number(value) -> bool:
    return value is not None and math.isfinite(value)


def grouped(number: int) -> str:
    """Formats an integer with a space between the thousands; no line breaks at this space."""
    return f"{number:,}".replace(",", "\u00a0")
