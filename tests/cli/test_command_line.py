"""The command line as a newcomer meets it, and as bad input meets it: one sentence, exit status 2, nothing lost."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rings import first_of

from jaxnn import data
from jaxnn.cli import training_flags
from jaxnn.cli.main import COMMANDS, main
from jaxnn.cli.training_flags import RECIPES, Training, check, from_record, to_record
from jaxnn.models import MODELS
from jaxnn.recipes.optimizer_choice import build_optimizer, build_schedule
from jaxnn.verification import activation_references
from jaxnn.verification.table import TABLE

SMALL = [
    "--batch-size",
    "128",
    "--train-examples",
    "640",
    "--test-examples",
    "200",
    "--epochs",
    "2",
    "--no-tensorboard",
    "--no-pictures",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run that the tests only read."""
    folder = tmp_path_factory.mktemp("runs") / "lenet"
    assert main(["train", "lenet5", *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run that a test may damage."""
    subprocess.run(["cp", "-r", run, tmp_path / "run"], check=True)
    return tmp_path / "run"


def complaint(capsys, *args, status=2) -> str:
    """What the command says on stderr when it refuses: one line, no traceback."""
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxnn: ")
    assert captured.err.count("jaxnn: ") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_every_model_has_a_recipe():
    assert RECIPES.keys() == MODELS.keys()
    for name, recipe in RECIPES.items():
        assert check(recipe).model == name


def test_a_run_holds_what_the_readme_says(run):
    config = json.loads((run / "config.json").read_text())
    assert config["config"]["model"] == "lenet5"
    assert config["versions"].keys() >= {"jax", "flax", "numpy", "python"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
    assert lines[-1]["validation/count"] == 32  # of 640, in the proportions of the classes
    assert json.loads((run / "result.json").read_text())["last"]["count"] == 200
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"00000010.json", "00000010.safetensors"}


def test_evaluate_counts_every_image(run, capsys):
    assert main(["evaluate", str(run), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    recorded = json.loads((run / "result.json").read_text())["best"]
    assert measured["count"] == 200
    assert measured["accuracy"] == pytest.approx(recorded["accuracy"])


def test_predict_agrees_with_the_model_on_a_real_image(run, tmp_path, capsys):
    image = data.load("mnist").test["image"][0, :, :, 0]
    for name, pixels in (("plain.png", image), ("inverted.png", 255 - image)):
        Image.fromarray(pixels).save(tmp_path / name)
    Image.fromarray(image).convert("RGB").resize((56, 56)).save(tmp_path / "large.png")
    assert main(["predict", str(run), str(tmp_path / "plain.png"), "--json", "--top", "10"]) == 0
    plain = json.loads(capsys.readouterr().out)["classes"]
    assert sum(plain.values()) == pytest.approx(1, abs=1e-4)
    assert main(["predict", str(run), str(tmp_path / "inverted.png"), "--invert", "--json", "--top", "10"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == plain
    assert main(["predict", str(run), str(tmp_path / "inverted.png"), "--json", "--top", "10"]) == 0
    out, said = capsys.readouterr()
    assert json.loads(out)["classes"] == plain
    assert "has a light ground, and the training images have a dark one: it is inverted" in said
    assert main(["predict", str(run), str(tmp_path / "large.png"), "--resize"]) == 0
    assert "%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "lenet6"], "did you mean 'lenet5'"),
        (["train", "lenet5", "--data", "minst"], "did you mean 'mnist'"),
        (["train", "lenet5", "--optimizer", "adm"], "did you mean 'adam'"),
        (["train", "lenet5", "--schedule", "cosin"], "did you mean 'cosine'"),
        (["train", "lenet5", "--epocs", "3"], "did you mean '--epochs'"),
        (["train", "lenet5", "--batch-size", "0"], "--batch-size must be an integer of at least 1; received 0"),
        (["train", "lenet5", "--batch-size", "-4"], "received -4"),
        (["train", "lenet5", "--batch-size", "60001"], "at most the number of training examples, 57000"),
        (["train", "lenet5", "--batch-size", "many"], "--batch-size"),
        (["train", "lenet5", "--learning-rate", "0"], "positive, finite"),
        (["train", "lenet5", "--learning-rate", "-1"], "positive, finite"),
        (["train", "lenet5", "--learning-rate", "nan"], "positive, finite"),
        (["train", "lenet5", "--learning-rate", "inf"], "positive, finite"),
        (["train", "lenet5", "--learning-rate", "fast"], "--learning-rate"),
        (["train", "lenet5", "--epochs", "0"], "--epochs"),
        (["train", "lenet5", "--momentum", "1"], "--momentum"),
        (["train", "lenet5", "--train-examples", "70000"], "60000"),
        (["train", "mlp", "--hidden", "0"], "--hidden"),
        (["train", "lenet5", "--seed", "-1"], "--seed"),
        (["train", "lenet5", "mlp"], "mlp"),
        (["train", "lenet5", "--data-folder", "/nowhere"], "/nowhere"),
        (["evaluate", "/nowhere"], "/nowhere is no folder"),
        (["resume", "/nowhere"], "/nowhere is no folder"),
        (["evaluate", "/"], "no config.json"),
        (["predict", "/nowhere", "x.png"], "/nowhere is no folder"),
        (["predict", "/nowhere"], "no image"),
        (["summary", "lenet"], "did you mean 'lenet5'"),
    ],
)
def test_bad_arguments(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in complaint(capsys, *args)
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


def test_an_output_folder_in_use_or_not_writable(run, tmp_path, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    assert "jaxnn resume" in complaint(capsys, "train", "lenet5", *SMALL, "--out", run)
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before
    (tmp_path / "file").write_text("mine")
    assert "is a file" in complaint(capsys, "train", "lenet5", *SMALL, "--out", tmp_path / "file")
    assert "cannot write" in complaint(capsys, "train", "lenet5", *SMALL, "--out", "/proc/1/run")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "edited", "missing"])
def test_a_damaged_checkpoint_is_named_and_a_whole_one_offered(copy, damage, capsys):
    arrays, record = copy / "checkpoints/00000010.safetensors", copy / "checkpoints/00000010.json"
    content = bytearray(arrays.read_bytes())
    if damage == "truncated":
        arrays.write_bytes(content[:-100])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        arrays.write_bytes(content)
    elif damage == "edited":
        record.write_text(record.read_text().replace('"step": 10', '"step": 11'))
    else:
        arrays.unlink()
    said = complaint(capsys, "evaluate", copy)
    assert "00000010" in said
    assert "--step 5" in said
    assert main(["evaluate", str(copy), "--step", "5"]) == 0


def test_a_checkpoint_of_another_model_prints_the_difference(copy, capsys):
    config = json.loads((copy / "config.json").read_text())
    config["config"]["model"] = "mlp"
    (copy / "config.json").write_text(json.dumps(config))
    said = complaint(capsys, "evaluate", copy)
    assert "params/hidden1/kernel" in said
    assert "params/conv1/kernel" in said


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", "three"), ("model", "lenet6"), ("learning_rate", -1.0), ("hidden", 3), ("extra", 1)]
)
def test_an_edited_configuration_is_refused(copy, name, value, capsys):
    config = json.loads((copy / "config.json").read_text())
    config["config"][name] = value
    (copy / "config.json").write_text(json.dumps(config))
    said = complaint(capsys, "resume", copy)
    assert "config.json" in said
    assert name in said.replace("-", "_")


def test_configurations_survive_json():
    for recipe in RECIPES.values():
        assert from_record(json.loads(json.dumps(to_record(recipe))), where="here") == recipe


@pytest.mark.parametrize("kind", ["text", "size", "alpha", "truncated", "missing", "folder"])
def test_images_that_are_none(run, tmp_path, kind, capsys):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(path)
    if kind == "text":
        path.write_text("not an image")
    elif kind == "size":
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    elif kind == "alpha":
        Image.fromarray(np.zeros((28, 28, 4), np.uint8)).save(path)
    elif kind == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "missing":
        path.unlink()
    else:
        path = tmp_path / "empty"
        path.mkdir()
    words = {
        "text": "not an image",
        "size": "30 x 20",
        "alpha": "alpha",
        "truncated": "damaged",
        "missing": "not there",
        "folder": "a folder without a picture",
    }
    assert words[kind] in complaint(capsys, "predict", run, path)


def test_a_damaged_data_file_is_refused(tmp_path, capsys):
    folder = tmp_path / "mnist"
    subprocess.run(["cp", "-r", Path(data.__file__).parent / "mnist", folder], check=True)
    file = folder / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-50])
    assert file.name in complaint(capsys, "train", "lenet5", "--data-folder", folder)


def test_a_finished_run_resumes_to_itself(copy, capsys):
    before = (copy / "checkpoints/00000010.safetensors").read_bytes()
    assert main(["resume", str(copy)]) == 0
    assert (copy / "checkpoints/00000010.safetensors").read_bytes() == before
    assert len((copy / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.full
def test_pictures_and_report(tmp_path):
    folder = tmp_path / "run"
    assert main(["train", "mlp", *SMALL[:-1], "--out", str(folder)]) == 0
    assert {path.name for path in folder.glob("*.png")} == {
        "curves.png",
        "confusion.png",
        "filters.png",
        "mistakes.png",
    }
    assert "test accuracy" in (folder / "report.html").read_text()
    for path in folder.glob("*.png"):
        Image.open(path).verify()


def test_help_is_complete_and_imports_no_jax():
    code = "import sys; from jaxnn.cli.main import main; main(['--help']); assert 'jax' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(command in shown for command in COMMANDS)


def test_train_help_shows_every_flag_with_the_recipes_defaults(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "lenet1998", "--help"])
    assert stopped.value.code == 0
    shown = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    of_others = {"hidden", "dropout_rate", "label_smoothing"}
    names = {field.name for field in dataclasses.fields(Training)[1:]} - of_others
    assert all(f"--{name.replace('_', '-')}" in shown for name in names)
    assert f"default: {RECIPES['lenet1998'].learning_rate}" in shown


def test_summary_and_list(capsys):
    assert main(["summary", "lenet5"]) == 0
    assert re.search(r"61.706", capsys.readouterr().out)
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*MODELS, "mnist", "adam", "one_cycle"))


@pytest.mark.full
def test_a_signal_saves_and_resuming_ends_where_an_uninterrupted_run_ends(tmp_path):
    how = ["--train-examples", "12800", "--validation", "none", "--epochs", "10", "--batch-size", "128"]
    train = [sys.executable, "-m", "jaxnn", "train", "lenet5", "--no-pictures", *how, "--out"]
    optimized = {**os.environ, "XLA_FLAGS": ""}
    subprocess.run([*train, tmp_path / "whole"], check=True, capture_output=True, env=optimized)
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        cut = tmp_path / number.name
        child = subprocess.Popen([*train, cut], stderr=subprocess.PIPE, text=True, env=optimized)
        for line in child.stderr:
            if line.startswith("epoch 1") or "compiled" in line:
                break
        time.sleep(0.5)
        child.send_signal(number)
        said = child.communicate(timeout=120)[1]
        assert child.returncode == status
        assert f"jaxnn resume {cut}" in said
        saved = sorted((cut / "checkpoints").glob("*.safetensors"))
        assert saved
        assert saved[-1].name != "00001000.safetensors"
        subprocess.run([sys.executable, "-m", "jaxnn", "resume", cut], check=True, capture_output=True, env=optimized)
        last = "checkpoints/00001000.safetensors"
        assert (cut / last).read_bytes() == (tmp_path / "whole" / last).read_bytes()


FULL_DISK = """
import resource, signal, sys
from jaxnn.cli.main import main
from jaxnn.runs import checkpoints

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save = checkpoints.save

def save_once(*args, **kwargs):
    save(*args, **kwargs)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))

checkpoints.save = save_once
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.full
def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", FULL_DISK, "train", "lenet5", *SMALL, "--out", str(folder)]
    full = subprocess.run(command, capture_output=True, text=True)
    assert full.returncode == 2, full.stderr
    assert "could not write the checkpoint of step 10" in full.stderr
    assert "Step 5 is whole" in full.stderr
    assert "Traceback" not in full.stderr
    assert main(["evaluate", str(folder)]) == 0
    assert main(["resume", str(folder)]) == 0
    assert (folder / "checkpoints/00000010.json").exists()


def test_verify_prints_a_line_a_quantity_and_a_summary(capsys):
    assert main(["verify", "--only", "cross_entropy"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"cross_entropy +gradient +optax\S+ +\d+ +\S+ +ok\n", printed)
    assert re.search(r"\n1 pieces?, \d+ cases: all within tolerance. float32 on ", printed)


@pytest.mark.full
def test_verify_as_json(capsys):
    assert main(["verify", "--only", "schedules", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["passed"]
    assert {row["piece"] for row in table["rows"]} > {"constant", "linear", "cosine"}
    assert all(row["difference"] <= row["tolerance"] for row in table["rows"])


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_verify_exits_with_1_where_a_reference_differs(arguments, capsys, monkeypatch):
    row = activation_references.ACTIVATIONS[0]
    monkeypatch.setitem(TABLE, "activations", [row._replace(oracle=lambda x: np.full(x.shape, np.nan))])
    assert main(["verify", "--only", "activations", *arguments]) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed or not json.loads(printed)["passed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dtype", "float23"], "unknown dtype 'float23'; did you mean 'float32'?"),
        (["--only", "dens"], "unknown piece 'dens'; did you mean 'dense'?"),
        (["--josn"], "unknown flag of `jaxnn verify` '--josn'; did you mean '--json'?"),
    ],
)
def test_verify_refuses_in_one_sentence(arguments, message, capsys):
    assert main(["verify", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"jaxnn: {message}")


@pytest.mark.full
def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m jaxnn list | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------- optimizers and schedules by name


@first_of("name", training_flags.OPTIMIZERS)
def test_every_optimizer_can_be_chosen(name):
    config = dataclasses.replace(RECIPES["lenet5"], optimizer=name)
    optimizer, params = build_optimizer(check(config), steps=10), {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert all(np.isfinite(u).all() and (u < 0).all() for u in jax.tree.leaves(updates))


def test_numbers_reach_the_optimizers_that_take_them():
    config = dataclasses.replace(RECIPES["lenet5"], optimizer="adamw", b1=0.5, weight_decay=0.0)
    hyperparameters = build_optimizer(config, steps=10).init(jnp.zeros(1)).hyperparameters
    assert {name: float(value) for name, value in hyperparameters.items() if name != "learning_rate"} == {
        "b1": 0.5,
        "b2": np.float32(0.99),
        "weight_decay": 0.0,
    }


@first_of("name", training_flags.SCHEDULES)
@pytest.mark.parametrize("warmup", [None, 0.3])
def test_every_schedule_can_be_chosen_and_warmed_up(name, warmup):
    config = check(dataclasses.replace(RECIPES["lenet5"], schedule=name, warmup=warmup, learning_rate=0.5))
    rates = np.array([build_schedule(config, steps=20)(step) for step in range(21)])
    assert rates.max() == pytest.approx(0.5)
    rises = warmup is not None or name == "one_cycle"
    assert (rates[0] < 0.1) == rises
    if name not in ("constant", "warm_restarts"):
        assert rates[-1] < 0.5
