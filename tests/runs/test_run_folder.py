"""A run's folder: made once, never over anything, and read back with distrust."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxnn
from jaxnn.runs import atomic_files, run_folder
from jaxnn.runs.run_folder import check_new, create, default_path, read_config

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
    assert {entry.name for entry in path.iterdir()} == {"config.json", ".lock"}


def test_an_empty_folder_and_one_of_a_killed_start_will_do(tmp_path):
    (tmp_path / "config.json.jaxnn-tmp").write_text("{")
    (tmp_path / ".lock").write_text("process 3 on another")
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
    with pytest.raises(
        ValueError, match=r"config\.json is damaged: expected a JSON object, received .* Was the file edited\?"
    ):
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


def test_what_stands_in_the_place_of_config_json_is_told(tmp_path):
    file = tmp_path / "config.json"
    file.write_bytes(b"{}")
    os.truncate(file, 30 * 2**30)
    with pytest.raises(ValueError, match="at most 1048576 bytes; it has 32212254720"):
        read_config(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="must be a regular file; found a pipe"):
        read_config(tmp_path)
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(OSError, match=r"^cannot read .*config\.json: Too many levels of symbolic links"):
        read_config(tmp_path)


def test_of_two_who_make_a_folder_one_does(tmp_path, monkeypatch):
    real, second = atomic_files.write, []

    def write(path, data):
        with pytest.raises(BlockingIOError, match=rf"run is being written to by process {os.getpid()} on .*one writer"):
            create(tmp_path / "run", {"second": True})
        second.append("refused")
        real(path, data)

    monkeypatch.setattr(atomic_files, "write", write)
    assert read_config(create(tmp_path / "run", CONFIG))["config"] == CONFIG
    assert second == ["refused"]


def test_who_looked_before_the_other_had_made_it_is_refused_too(tmp_path, monkeypatch):
    looks = iter([lambda path: create(path, CONFIG), check_new])

    def look(path):
        monkeypatch.setattr(run_folder, "check_new", check_new)
        next(looks)(path)

    monkeypatch.setattr(run_folder, "check_new", look)
    with pytest.raises(FileExistsError, match="run is not empty"):
        create(tmp_path / "run", {"second": True})
    assert read_config(tmp_path / "run")["config"] == CONFIG


def test_without_a_path_the_next_free_name_is_taken_whoever_is_faster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert create(None, CONFIG, name="mlp") == Path("runs/mlp-001")
    stale = iter([Path("runs/mlp-001"), Path("runs/mlp-002")])  # as it was before another process made 001
    monkeypatch.setattr(run_folder, "default_path", lambda name: next(stale))
    assert create(None, {"second": True}, name="mlp") == Path("runs/mlp-002")
    assert read_config("runs/mlp-001")["config"] == CONFIG
    (tmp_path / "other").mkdir()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "other/runs").write_text("a file")
    with pytest.raises(ValueError, match=r"cannot write a run to runs/mlp-001: File exists\. Choose another --out"):
        create(None, CONFIG, name="mlp")


def test_a_folder_with_something_else_in_it_gets_no_lock(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        create(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(("text", "received"), [("[]", "a list"), ("null", "null"), ("3", "a int")])
def test_top_level_must_be_an_object(text, received, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=rf"expected a JSON object, received {received}\."):
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
