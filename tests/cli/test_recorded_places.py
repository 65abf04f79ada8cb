"""What a run folder says of places outside of it opens, dials and writes nothing; the command line has to say it."""

import importlib.util
import json
import socket
from pathlib import Path

import pytest

from jaxnn import data
from jaxnn.cli import launch_command, training_commands
from jaxnn.cli.main import main
from jaxnn.cli.placement_flags import resume_line
from jaxnn.cli.recorded_places import resumption
from jaxnn.cli.training_flags import RECIPES, Training, to_record
from jaxnn.data import datasets


@pytest.fixture
def run(tmp_path):
    """A folder from elsewhere, whose configuration is the recipe's but for some values."""

    def write(command=None, **changes):
        config = to_record(RECIPES["mlp"]) | changes
        if command is not None:
            config = {"command": command, "training": config}
        record = {"jaxnn": "0", "versions": {}, "platform": {}, "created": "", "command": [], "config": config}
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(record))
        return folder

    return write


@pytest.fixture
def taken(monkeypatch):
    """The configuration and the folder that `resume` would train; `launch` starts nothing either."""
    calls = []
    monkeypatch.setattr(launch_command, "_supervise", lambda *_: 0)
    monkeypatch.setattr(training_commands, "_train", lambda config, folder, *_: calls.append((config, folder)) or 0)
    return calls


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def refused(capsys, *args) -> str:
    assert main(list(map(str, args))) == 2
    return capsys.readouterr().err


def test_the_address_in_a_folder_is_not_dialled(run, listener, capsys):
    address = "127.0.0.1:{1}".format(*listener.getsockname())
    folder = run(strategy="downpour", address=address)
    message = refused(capsys, "resume", folder)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert message == (
        f"jaxnn: {folder} was trained on the Ray cluster at '{address}', and a folder's word opens no connection. Say "
        f"where the cluster is now: jaxnn resume {folder} --address HOST:PORT\n"
    )


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
def test_the_address_of_the_command_line_is_dialled_instead(run, listener, capsys):
    folder = run(strategy="downpour", address="127.0.0.1:{1}".format(*listener.getsockname()), train_examples=100)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        here = "127.0.0.1:{1}".format(*closed.getsockname())
        assert f"no Ray cluster answers at {here}" in refused(capsys, "resume", folder, "--address", here)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_an_address_for_a_run_that_joins_no_cluster_is_refused(run, capsys):
    message = refused(capsys, "resume", run(), "--address", "127.0.0.1:6379")
    assert "--address is of runs with --strategy downpour" in message


READERS = {
    "resume": ([], None),
    "evaluate": ([], None),
    "predict": (["digit.png"], None),
    "resume a search": ([], "search"),
    "resume a cross-validation": ([], "cross-validate"),
    "resume an ensemble": ([], "ensemble"),
    "predict by an ensemble": (["digit.png"], "ensemble"),
    "launch": ([], None),
}


def words(name, folder, rest):
    command = name.split()[0]
    return [*(["launch", "-n", "2", "--", "resume"] if command == "launch" else [command]), folder, *rest]


@pytest.fixture
def opened(monkeypatch):
    """The folders in which data are looked for, and what would be fetched."""
    folders, places = [], datasets._places
    monkeypatch.setattr(
        datasets, "_places", lambda name, of, folder: folders.append(folder) or places(name, of, folder)
    )
    monkeypatch.setattr(datasets, "fetch", lambda urls, path, **_: folders.append(path))
    return folders


@pytest.mark.parametrize("name", READERS)
def test_the_data_folder_in_a_folder_is_not_opened(name, run, opened, capsys, tmp_path):
    rest, command = READERS[name]
    (tmp_path / "elsewhere").mkdir()
    folder = run(command, data="fashion_mnist", data_folder=str(tmp_path / "elsewhere"))
    message = refused(capsys, *words(name, folder, rest))
    assert "a folder's word opens no other. Say where they lie now: --data-folder FOLDER" in message
    assert opened == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", READERS)
def test_what_a_folder_names_is_not_fetched(name, run, opened, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNN_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    rest, command = READERS[name]
    message = refused(capsys, *words(name, run(command, data="cifar10"), rest))
    assert "dataset 'cifar10' must be on this machine; it is not in " in message
    assert "--data-folder FOLDER" in message
    assert not any(opened)
    assert not (tmp_path / "cache").exists()


def test_the_data_folder_of_the_command_line_is_taken_instead(run, taken):
    assert main(["resume", str(run(data_folder="/elsewhere")), "--data-folder", "here"]) == 0
    assert [config.data_folder for config, _ in taken] == ["here"]


def test_the_folder_itself_is_written_and_not_what_it_calls_out(run, taken, tmp_path):
    folder = run(out=str(tmp_path / "elsewhere"))
    assert main(["resume", str(folder)]) == 0
    assert [where for _, where in taken] == [folder]


@pytest.mark.parametrize("command", [["search"], [], {}, None, 7, "os", "../race_command", "train"])
def test_a_command_that_is_none_of_ours_is_not_imported(command, run, capsys):
    folder = run()
    record = json.loads((folder / "config.json").read_text())
    record["config"] = {"command": command, "training": record["config"]}
    (folder / "config.json").write_text(json.dumps(record))
    assert "cannot be resumed" in refused(capsys, "resume", folder)


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl", "tensorboard", "servers/shard-0", "a.jaxnn-tmp"])
@pytest.mark.parametrize("args", [["resume"], ["launch", "--", "resume"]], ids=["resume", "launch"])
def test_a_link_out_of_the_folder_is_not_followed(name, args, run, taken, capsys, tmp_path):
    folder, elsewhere = run(), tmp_path / "runaway"  # which begins as the run's name does
    elsewhere.mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(elsewhere)
    message = refused(capsys, *args, folder)
    assert f"{folder / name} is a link out of the run folder, to '{elsewhere}'" in message
    assert taken == []


def test_a_link_within_the_folder_or_to_it_is_followed(run, taken, tmp_path):
    folder = run()
    (folder / "newest.json").symlink_to("config.json")
    (tmp_path / "latest").symlink_to(folder)
    assert main(["resume", str(tmp_path / "latest")]) == 0
    assert len(taken) == 1


def test_the_command_that_goes_on_says_the_places_again_and_is_quoted():
    config = Training(strategy="downpour", data_folder="my digits; rm -rf ~", address="10.0.0.1:6379")
    assert resumption("runs/1", config)[3:] == ["--data-folder", "my digits; rm -rf ~", "--address", "10.0.0.1:6379"]
    assert resume_line(Path("my run"), {}, config) == (
        "jaxnn resume 'my run' --data-folder 'my digits; rm -rf ~' --address 10.0.0.1:6379"
    )


def test_data_that_are_here_need_no_word(run, taken):
    assert data.find("mnist", download=False).name == "mnist"
    assert data.find("moons", download=False) is None
    assert main(["resume", str(run())]) == 0
