"""The house of DESIGN.md, read from the imports: four floors, no cycles, and what must never be imported where."""

import ast
import functools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import jaxnn

ROOT = Path(jaxnn.__file__).parent

UPPER = {"adapters", "asynchronous", "diagnostics", "models", "parallel", "parameter_server", "plots", "populations"}
UPPER |= {"runs"}
FLOORS = [  # a room may know those on its own floor, save for the upper rooms, and those below
    {"bounded_files", "data", "losses", "machine_memory", "metrics", "naming", "signatures", "version"},
    {"optimizers", "second_order", "layers", "training"},
    UPPER,
    {"cli", "recipes", "verification", "__main__", "__init__"},
]
ACQUAINTED = {  # the upper rooms that may know one another: the first the second
    ("runs", "plots"),
    ("plots", "diagnostics"),
    ("parameter_server", "asynchronous"),
}
NO_FILES = ("layers", "optimizers", "second_order", "training")  # rooms that know no dataset
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


@functools.cache
def trespass(here: str, there: str) -> str:
    """Why a module of the one room must not know one of the other; empty where it may."""
    if here == there or floor(here) == 3:
        return ""
    if there == "__init__":
        return "imports the package itself; name the module"
    if floor(there) > floor(here):
        return f"stands on floor {floor(here)}, what it knows on floor {floor(there)}"
    if here in UPPER and there in UPPER and (here, there) not in ACQUAINTED:
        return "rooms of one floor keep to themselves"
    if here in NO_FILES and there == "data":
        return "knows a dataset"
    return "data knows no other room" if here == "data" and there not in ("bounded_files", "naming", "version") else ""


def test_every_module_keeps_to_its_floor():
    edges = [(module, target) for module in sources() for target in own(imports(module))]
    found = [(*edge, trespass(*map(room, edge))) for edge in edges]
    assert [wrong for wrong in found if wrong[-1]] == []


def test_a_trespass_is_seen():
    assert trespass("losses", "layers").startswith("stands on floor 0")
    assert trespass("populations", "parallel") == "rooms of one floor keep to themselves"
    assert trespass("runs", "plots") == trespass("layers", "losses") == trespass("cli", "data") == ""
    assert trespass("layers", "data") == "knows a dataset"
    assert trespass("layers", "__init__") == "imports the package itself; name the module"
    assert trespass("data", "losses") == "data knows no other room"


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


def test_only_models_import_flax_and_nobody_optax():
    """Only `verification`, which holds us beside both, and the adapters are free to."""
    for module in sources():
        roots = {name.split(".")[0] for name in imports(module)}
        assert not roots & {"torch", "keras", "haiku"}, f"{module} imports {roots}"
        if room(module) != "verification":
            assert "flax" not in roots or room(module) in ("models", "adapters"), f"{module} imports flax"
            assert "optax" not in roots, f"{module} imports optax"


def test_only_adapters_import_equinox_and_nnx_and_nobody_imports_them():
    foreign = {"equinox": "jaxnn.adapters.equinox_modules", "flax.nnx": "jaxnn.adapters.nnx_modules"}
    for module in sources():
        for name, adapter in foreign.items():
            assert module == adapter or not any(f"{found}.".startswith(f"{name}.") for found in full_names(module))
        assert not own(imports(module)) & {*foreign.values()}, f"{module} imports an adapter"


def full_names(module: str) -> set[str]:
    """What a module imports, `from flax import nnx` as flax.nnx too."""
    tree = ast.parse(sources()[module].read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {*imports(module), *(f"{node.module}.{alias.name}" for node in nodes for alias in node.names)}


def test_training_imports_nothing_that_draws_or_saves():
    roots = {name.split(".")[0] for module in sources() if room(module) in NO_FILES for name in imports(module)}
    assert not roots & {"matplotlib", "tqdm", "pathlib", "os", "io", "json", "safetensors", "orbax", "ray"}, roots


def test_no_basename_stands_twice_and_none_is_a_drawer():
    names = Counter(path.stem for path in sources().values() if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []
    assert NOT_NAMES & {part for module in sources() for part in module.split(".")} == set()


def test_a_class_name_means_one_thing():
    """Private classes too: who searches for a name finds one class."""
    trees = {module: ast.parse(path.read_text()) for module, path in sources().items()}
    classes = [n.name.strip("_") for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    assert [name for name, count in Counter(classes).items() if count > 1] == []


def test_nothing_imports_a_sibling_through_its_own_package():
    """`from jaxnn.layers import pooling` inside of jaxnn.layers works only while nobody changes an order of imports."""
    for module in sources():
        package = module.rpartition(".")[0]
        tree = ast.parse(sources()[module].read_text())
        through = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == package != "jaxnn"]
        assert not through, f"{module} imports {package}; name the module"


def test_a_module_and_what_it_exports_never_share_a_name():
    """`jaxnn.training.fit` can be the function only if no module is called `fit`."""
    for package in [name for name, path in sources().items() if path.stem == "__init__"]:
        tree = ast.parse(sources()[package].read_text())
        exported = {
            alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not {name for name in exported if f"{package}.{name}" in sources()}, package


# ----------------------------------------------------------------------------------- what really is imported


SEEN = """
import json, sys
seen = {}
import jaxnn, jaxnn.data, jaxnn.cli.main
seen["help"] = sorted(sys.modules)
import jaxnn.training, jaxnn.layers, jaxnn.optimizers
seen["core"] = sorted(sys.modules)
import jaxnn.models, jaxnn.runs, jaxnn.diagnostics
seen["rooms"] = sorted(sys.modules)
from jax._src import xla_bridge
print(json.dumps(seen | {"backends": xla_bridge.backends_are_initialized()}))
"""


def test_what_is_really_imported():
    """One process, room after room: no JAX for data and the help, no Flax for the core, no backend and no extras."""
    command = [sys.executable, "-c", SEEN]
    seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent).stdout)
    assert {"jax", "flax", "optax", "matplotlib"} & {*seen["help"]} == set()
    assert {"flax", "optax"} & {*seen["core"]} == set()
    extras = {"equinox", "flax.nnx", "matplotlib.pyplot", "orbax", "ray", "torch", "tensorboardX"}
    assert extras & {*seen["rooms"]} == set()
    assert not seen["backends"], "a script must still be able to choose its devices after its imports"


def test_the_package_names_its_rooms():
    """Everything that `jaxnn.` offers can be had, and an unknown name says what there is."""
    for name in jaxnn._SUBMODULES:
        assert getattr(jaxnn, name).__name__ == f"jaxnn.{name}"
        assert name in dir(jaxnn)
    with pytest.raises(AttributeError, match="has no attribute 'optimisers'; it has activations, asynchronous"):
        _ = jaxnn.optimisers
