"""The notebooks hold to their frame, agree with their texts, and run from top to bottom in a fresh kernel."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pairing = _load(ROOT / "colab" / "pairing.py")
TEXTS = pairing.texts()
every_notebook = pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_every_notebook_has_a_text_and_stands_in_the_readme():
    names = [path.stem for path in TEXTS]
    assert sorted(path.stem for path in pairing.FOLDER.glob("*.ipynb")) == names
    readme = (pairing.FOLDER / "README.md").read_text()
    assert re.findall(r"colab/([\w.-]+)\.ipynb", readme) == names
    assert all(pairing.badge(name) in readme for name in names)


def test_one_constant_is_the_address_of_the_repository(monkeypatch):
    monkeypatch.setattr(pairing, "REPOSITORY", "somebody/a.fork")
    for text in (TEXTS[0].read_text(), (pairing.FOLDER / "README.md").read_text()):
        moved = pairing.addressed(text)
        assert pairing.badge(TEXTS[0].stem) in moved
        assert "jaxnn/jaxnn/blob" not in moved
        assert moved.count("somebody/a.fork") == text.count("jaxnn/jaxnn")


@every_notebook
def test_what_is_stored_is_what_the_text_says_without_outputs(path):
    stored = path.with_suffix(".ipynb").read_text()
    assert stored == pairing.written(path.read_text()), "run python colab/pairing.py"
    for cell in json.loads(stored)["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@every_notebook
def test_it_opens_installs_and_ends_as_every_notebook_does(path):
    text = path.read_text()
    notebook = pairing.notebook(text)
    title, *_, last = notebook.cells
    assert pairing.addressed(text) == text
    assert re.match(r"# \d\. .+\n", title.source), "the first line is the title"
    assert pairing.badge(path.stem) in title.source
    (install,) = tagged(notebook, "install")
    assert f"git+https://github.com/{pairing.REPOSITORY}" in install.source
    assert notebook.cells.index(install) == 1
    assert tagged(notebook, "claims") == [last]
    assert last.source.count("assert ") >= 3
    assert "inspect.getsource(" in text
    assert text.count("$$") >= 4, "the story is told with mathematics"


@every_notebook
def test_every_exercise_has_its_hidden_solution(path):
    notebook = pairing.notebook(path.read_text())
    solutions = tagged(notebook, "solution")
    asked = [int(i) for cell in notebook.cells for i in re.findall(r"^### Exercise (\d+)", cell.source, re.M)]
    solved = [int(pairing.TITLE.match(cell.source)[1]) for cell in solutions]
    assert 2 <= len(asked) <= 4
    assert asked == solved == list(range(1, len(asked) + 1))
    assert len(tagged(notebook, "exercise")) == len(asked)
    assert all(cell.metadata["cellView"] == "form" for cell in solutions)


@pytest.mark.soak
@every_notebook
def test_it_runs(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = pairing.notebook(path.read_text())
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "".join(output.text for output in outputs if output.get("name") == "stderr") == ""
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 3
    assert not [data for data in shown if "<Figure" in data["text/plain"] and "image/png" not in data]
