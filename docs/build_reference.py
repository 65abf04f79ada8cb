"""Builds the API reference: a page for each package, from the docstrings, as HTML that opens offline.

    python docs/build_reference.py [FOLDER]             # pip install "jaxnn[docs]"; FOLDER is `site` by default

Every package shows what its face exports. Equations are indented blocks in the docstrings; here their signs become
those of print: `<-` an arrow, `sqrt` a root. A warning ends the build.
"""

import importlib
import re
import sys
import warnings
from pathlib import Path
from types import FunctionType, ModuleType

import pdoc

import jaxnn

SIGNS = {
    "<-": "←", ">=": "≥", "<=": "≤", "!=": "≠", "sqrt": "√", "sum_": "Σ_", "prod_": "Π_", "^T": "ᵀ", "^2": "²",
    "^3": "³", "^-1": "⁻¹", "infinity": "∞",
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, SIGNS)))


def main(folder: Path) -> None:
    """Writes the pages of all packages and flat modules into the folder."""
    for name in jaxnn._SUBMODULES:
        module = importlib.import_module(f"jaxnn.{name}")
        module.__all__ = exports(module)
        for exported in module.__all__:
            in_print(getattr(module, exported))
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"jaxnn {jaxnn.__version__}")
    pdoc.pdoc(
        Path(jaxnn.__file__).parent, r"!jaxnn\.\w+\.", *(f"!jaxnn.{name}" for name in hidden()), output_directory=folder
    )


def exports(module) -> list[str]:
    """The public names of a module: those that it defines, or that its package exports."""
    own = lambda value: getattr(value, "__module__", module.__name__).startswith(module.__name__)
    return [n for n, value in vars(module).items() if n[0] != "_" and own(value) and not isinstance(value, ModuleType)]


def hidden() -> set[str]:
    """What lies in the package and is not offered by it: the command line, and what only other modules need."""
    found = {path.stem for path in Path(jaxnn.__file__).parent.iterdir() if path.suffix == ".py" or path.is_dir()}
    return found - {*jaxnn._SUBMODULES, "__init__", "__pycache__"}


def in_print(value) -> None:
    """Replaces the signs in the equations of a docstring: its indented blocks, except doctests."""
    if not isinstance(value, type | FunctionType) or not value.__doc__:
        return
    lines = value.__doc__.split("\n")
    is_equation = lambda line: line.startswith(" " * 8) and not line.lstrip().startswith((">>>", "...", "-"))
    shown = [_SIGN.sub(lambda m: SIGNS[m[0]], line) if is_equation(line) else line for line in lines]
    value.__doc__ = "\n".join(shown)


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
