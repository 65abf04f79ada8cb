"""The benchmarks run, print tables of the right shape, and record them. No time is ever asserted."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxnn.layers import LOWERINGS
from jaxnn.models import MLP, LeNet5

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "experiments" / "benchmarks"


def load_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


measuring = load_file(BENCHMARKS / "measuring.py")


def smoke(benchmark):
    """The tables that `--smoke` prints, each a list of rows, the header first."""
    command = [sys.executable, str(BENCHMARKS / f"{benchmark}.py"), "--smoke"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    blocks = [block.strip().splitlines() for block in finished.stdout.split("\n\n")]
    tables = [[line.strip("| ").split(" | ") for line in block] for block in blocks if block[0].startswith("|")]
    for table in tables:
        assert table[1] == ["---"] * len(table[0])
        assert {len(row) for row in table} == {len(table[0])}
    return [[table[0], *table[2:]] for table in tables]


def check_targets(table, number):
    assert table[0] == ["target", "bound", "measured", "reached"]
    assert len(table) == 1 + number
    assert {row[3] for row in table[1:]} <= {"yes", "no", "not measured"}


@pytest.mark.soak
def test_import_time_measures_every_process():
    table, targets = smoke("import_time")
    assert len(table) == 1 + 5
    assert all(float(row[1]) > 0 for row in table[1:])
    check_targets(targets, 2)


@pytest.mark.soak
@pytest.mark.parametrize(("benchmark", "targets"), [("lenet_throughput", 3), ("mlp_throughput", 2)])
def test_throughput_has_a_row_for_every_program(benchmark, targets):
    table, target_table = smoke(benchmark)
    rows = {row[0]: row for row in table[1:]}
    assert list(rows) == ["jaxnn `fit`", "PyTorch eager", "Keras on JAX", "Flax + Optax, host loop"]
    assert float(rows["jaxnn `fit`"][1].replace(",", "")) > 0
    if importlib.util.find_spec("torch") is None:
        assert rows["PyTorch eager"][1] == "not installed: pip install jaxnn[peers]"
        assert target_table[1][3] == "not measured"
    check_targets(target_table, targets)


@pytest.mark.soak
def test_cold_start_reports_accuracy_time_and_memory():
    table, targets = smoke("cold_start")
    ours = dict(zip(table[0], table[1], strict=True))
    assert len(table) == 1 + 4
    assert 0 <= float(ours["accuracy, worst"].removesuffix("%")) <= 100
    assert float(ours["wall time, median"].removesuffix(" s")) > 0
    assert float(ours["peak memory"].removesuffix(" MiB").replace(",", "")) > 50
    check_targets(targets, 4)


@pytest.mark.soak
def test_convolution_lowerings_has_a_column_for_every_lowering():
    (table,) = smoke("convolution_lowerings")
    assert table[0] == ["convolution", "image", "kernel", *(f"{name}, ms" for name in LOWERINGS), "choice", "regret"]
    assert {row[-2] for row in table[1:]} <= set(LOWERINGS)
    assert all(float(cell) > 0 for row in table[1:] for cell in row[3 : 3 + len(LOWERINGS)])


@pytest.mark.soak
def test_engine_fusion_has_a_row_for_every_model():
    (table,) = smoke("engine_fusion")
    assert len(table) == 1 + 3
    assert all(row[4] in ("fused", "stepwise") and row[5] in ("yes", "no") for row in table[1:])


@pytest.mark.soak
def test_placement_overhead_has_a_row_for_every_placement():
    table, targets = smoke("placement_overhead")
    assert [row[1] for row in table[1:]] == 2 * ["single", "shard_map", "pmap", "automatic"]
    assert all(row[4:] == ["1.000", "1.000"] for row in table[1:] if row[1] == "single")
    assert all(float(row[5]) > 0 for row in table[1:])
    check_targets(targets, 2)


@pytest.mark.parametrize(("network", "ours"), [("lenet5", LeNet5()), ("mlp", MLP())])
def test_the_flax_peer_has_as_many_parameters_as_ours(network, ours):
    theirs = load_file(BENCHMARKS / "peers" / "flax_host_loop.py").NETWORKS[network]()
    x, key = jnp.zeros((1, 28, 28, 1)), jax.random.key(0)
    count = lambda model: sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(model.init, key, x)))
    assert count(theirs) == count(ours)


def test_contestants_take_turns():
    calls = []
    contestants = {name: (lambda i, name=name: calls.append((i, name)) or i) for name in "ab"}
    assert measuring.in_turn(contestants, rounds=2) == {"a": [0, 1], "b": [0, 1]}
    assert calls == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_ratio_is_the_median_of_the_rounds():
    measured = {"a": [1.0, 10.0, 6.0], "b": [1.0, 5.0, 2.0]}
    assert measuring.median_ratio(measured, "a", "b") == 2.0  # of 1, 2, 3; the ratio of the medians is 3
    assert measuring.median_ratio(measured, "a", "missing") is None


@pytest.mark.parametrize(
    ("measured", "at_least", "reached"),
    [(2.0, True, "yes"), (1.0, True, "no"), (2.0, False, "no"), (1.0, False, "yes"), (None, True, "not measured")],
)
def test_target_is_reached_on_its_side_of_the_bound(measured, at_least, reached):
    assert measuring.Target("claim", 1.5, measured, at_least).reached == reached


def test_process_reports_output_memory_and_no_compilation_cache(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/nowhere")
    script = "import os, jaxnn; print(os.environ.get('JAX_COMPILATION_CACHE_DIR'), jaxnn.__file__)"
    finished = measuring.spawn([sys.executable, "-c", script])
    assert finished.output.split() == ["None", str(ROOT / "jaxnn" / "__init__.py")]
    assert finished.peak_bytes > 2**22


def test_process_that_fails_raises_with_its_error():
    with pytest.raises(RuntimeError, match=r"exited with 1:\n(.|\n)*ZeroDivisionError"):
        measuring.spawn([sys.executable, "-c", "1 / 0"])


def test_peer_is_found_or_not():
    assert measuring.installed(measuring.Program("ours", "jaxnn_fit.py"), sys.executable)
    assert measuring.installed(measuring.Program("json", "x.py", requires="json"), sys.executable)
    assert not measuring.installed(measuring.Program("x", "x.py", requires="no_such_package"), sys.executable)


def test_record_replaces_its_own_section_only(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path / "RESULTS.md")
    for script, cell in (("a.py", "first"), ("b.py", "other"), ("a.py", "second")):
        report = measuring.Report(("column",), [(cell,)], [measuring.Target("claim", 1.0, 2.0)])
        measuring.publish(report, script=script, doc="What?\n\nMore.", record=True)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith(measuring.TITLE)
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## a", "## b"]
    assert "first" not in text
    assert text.index("second") < text.index("## b") < text.index("other")
    for fact in (
        "What?",
        "- command: `python experiments/benchmarks/a.py",
        "- date: 2",
        "cores",
        f"jax {jax.__version__}",
    ):
        assert fact in text
    assert "| claim | >= 1 | 2 | yes |" in text
    assert "first" in capsys.readouterr().out


def test_nothing_is_recorded_unasked(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path / "RESULTS.md")
    measuring.publish(measuring.Report(("column",), [("cell",)]), script="a.py", doc="What?", record=False)
    assert not (tmp_path / "RESULTS.md").exists()


def test_recorded_results_name_existing_benchmarks():
    recorded = BENCHMARKS / "RESULTS.md"
    if not recorded.exists():
        pytest.skip("nothing recorded yet")
    names = [line.removeprefix("## ") for line in recorded.read_text().splitlines() if line.startswith("## ")]
    assert all((BENCHMARKS / f"{name.partition(' on ')[0]}.py").exists() for name in names)  # ... on an accelerator


def test_workloads_survive_the_command_line(tmp_path):
    program = tmp_path / "echo.py"
    program.write_text("import json, sys; print('noise'); print(json.dumps(json.loads(sys.argv[1])))")
    workload = {"epochs": 1, "mean": 0.1307, "data": "a b.npz"}
    printed, _ = measuring.run_program(measuring.Program("echo", str(program)), workload, peers_python=sys.executable)
    assert printed == json.loads(json.dumps(workload))


@pytest.mark.soak
def test_population_throughput_measures_rates_and_times_of_every_program():
    table, targets = smoke("population_throughput")
    assert table[0] == ["what", "program", "median", "range over rounds"]
    assert {row[0] for row in table[1:]} == {"images/s", "seconds in all"}
    assert {"16 seeds", "64 settings", "one", "8 LeNet-5", "5 folds x 20 settings"} <= {row[1] for row in table[1:]}
    assert all(float(row[2].replace(",", "")) > 0 for row in table[1:])
    check_targets(targets, 5)


@pytest.mark.soak
def test_the_soak_of_starts_counts_what_it_did():
    table, targets = smoke("start_soak")
    assert sum(int(row[2]) for row in table[1:]) == 1 + 3  # a start, and three signals
    check_targets(targets, 2)
