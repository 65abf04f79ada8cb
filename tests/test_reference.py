"""The API reference is built from the docstrings: every offered package has a page, equations are in print."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import jaxnn

BUILD = Path(__file__).parent.parent / "docs/build_reference.py"


@pytest.mark.full
def test_every_package_has_its_page(tmp_path):
    pytest.importorskip("pdoc")
    environment = {"PYTHONPATH": str(BUILD.parent.parent)}
    subprocess.run([sys.executable, BUILD, tmp_path], check=True, env=environment)
    pages = {path.stem for path in (tmp_path / "jaxnn").glob("*.html")}
    assert pages == {*jaxnn._SUBMODULES}
    optimizers = (tmp_path / "jaxnn/optimizers.html").read_text()
    assert 'id="adam"' in optimizers
    assert "m ← b1 m" in optimizers
    assert "m &lt;- b1 m" not in optimizers


def test_only_equations_are_put_in_print():
    pytest.importorskip("pdoc")
    spec = importlib.util.spec_from_file_location("build_reference", BUILD)
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)

    def f():
        """Computes `w <- w`.

        w <- sqrt(w^2)
        >>> a <- b
        """

    build.in_print(f)
    assert [line.strip() for line in f.__doc__.splitlines()[1:4]] == ["", "w ← √(w²)", ">>> a <- b"]
    assert f.__doc__.startswith("Computes `w <- w`.")
