"""Files and bodies stay small, and nothing silences a type checker."""

import ast
import statistics
import tokenize
from functools import cache
from pathlib import Path

import jaxnn

FILES = sorted(Path(jaxnn.__file__).parent.rglob("*.py"))
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@cache
def code_lines(path: Path) -> frozenset[int]:
    """The numbers of the lines that hold code: no docstring, no comment, nothing empty."""
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in {*LAYOUT, tokenize.ENCODING}]
    code = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    texts = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr)]
    strings = [node for node in texts if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)]
    return frozenset(code - {line for node in strings for line in range(node.lineno, node.end_lineno + 1)})


def bodies() -> dict[str, int]:
    """Function -> lines of code in its body, those of the functions inside included."""
    found = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = code_lines(path) & set(range(node.body[0].lineno, node.end_lineno + 1))
                found[f"{path.stem}.{node.name}, line {node.lineno}"] = len(lines)
    return found


def test_no_file_is_two_concepts():
    assert {path.name: len(code_lines(path)) for path in FILES if len(code_lines(path)) > 263} == {}


def test_bodies_are_short():
    sizes = bodies()
    assert {name: size for name, size in sizes.items() if size > 40} == {}
    assert statistics.median(sizes.values()) <= 4


def test_no_type_checker_is_silenced():
    assert [path.name for path in FILES if "type: ignore" in path.read_text()] == []
