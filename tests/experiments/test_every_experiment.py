"""Every experiment runs in its smoke form, and every one is recorded as it stands."""

import json

import pytest
from experiment_files import FOLDER, NAMES, PACKAGES, check_smoke, load

recording = load("recording")


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in NAMES if name not in PACKAGES])
def test_smoke_finds_figures_and_draws_pictures(name, tmp_path):
    check_smoke(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_is_recorded_with_todays_settings_and_its_pictures(name):
    experiment = load(name).EXPERIMENT
    record = json.loads((recording.RESULTS / f"{name}.json").read_text())
    today = experiment.record(recording.Outcome([], {}), experiment.settings_of("full"), ["--full"], seconds=0.0)
    for field in ("name", "question", "command", "settings"):
        assert record[field] == today[field], f"run `{today['command']}` again"
    for picture in record["pictures"]:
        assert (recording.RESULTS / picture).read_bytes()[:4] == b"\x89PNG"


def test_results_are_what_the_runs_wrote():
    assert (FOLDER / "RESULTS.md").read_text() == recording.render(recording.read_records())
    recorded = {path.stem for path in recording.RESULTS.glob("*.json")}
    assert recorded == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_question_with_its_command_and_at_most_120_lines(name):
    experiment = load(name).EXPERIMENT
    assert experiment.question.endswith("?")
    assert f"    python experiments/{name}.py" in experiment.doc
    assert "Expected" in experiment.doc
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) <= 120


SHARED = {"process_kills", "recovery_plots", "simulated_clusters"}  # what several experiments, or one, are made of


def test_every_file_is_an_experiment_the_frame_or_a_script():
    others = {path.stem for path in FOLDER.glob("*.py")} - set(NAMES) - {"recording", "front_page"} - SHARED
    assert {name for name in others if not name.startswith("train_")} == set()
