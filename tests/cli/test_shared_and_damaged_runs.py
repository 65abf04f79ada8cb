"""Commands that meet a run that another one writes to, or of which something was lost: one sentence, nothing lost."""

import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxnn.cli import training_journal
from jaxnn.cli.main import main
from jaxnn.cli.population_records import Records
from jaxnn.cli.training_flags import Training
from jaxnn.populations import Member
from jaxnn.populations.member_steps import Blueprint
from jaxnn.runs import checkpoints, one_writer, run_folder
from jaxnn.training import Started

TINY = ["--train-examples", "200", "--hidden", "8"]
TRAIN = ["train", "mlp", *TINY, "--test-examples", "100", "--epochs", "2", "--no-pictures"]
SEARCH = ["search", "mlp", *TINY, "--epochs", "1", "--over", "learning_rate=0.01,0.02", "--strategy", "grid"]


@pytest.fixture(autouse=True)
def on_one_device(monkeypatch):
    """The tests' eight devices would compile every program for eight."""
    devices = jax.devices()
    monkeypatch.setattr(jax, "devices", lambda *args: devices[:1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mlp"
    assert main([*TRAIN, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """The folder of a search that was stopped after its only epoch."""
    save = training_journal.Journal.save

    def interrupted(journal, event):
        save(journal, event)
        if journal.step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_journal.Journal, "save", interrupted)
        assert main([*SEARCH, "--out", str(tmp_path / "search")]) == 130
    return tmp_path / "search"


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def refused(capsys, *args) -> str:
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err.splitlines()[-1]


@pytest.mark.full
def test_a_run_and_a_search_that_are_written_to_are_resumed_by_no_second_command(run, search, capsys):
    for folder in (run, search):
        before = content(folder)
        with one_writer(folder):
            assert "is being written to by process" in refused(capsys, "resume", folder)
        assert content(folder) == before
    assert main(["resume", str(run)]) == 0
    assert main(["resume", str(search)]) == 0


@pytest.mark.full
def test_a_command_holds_its_new_folder_while_it_trains(tmp_path, monkeypatch):
    save, refusals = checkpoints.save, []

    def save_beside(folder, *args, **options):
        with pytest.raises(BlockingIOError), one_writer(tmp_path / "out"):
            pass
        refusals.append(folder)
        return save(folder, *args, **options)

    monkeypatch.setattr(checkpoints, "save", save_beside)
    ensemble = ["ensemble", "mlp", *TINY, "--test-examples", "100", "--epochs", "1", "--members", "2"]
    for command in (TRAIN, SEARCH, ensemble):
        assert main([*command, "--out", str(tmp_path / "out")]) == 0
        assert refusals
        refusals.clear()
        shutil.rmtree(tmp_path / "out")


def test_a_search_that_finds_its_number_taken_when_it_starts_takes_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = Records(None, "search", {"command": "search"})
    run_folder.create(None, {"command": "search"}, name="search")
    with records.kept(Training()):
        records.of([])(Started(0, 1, 1, 1))
        assert str(records.folder) == "runs/search-002"
        with pytest.raises(BlockingIOError), one_writer(records.folder):
            pass
    with one_writer(records.folder):
        pass


LOSSES = {
    "metrics missing": ("as its checkpoint has it; found nothing", lambda run: (run / "metrics.jsonl").unlink()),
    "metrics empty": ("as its checkpoint has it; found nothing", lambda run: (run / "metrics.jsonl").write_bytes(b"")),
    "metrics torn": (
        "as its checkpoint has it; found nothing",
        lambda run: (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes()[:-3]),
    ),
    "checkpoints moved": ("Put them back", lambda run: (run / "checkpoints").rename(run / "moved")),
    "checkpoints a file": (
        "cannot read the checkpoints in",
        lambda run: [(run / "checkpoints").rename(run / "moved"), (run / "checkpoints").touch()],
    ),
    "checkpoints a loop": (
        "cannot read the checkpoints in",
        lambda run: [(run / "checkpoints").rename(run / "moved"), (run / "checkpoints").symlink_to("checkpoints")],
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_of_which_something_was_lost_is_not_taken_for_another(loss, run, capsys):
    message, lose = LOSSES[loss]
    lose(run)
    before = content(run)
    assert message in refused(capsys, "resume", run)
    assert content(run) == before


JOURNAL = '{"history": {"validation/loss": [[0.5, %s]]}, "epochs": [1, 1], "diverged": [false, false]}'


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "[" * 50_000,
        "[{}]",
        '[{"history": {}, "epochs": [1]}]',
        f"[{JOURNAL % '1'}]",
        f"[{JOURNAL % 'null'}]",
        f"[{JOURNAL % '0.5, 0.5'}]",
        f"[{JOURNAL % '0.5'}]".replace("[1, 1]", "[2, 1]"),
        f"[{JOURNAL % '0.5'}]".replace("[1, 1]", "[-1, 1]"),
        f"[{JOURNAL % '0.5'}]".replace("[false, false]", "[0, 0]"),
        '[{"history": {"validation/loss": [[0.5]]}, "epochs": [1], "diverged": [false]}]',
    ],
)
def test_a_journal_that_no_search_writes_is_refused(text, tmp_path):
    kept = tmp_path / "checkpoints"
    forged = {"json": np.frombuffer(text.encode(), np.uint8)}
    for folder, tree in ((kept / "measured", forged), (kept / "states", {})):
        checkpoints.save(folder, tree, step=1, metrics={}, best=None)
    blueprint = object.__new__(Blueprint)  # nothing looks at it
    with pytest.raises(ValueError, match=r"is not what a search writes|that it had 1 members, expected 2"):
        training_journal.Journal(SimpleNamespace(folder=tmp_path), blueprint, None).take_up([Member(0), Member(1)])


@pytest.mark.full
def test_an_ensemble_is_read_though_its_checkpoint_is_replaced_meanwhile(tmp_path, capsys, monkeypatch):
    from jaxnn.cli import ensemble_checkpoints, ensemble_command
    from jaxnn.runs import read_config

    folder = tmp_path / "ensemble"
    ensemble = ["ensemble", "mlp", *TINY, "--test-examples", "100", "--epochs", "2", "--members", "2"]
    assert main([*ensemble, "--out", str(folder)]) == 0
    kept, later = folder / "checkpoints", tmp_path / "later"
    kept.rename(later)
    first = ["ensemble", "mlp", *TINY, "--test-examples", "100", "--epochs", "1", "--members", "2"]
    assert main([*first, "--out", str(tmp_path / "first")]) == 0
    (tmp_path / "first/checkpoints").rename(kept)
    real = ensemble_checkpoints.trials_of

    def overtaken(*args, **options):
        if later.exists():
            shutil.rmtree(kept)
            later.rename(kept)
        return real(*args, **options)

    monkeypatch.setattr(ensemble_checkpoints, "trials_of", overtaken)
    members, *_ = ensemble_command.restore_ensemble(folder, read_config(folder)["config"])
    assert members.epochs.tolist() == [2, 2]
