"""`report.html`: a run on one page that opens in any browser, offline, on a telephone, in the dark and on paper.

The page needs nothing beside itself: pictures are data URIs, and there is no script (`diagnostics.html_page`). Whatever
comes from outside is escaped.
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

LAST_ROWS = 10  # of the history
LARGE = 640  # pixels in width: a picture without a narrow form that a telephone scrolls rather than shrinks
_DPI = 1.44  # of `png_of`, against the 100 dots per inch at which a picture has its natural size


class Picture(NamedTuple):
    """A PNG as the page shows it.

    Attributes:
      caption: the heading above it.
      png: the file's bytes.
      narrow: those of another form of it, for a telephone.
      note: a sentence below it.
      is_half: whether it may stand beside another section.
      inverts: whether it is ink on white, which the dark turns into light on black; not so a colour photograph.
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
    """Writes `report.html` into the run's folder, whole or not at all.

    Args:
      folder: the run's; exists.
      title: the heading.
      kicker: the small line above it.
      numbers: name -> value, a few that stand in large print beside the result.
      history: rows of `metrics.jsonl`, oldest first.
      result: what was measured on the test data, once, at the end: the headline.
      interval: the 95 % confidence interval of that accuracy.
      command: the line that makes this run again.
      pictures: in the order in which they shall stand; the table of the classes follows the second.
      matrix: (k, k) counts [true class, predicted class] of the test set, for the accuracy of each class.
      classes: its k names.
      facts: name -> value, as they shall stand in the table of how it was trained.
      configuration: every value, for who unfolds it.

    Returns:
      The path of the page.

    Raises:
      ValueError: a picture is no PNG, or `matrix` has not a row for each class.
    """
    parts = [_picture(picture) for picture in pictures]
    if matrix is not None:
        parts.insert(2, _section("Accuracy of each class", _classes_table(np.asarray(matrix), classes)))
    told = []
    if history:  # wide, behind the curves that are drawn of it
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
    """The result in large print, and in a sentence what it is."""
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
    """A table of strings, not yet escaped; the first column names the row."""
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
    """Width and height in the pixels of the page."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"the picture {caption!r} must be a PNG; received {png[:8]!r} .... Use `png_of`.")
    width, height = struct.unpack(">II", png[16:24])
    return round(width / _DPI), round(height / _DPI)


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _shown(name: str, value: float | None) -> str:
    """A metric for people, with spaces at which no line breaks.

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
    """Thousands apart, by a space at which no line breaks."""
    return f"{number:,}".replace(",", "\u00a0")
