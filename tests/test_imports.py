"""The house of DESIGN.md, read from the imports: four floors, no cycles, and what must never be imported where."""

import ast
import functools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import jaxnn

ROOT = Path(jaxnn.__file__).parent

UPPER = {"models", "populations", "parallel", "diagnostics", "compression", "runs"}
FLOORS = [  # a room may know those on its own floor, save for the upper rooms, and those below
    {"bounded_files", "data", "losses", "metrics", "naming", "signatures", "version"},
    {"optimizers", "layers", "training"},
    UPPER,
    {"cli", "verification", "__main__", "__init__"},
]
ACQUAINTED = {("runs", "diagnostics")}  # the upper rooms that may know one another
NO_FILES = ("layers", "optimizers", "training")  # rooms that know no dataset
NOT_NAMES = {"utils", "util", "common", "base", "misc", "helpers", "helper"}


@functools.cache
def sources() -> dict[str, Path]:
    """Module name -> file; a package is named after its folder."""
    paths = {path: path.relative_to(ROOT.parent).with_suffix("").parts for path in sorted(ROOT.rglob("*.py"))}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in paths.items()}


@functools.cache
def imports(module: str, *, nested: bool = True) -> frozenset[str]:
    """What a module imports, as full names, of jaxnn down to the module; `nested`: inside functions too."""
    tree, found = ast.parse(sources()[module].read_text()), set()
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the full name"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in sources() else node.module for name in full}
    return frozenset(found)


def own(names):
    return {name for name in names if name.split(".")[0] == "jaxnn"}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def floor(name: str) -> int:
    """A flat module that is not named above is a concept: the ground floor."""
    named = [i for i, rooms in enumerate(FLOORS) if name in rooms]
    assert named or (ROOT / f"{name}.py").exists(), f"jaxnn/{name} stands on no floor: add it to FLOORS"
    return named[0] if named else 0


def reached(module: str, *, nested: bool = True) -> set[str]:
    """Everything that is imported when the module is, the packages that contain it included."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in sources():
            waiting += imports(name, nested=nested)
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return seen


@pytest.mark.parametrize("module", sources())
def test_every_module_keeps_to_its_floor(module):
    here = room(module)
    for target in own(imports(module)):
        there = room(target)
        if here == there or floor(here) == 3:
            continue
        assert there != "__init__", f"{module} imports the package itself; name the module"
        assert floor(there) <= floor(here), f"{module} (floor {floor(here)}) knows {target} (floor {floor(there)})"
        if here in UPPER and there in UPPER:
            assert (here, there) in ACQUAINTED, f"{module} knows {target}: rooms of one floor keep to themselves"
        if here in NO_FILES:
            assert there != "data", f"{module} knows a dataset: {target}"
        if here == "data":
            assert there in ("bounded_files", "naming", "version"), f"{module} knows {target}"


def test_no_cycles():
    state = {}

    def visit(module, path):
        if state.get(module) == "done":
            return
        assert state.get(module) != "open", f"a cycle: {' -> '.join([*path[path.index(module) :], module])}"
        state[module] = "open"
        for target in own(imports(module)) & set(sources()):
            visit(target, [*path, module])
        state[module] = "done"

    for module in sources():
        visit(module, [])


def test_data_and_the_help_text_never_import_jax():
    for module in [name for name in sources() if room(name) == "data"]:
        assert "jax" not in {name.split(".")[0] for name in reached(module)}, module
    assert "jax" not in {name.split(".")[0] for name in reached("jaxnn.cli.main", nested=False)}


@pytest.mark.parametrize("module", sources())
def test_only_models_import_flax_and_nobody_optax(module):
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & {"torch", "keras", "haiku", "equinox"}, f"{module} imports {roots}"
    if room(module) == "verification":
        return  # holds us beside both
    assert "flax" not in roots or room(module) == "models", f"{module} imports flax"
    assert not roots & {"optax", "torch", "keras", "haiku", "equinox"}, f"{module} imports {roots}"


def test_training_imports_nothing_that_draws_or_saves():
    roots = {name.split(".")[0] for module in sources() if room(module) in NO_FILES for name in imports(module)}
    assert not roots & {"matplotlib", "tqdm", "pathlib", "os", "io", "json", "safetensors", "orbax", "ray"}, roots


def test_no_basename_stands_twice_and_none_is_a_drawer():
    names = Counter(path.stem for path in sources().values() if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []
    assert NOT_NAMES & {part for module in sources() for part in module.split(".")} == set()


def test_a_module_and_what_it_exports_never_share_a_name():
    """`jaxnn.training.fit` can be the function only if no module is called `fit`."""
    for package in [name for name, path in sources().items() if path.stem == "__init__"]:
        tree = ast.parse(sources()[package].read_text())
        exported = {
            alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not {name for name in exported if f"{package}.{name}" in sources()}, package


# ----------------------------------------------------------------------------------- what really is imported


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout.strip()


@pytest.mark.parametrize("module", ["jaxnn", "jaxnn.data", "jaxnn.cli.main"])
def test_imports_without_jax(module):
    assert (
        run(f"import sys, {module}; print(*[m for m in ('jax', 'flax', 'optax', 'matplotlib') if m in sys.modules])")
        == ""
    )


def test_importing_the_core_initialises_no_backend_and_no_extras():
    """A script must still be able to choose its devices after `import jaxnn.training`."""
    code = """
        import sys
        import jaxnn.training, jaxnn.layers, jaxnn.optimizers, jaxnn.models, jaxnn.runs, jaxnn.diagnostics
        from jax._src import xla_bridge
        assert not xla_bridge.backends_are_initialized()
        extras = ("flax.nnx", "matplotlib.pyplot", "orbax", "ray", "torch", "tensorboardX")
        print(*[extra for extra in extras if extra in sys.modules])
    """
    assert run("\n".join(line.strip() for line in code.splitlines())) == ""


def test_the_core_needs_no_flax():
    code = "import sys, jaxnn.training, jaxnn.layers, jaxnn.optimizers; print({'flax', 'optax'} & {*sys.modules})"
    assert run(code) == "set()"


def test_the_package_names_its_rooms():
    """Everything that `jaxnn.` offers can be had, and an unknown name says what there is."""
    for name in jaxnn._SUBMODULES:
        assert getattr(jaxnn, name).__name__ == f"jaxnn.{name}"
        assert name in dir(jaxnn)
    with pytest.raises(AttributeError, match="has no attribute 'optimisers'; it has activations, basis_functions"):
        _ = jaxnn.optimisers
