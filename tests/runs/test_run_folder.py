"""A run's folder: made once, never over anything, and read back with distrust."""

import json
import os
import subprocess
import sys

import jax
import pytest

import jaxnn
from jaxnn.runs import atomic_files
from jaxnn.runs.run_folder import create, default_path, read_config

CONFIG = {"model": "lenet5", "seed": 0, "layers": [300, 100], "rate": 0.5, "schedule": None, "augment": True}


def test_config_comes_back_with_its_surroundings(tmp_path):
    path = create(tmp_path / "deep" / "run", CONFIG)
    record = read_config(str(path))
    assert record["config"] == CONFIG
    assert record["jaxnn"] == jaxnn.__version__
    assert record["versions"]["jax"] == jax.__version__
    assert set(record["versions"]) == {"python", "jax", "jaxlib", "flax", "numpy"}
    assert record["platform"]["device_count"] == jax.device_count()
    assert record["platform"]["device_kind"] == jax.devices()[0].device_kind
    assert record["platform"]["cpu_count"] == os.cpu_count()
    assert record["command"] == sys.argv
    assert record["created"].endswith("+00:00")
    assert [entry.name for entry in path.iterdir()] == ["config.json"]


def test_an_empty_folder_and_one_of_a_killed_start_will_do(tmp_path):
    (tmp_path / "config.json.jaxnn-tmp").write_text("{")
    assert read_config(create(tmp_path, CONFIG))["config"] == CONFIG


def test_nothing_is_overwritten(tmp_path):
    run = create(tmp_path / "run", CONFIG)
    before = (run / "config.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"run is not empty.*another --out.*`jaxnn resume .*run`"):
        create(run, {})
    assert (run / "config.json").read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match=r"file is a file.*another --out"):
        create(tmp_path / "file", CONFIG)
    with pytest.raises(ValueError, match=r"cannot write a run to .*Not a directory.*another --out"):
        create(tmp_path / "file" / "run", CONFIG)
    assert (tmp_path / "file").read_text() == "mine"


def test_unwritable_folder(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic_files, "stage", refuse)  # root, who runs the tests in a container, may write anywhere
    with pytest.raises(ValueError, match=r"cannot write a run to .*: Permission denied\. Choose another --out"):
        create(tmp_path / "run", CONFIG)


@pytest.mark.parametrize("value", [float("nan"), object(), {1: 2}, (1, 2), b"x"])
def test_a_config_that_json_would_change_is_refused_before_anything_is_made(tmp_path, value):
    with pytest.raises(ValueError, match="`config` must"):
        create(tmp_path / "run", {"x": value})
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        read_config(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"is no run: it has no config\.json"):
        read_config(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"nul"])
def test_broken_json(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON .* Was the file edited\?"):
        read_config(tmp_path)


@pytest.mark.parametrize("field", ["jaxnn", "versions", "platform", "created", "command", "config"])
def test_wrong_types(tmp_path, field):
    file = create(tmp_path, CONFIG) / "config.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {field: 7}))
    with pytest.raises(ValueError, match=rf'expected "{field}" to be a \w+, received int\.'):
        read_config(tmp_path)
    del record[field]
    file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=rf'expected "{field}" to be a \w+, received nothing\.'):
        read_config(tmp_path)


def test_top_level_must_be_an_object(tmp_path):
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="expected a JSON object, received a list"):
        read_config(tmp_path)


def test_default_path_counts_up(tmp_path):
    root = tmp_path / "runs"
    assert default_path("lenet5", root) == root / "lenet5-001"
    for name in ["lenet5-001", "lenet5-007", "lenet5-1000x", "lenet5-x", "vgg16-030", "lenet5-12"]:
        (root / name).mkdir(parents=True)
    assert default_path("lenet5", root) == root / "lenet5-008"
    (root / "lenet5-999").write_text("a file takes the name, too")
    assert default_path("lenet5", root) == root / "lenet5-1000"
    assert str(default_path("mlp")) == os.path.join("runs", "mlp-001")


@pytest.mark.parametrize("model", ["", "..", "a/b", "../x", "a b", "-rf"])
def test_default_path_stays_in_its_root(model):
    with pytest.raises(ValueError, match="Give --out a path"):
        default_path(model)


def test_reading_a_config_does_not_need_jax(tmp_path):
    create(tmp_path, CONFIG)
    source = jaxnn.runs.run_folder.__file__
    child = (
        "import sys, importlib.util as u; sys.modules['jax'] = None\n"
        "import types, pathlib; runs = types.ModuleType('jaxnn.runs')\n"
        f"runs.__path__ = [str(pathlib.Path({source!r}).parent)]; sys.modules['jaxnn.runs'] = runs\n"
        f"from jaxnn.runs.run_folder import read_config; print(read_config({str(tmp_path)!r})['config']['model'])"
    )
    result = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=60)
    assert result.stdout == "lenet5\n", result.stderr
