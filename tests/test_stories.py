"""What experiments, benchmarks, notebooks and the guide name of jaxnn exists: they run in ring 3 only."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
STORIES = sorted([*ROOT.glob("colab/*.py"), *ROOT.glob("experiments/**/*.py"), *ROOT.glob("docs/*.md")])


def code_of(path: Path) -> str:
    """The text itself, or the doctests of a page."""
    text = path.read_text()
    return text if path.suffix == ".py" else "\n".join(re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE))


def unknown_names(tree: ast.AST) -> list[str]:
    """The names that are imported from jaxnn, or read from one of its modules, and that are not there."""
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("jaxnn")]
    values, unknown = {}, []
    for node in imported:
        module = importlib.import_module(node.module)
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            if not hasattr(module, alias.name) and importlib.util.find_spec(name) is None:
                unknown.append(name)
            else:
                values[alias.asname or alias.name] = getattr(module, alias.name, None) or importlib.import_module(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = values.get(node.value.id)
            if isinstance(module, ModuleType) and not hasattr(module, node.attr):
                unknown.append(f"{module.__name__}.{node.attr}")
    return unknown


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_every_name_of_jaxnn_exists(path):
    assert unknown_names(ast.parse(code_of(path))) == []


def test_a_name_that_is_gone_is_seen():
    gone = ast.parse(
        "from jaxnn import layers\nfrom jaxnn.optimizers import newton\nlayers.classification_head.forward"
    )
    assert unknown_names(gone) == ["jaxnn.optimizers.newton", "jaxnn.layers.classification_head"]
