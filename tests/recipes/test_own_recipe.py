"""A user's recipe goes through every command, without a line changed elsewhere."""

import json
from pathlib import Path

import pytest

from jaxnn.cli.main import main
from jaxnn.recipes import named_recipes
from jaxnn.runs.loggers import read_metrics

OWN = f"{Path(__file__).with_name('own_recipe.py')}:AUTOENCODER"
SMALL = ["--train-examples", "400", "--test-examples", "100"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("own") / "run"
    assert main(["train", OWN, *SMALL, "--no-tensorboard", "--out", str(folder)]) == 0
    return folder


def test_it_trains_and_is_measured_by_its_own_objective(trained):
    rows = read_metrics(trained / "metrics.jsonl")
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert {"validation/loss", "validation/error"} <= set(rows[-1])
    result = json.loads((trained / "result.json").read_text())
    assert set(result["best"]) == {"step", "loss", "error", "count"}
    assert result["best"]["count"] == 100


def test_it_gets_its_report(trained):
    page = (trained / "report.html").read_text()
    assert "test loss" in page
    assert "The measures by epoch" in page
    assert (trained / "curves.png").stat().st_size > 1000


def test_its_code_is_run_only_if_it_is_named_again(trained, capsys, monkeypatch):
    monkeypatch.setattr(named_recipes, "_NAMED", {})
    run = lambda name: pytest.fail("the folder's code was run")
    monkeypatch.setattr(named_recipes, "_module", lambda place, name: run(name))
    for command in (["evaluate", str(trained)], ["resume", str(trained)], ["predict", str(trained), "a.png"]):
        assert main(command) == 2
        assert f"say --recipe {OWN}" in capsys.readouterr().err


def test_evaluate_and_resume_take_it_when_it_is_named(trained, capsys):
    assert main(["evaluate", str(trained), "--recipe", OWN, "--json"]) == 0
    result = json.loads((trained / "result.json").read_text())["best"]
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(result["loss"])
    assert main(["resume", str(trained), "--recipe", OWN]) == 0


def test_summary_and_list_show_it(capsys):
    assert main(["summary", OWN]) == 0
    assert "Dense" in capsys.readouterr().out
    assert main(["list", OWN]) == 0
    assert "8 numbers an image" in capsys.readouterr().out


@pytest.mark.full
@pytest.mark.parametrize(
    "command",
    [
        ["search", OWN, "--over", "learning_rate=1e-3,1e-2", "--strategy", "grid"],
        ["ensemble", OWN, "--members", "2"],
    ],
    ids=["search", "ensemble"],
)
def test_many_are_trained(command, tmp_path, capsys):
    assert main([*command, *SMALL[:2], "--epochs", "1", "--out", str(tmp_path / "many")]) == 0
    assert "loss" in capsys.readouterr().out


@pytest.mark.full
def test_two_processes_train_it_together(tmp_path, capsys):
    command = ["train", OWN, *SMALL, "--epochs", "1", "--no-pictures", "--out", str(tmp_path / "run")]
    assert main(["launch", "-n", "2", "--", *command]) == 0
    assert json.loads((tmp_path / "run/result.json").read_text())["last"]["count"] == 100


@pytest.mark.full
def test_a_bare_model_is_trained_as_a_classifier(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\n"
        "MODEL = (lambda key, x: jnp.zeros((x[0].size, 10)), lambda w, x: x.reshape(len(x), -1) @ w)\n"
    )
    name = f"{tmp_path / 'mine.py'}:MODEL"
    assert main(["train", name, *SMALL, "--epochs", "1", "--no-pictures", "--out", str(tmp_path / "run")]) == 0
    assert "test accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("", "NONE", "must define NONE"),
        ("raise KeyError('x')", "NONE", "cannot be run: KeyError"),
        ("import nothing_of_this_name", "NONE", "cannot be run: ModuleNotFoundError"),
        ("MODEL = 3", "MODEL", "must be a recipe, a model with `init` and `apply`"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(source, name, message, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(source)
    assert main(["train", f"{tmp_path / 'mine.py'}:{name}", *SMALL, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert main(["train", f"{tmp_path / 'other.py'}:{name}"]) == 2


@pytest.mark.full
def test_points_are_trained_on_from_the_command_line(tmp_path, capsys):
    out = ["--out", str(tmp_path / "run"), "--no-tensorboard"]
    assert main(["train", "mlp", "--data", "moons", "--epochs", "20", *out]) == 0
    shown = capsys.readouterr().out
    assert float(shown.split("test accuracy ")[1].split()[0]) > 80
    assert (tmp_path / "run/report.html").exists()
    assert main(["train", "lenet5", "--data", "moons", "--out", str(tmp_path / "other")]) == 2
    assert "lenet5 takes images; received moons, of points. Take mlp." in capsys.readouterr().err
