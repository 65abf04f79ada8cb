"""`jaxnn race` writes what it says, and refuses in one sentence."""

import json

import pytest

from jaxnn.cli.race_command import MOST_STEPS, race_command
from jaxnn.diagnostics.surfaces import SURFACES
from jaxnn.diagnostics.trajectories import CONTESTANTS, DEFAULT_CONTESTANTS

SMALL = ["saddle", "--optimizers", "sgd", "adam", "--steps", "20"]


def test_a_race_leaves_picture_animation_page_and_record(tmp_path, capsys):
    folder = tmp_path / "new" / "race"
    assert race_command([*SMALL, "--rate-scale", "2", "--out", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {"saddle.png", "saddle.gif", "race.html", "race.json"}
    record = json.loads((folder / "race.json").read_text())
    assert record["config"]["steps"] == 20
    assert record["outcomes"]["saddle"]["sgd"]["rate"] == pytest.approx(0.06)
    out = capsys.readouterr().out
    assert "saddle\n  optimizer   rate" in out
    assert f"pictures and race.html in {folder}" in out


@pytest.mark.full
def test_mnist_without_animation_in_the_next_free_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "race-001").mkdir(parents=True)
    assert race_command([*SMALL, "--no-animation", "--mnist", "--mnist-steps", "3", "--batch-size", "32"]) == 0
    folder = tmp_path / "runs" / "race-002"
    assert {path.name for path in folder.iterdir()} == {"saddle.png", "mnist.png", "race.json"}
    outcomes = json.loads((folder / "race.json").read_text())["outcomes"]
    assert outcomes["mnist"]["adam"]["rate"] == pytest.approx(1e-3)
    assert outcomes["mnist"]["sgd"]["said"].startswith("loss ")
    assert "pictures in " in capsys.readouterr().out


@pytest.mark.full
def test_without_names_all_surfaces_and_the_usual_optimizers_run(tmp_path):
    assert race_command(["--steps", "2", "--no-animation", "--out", str(tmp_path)]) == 0
    outcomes = json.loads((tmp_path / "race.json").read_text())["outcomes"]
    assert list(outcomes) == list(SURFACES)
    assert all(list(row) == list(DEFAULT_CONTESTANTS) for row in outcomes.values())
    assert {path.stem for path in tmp_path.glob("*.png")} == set(SURFACES)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["beal"], "unknown surface 'beal'; did you mean 'beale'? Known: beale, long-valley"),
        (["--optimizers", "adan"], "unknown optimizer 'adan'; did you mean 'adam'? Known: adadelta"),
        (["--steps", "0"], "--steps must be an integer of at least 1; received 0."),
        (["--steps", "1000000"], f"--steps must be an integer of at most {MOST_STEPS}"),
        (["--steps", "1.5"], "--steps"),
        (["--mnist-steps", "-1"], "--mnist-steps must be an integer of at least 1"),
        (["--batch-size", "0"], "--batch-size must be an integer of at least 1"),
        (["--rate-scale", "0"], "--rate-scale must be a positive, finite number; received 0.0."),
        (["--rate-scale", "nan"], "--rate-scale must be a positive, finite number; received nan."),
        (["--rate-scale", "inf"], "--rate-scale must be a positive, finite number; received inf."),
        (["--seed", "-1"], "--seed must be an integer of at least 0"),
        (["--seed", "3"], "--seed changes nothing with --no-mnist; received 3. Leave it out, or take --mnist."),
        (["--step", "3"], "unknown flag of `jaxnn race` '--step'; did you mean '--steps'"),
    ],
)
def test_bad_input_is_refused_before_a_folder_is_made(args, message, tmp_path):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared below, without patterns)
        race_command([*args, "--out", str(tmp_path / "race")])
    assert message in str(refused.value)
    assert not (tmp_path / "race").exists()


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not empty, expected a new folder\. Choose another --out\."):
        race_command([*SMALL, "--out", str(tmp_path)])
    with pytest.raises(FileExistsError, match="is a file, expected the name of a new folder"):
        race_command([*SMALL, "--out", str(tmp_path / "notes.txt")])
    with pytest.raises(ValueError, match="cannot write to"):
        race_command([*SMALL, "--out", str(tmp_path / "notes.txt" / "race")])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_help_names_every_surface_and_optimizer(capsys):
    with pytest.raises(SystemExit):
        race_command(["--help"])
    words = set(capsys.readouterr().out.replace(",", " ").replace(".", " ").replace(";", " ").split())
    assert set(SURFACES) | set(CONTESTANTS) <= words
