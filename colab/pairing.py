"""The two forms of a notebook: NAME.py, which is edited and reviewed, and NAME.ipynb, for Colab.

    python colab/pairing.py

writes every NAME.ipynb from its NAME.py (Jupytext's percent format), without outputs, and the
address of the repository into badges and install cells. Markup of the texts, by tags of the cells:

    install     installs jaxnn where it is missing
    drawing     only draws; what it draws is shown, of its code the first line, "# @title ..."
    exercise    where the reader writes
    solution    hidden likewise: "# @title Solution to exercise 1"
    claims      the last cell: asserts what the story said
"""

import re
from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).resolve().parent
REPOSITORY = "jaxnn/jaxnn"  # on GitHub; the one place where it is written by hand
TITLE = re.compile(r"# @title Solution to exercise (\d+)\n")

_ADDRESS = re.compile(r"(?<=github\.com/)[\w.-]+/[\w.-]+|(?<=google\.com/github/)[\w.-]+/[\w.-]+")
_HIDDEN = {"cellView": "form", "jupyter": {"source_hidden": True}}  # in Colab, and in JupyterLab
_METADATA = {
    "colab": {"provenance": [], "toc_visible": True},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def texts() -> list[Path]:
    """Every NAME.py that is a notebook, in the order of their numbers."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def badge(name: str) -> str:
    """The Markdown of the button that opens `name` in Colab."""
    colab = "https://colab.research.google.com"
    opened = f"{colab}/github/{REPOSITORY}/blob/main/colab/{name}.ipynb"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({opened})"


def addressed(text: str) -> str:
    """The text with this repository's address for whatever address of GitHub stands there."""
    return _ADDRESS.sub(REPOSITORY, text)


def notebook(text: str) -> nbformat.NotebookNode:
    """The notebook of a text in the percent format, without outputs; the same for the same text."""
    cells = map(_stored, jupytext.reads(text, fmt="py:percent").cells)
    return nbformat.v4.new_notebook(cells=list(cells), metadata=_METADATA, nbformat_minor=4)


def _stored(cell) -> nbformat.NotebookNode:
    tags = cell.metadata.get("tags", [])
    metadata = {"tags": tags} if tags else {}
    metadata |= _HIDDEN if {"drawing", "solution"} & {*tags} else {}
    kept = {"cell_type": cell.cell_type, "metadata": metadata, "source": cell.source}
    no_outputs = {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
    return nbformat.from_dict(kept | no_outputs)


def written(text: str) -> str:
    """The contents of NAME.ipynb."""
    return nbformat.writes(notebook(text)) + "\n"


def main() -> None:
    for path in [FOLDER / "README.md", *texts()]:
        path.write_text(addressed(path.read_text()))
    for path in texts():
        path.with_suffix(".ipynb").write_text(written(path.read_text()))
        print(path.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
