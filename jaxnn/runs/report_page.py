"""`report.html`: a run on one page that opens in any browser, offline, on a telephone and in the dark.

The page needs nothing beside itself: pictures are data URIs, there is no script, and its own content security policy
forbids the browser to load anything. Whatever comes from outside is escaped.
"""

import base64
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from jaxnn.runs import atomic_files
from jaxnn.version import __version__

LAST_ROWS = 10  # of the history
LARGE = 640  # pixels in width: a picture that a telephone scrolls rather than shrinks
_DPI = 1.44  # of save_figure, against the 100 dots per inch at which a picture has its natural size


def write_report(
    folder: str | os.PathLike,
    *,
    title: str,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, float | None]],
    pictures: Mapping[str, str | os.PathLike],
    command: str = "",
    matrix=None,
    classes: Sequence[str] = (),
) -> Path:
    """Writes `report.html` into the run's folder, whole or not at all.

    Args:
      folder: the run's; exists.
      title: the heading.
      facts: name -> value, as they shall stand in the table: model, parameters, dataset, optimizer, versions, device.
      history: rows of `metrics.jsonl`, oldest first; the last one's "test/accuracy" is the headline.
      pictures: caption -> path of a PNG, in the order in which they shall stand.
      command: the line that makes this run again.
      matrix: (k, k) counts [true class, predicted class] of the test set, for the accuracy of each class.
      classes: its k names.

    Returns:
      The path of the page.

    Raises:
      FileNotFoundError: a picture is missing.
      ValueError: a picture is no PNG, or `matrix` has not a row for each class.
    """
    parts = [
        _header(title, history, command),
        _section("Facts", _facts_table(facts)),
        *(_picture(caption, Path(path)) for caption, path in pictures.items()),
    ]
    if matrix is not None:
        parts.append(_section("Accuracy of each class", _classes_table(np.asarray(matrix), classes)))
    if history:
        parts.append(_section(_history_title(history), _history_table(history)))
    page = _PAGE.substitute(title=escape(title), style=_STYLE, body="\n".join(parts), version=escape(__version__))
    path = Path(folder) / "report.html"
    atomic_files.write(path, page.encode(errors="replace"))
    return path


def _header(title, history, command) -> str:
    lines = [f"<h1>{escape(title)}</h1>", *_headline(history[-1] if history else {}, len(history))]
    if command:
        lines.append(f"<pre><code>{escape(command)}</code></pre>")
    return "<header>\n{}\n</header>".format("\n".join(lines))


def _headline(row, evaluations) -> Iterable[str]:
    """The result in large print, and in a sentence what it is."""
    for metric in ("test/accuracy", "test/loss", "train/accuracy", "train/loss"):
        if _is_number(row.get(metric)):
            epochs = row.get("epoch", evaluations)
            yield f'<p class="result">{_shown(metric, row[metric])}</p>'
            yield f"<p>{metric.replace('/', ' ')} after {epochs:g} epoch{'s' * (epochs != 1)}{_mistakes(row)}</p>"
            return


def _mistakes(row) -> str:
    accuracy, count = row.get("test/accuracy"), row.get("test/count")
    if not (_is_number(accuracy) and _is_number(count)):
        return ""
    return f": {_grouped(round((1 - accuracy) * count))} of {_grouped(int(count))} wrong"


def _facts_table(facts) -> str:
    rows = (f'<tr><th scope="row">{escape(str(k))}</th><td>{escape(str(v))}</td></tr>' for k, v in facts.items())
    return '<table class="facts">\n<tbody>\n{}\n</tbody>\n</table>'.format("\n".join(rows))


def _classes_table(matrix, classes) -> str:
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"`matrix` must have a row for each of {len(classes)} classes; received {matrix.shape}.")
    rows = []
    for i, name in enumerate(classes):
        count, correct = int(matrix[i].sum()), int(matrix[i, i])
        share = _shown("accuracy", correct / count) if count else "–"
        rows.append([name, _grouped(count), _grouped(correct), share, _confused_with(matrix[i], i, classes)])
    return _table(["class", "examples", "correct", "accuracy", "most often taken for"], rows)


def _confused_with(row, i, classes) -> str:
    others = np.where(np.arange(len(row)) == i, 0, row)
    return f"{classes[others.argmax()]} ({_grouped(int(others.max()))})" if others.max() else "–"


def _history_title(history) -> str:
    return "History" if len(history) <= LAST_ROWS else f"History: the last {LAST_ROWS} of {len(history)} evaluations"


def _history_table(history) -> str:
    names = dict.fromkeys(name for row in history for name in row if not name.endswith("/count"))
    columns = sorted(names, key=lambda name: {"step": 0, "epoch": 1}.get(name, 2))
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


def _section(title: str, content: str) -> str:
    label = escape(title)
    return (
        f'<section>\n<h2>{label}</h2>\n<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"{content}\n</div>\n</section>"
    )


def _picture(caption: str, path: Path) -> str:
    png, label = path.read_bytes(), escape(caption)
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path} must be a PNG; received a file that begins with {png[:8]!r}. Use `save_figure`.")
    width, height = (round(size / _DPI) for size in struct.unpack(">II", png[16:24]))
    kind = ' class="large"' if width > LARGE else ""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return (
        f'<figure>\n<figcaption>{label}</figcaption>\n<div class="card scroll" role="region" aria-label="{label}" '
        f'tabindex="0"><img{kind} src="{source}" alt="{label}" width="{width}" height="{height}"></div>\n</figure>'
    )


def _shown(name: str, value: float | None) -> str:
    """A metric for people.

    >>> _shown("test/accuracy", 0.98765), _shown("step", 46900), _shown("test/loss", 0.0123456), _shown("loss", None)
    ('98.77 %', '46 900', '0.01235', '–')
    """
    if not _is_number(value):
        return "–"
    if name.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    return _grouped(int(value)) if float(value).is_integer() else f"{value:.4g}"


def _is_number(value) -> bool:
    return value is not None and math.isfinite(value)


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
<footer>Written by jaxnn $version</footer>
</body>
</html>
""")

_STYLE = """\
:root { color-scheme: light dark; --text: #1c1c1c; --faint: #5a5a5a; --page: #fff; --line: #d8d8d8; --code: #f3f3f3;
  --result: #00568a; }
@media (prefers-color-scheme: dark) {
  :root { --text: #ececec; --faint: #b0b0b0; --page: #16181b; --line: #3a3d42; --code: #23262a; --result: #7cc4f0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem; max-width: 72rem; color: var(--text); background: var(--page);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2, figcaption { margin: 0 0 .75rem; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
header p { margin: 0 0 1rem; color: var(--faint); }
header p.result { margin: .75rem 0 0; font-size: 3.5rem; font-weight: 700; line-height: 1.1; color: var(--result); }
section, figure { margin: 2.5rem 0 0; }
pre { margin: 0; padding: .75rem 1rem; font-size: .9rem; background: var(--code); border-radius: .5rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { max-width: 100%; overflow-x: auto; }
.card { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
img { display: block; margin: 0 auto; max-width: 100%; height: auto; }
@media (max-width: 40rem) { img.large { max-width: min(40rem, 200vw); } }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.25rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; }
th:first-child { text-align: left; }
thead th { color: var(--faint); font-weight: 400; }
.facts th { color: var(--faint); font-weight: 400; vertical-align: top; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; color: var(--faint); font-size: .9rem; }
"""
