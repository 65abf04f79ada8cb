"""`jaxnn launch`: one run of several processes, and none of them left when it ends, however it ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from process_groups import run_alone, running
from safetensors.numpy import load_file

from jaxnn.cli import process_supervision
from jaxnn.cli.main import main

TINY = ["--train-examples", "600", "--test-examples", "200", "--batch-size", "50", "--no-tensorboard", "--no-pictures"]


def refusal(capsys, *args) -> str:
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == 2
    said = capsys.readouterr().err
    assert said.startswith("jaxnn: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-n", 0, "--", "train", "mlp"], "-n must be an integer of at least 1; received 0"),
        (["-n", -3, "--", "train", "mlp"], "received -3"),
        (["-n", "two", "--", "train", "mlp"], "two"),
        (["-n", 2], "no command to launch"),
        (["-n", 2, "--"], "no command to launch"),
        (["train", "mlp"], "train"),
        (["-n", 2, "--", "predict", "run", "1.png"], "`predict` cannot be launched; train and resume can"),
        (["-n", 2, "--", "trian"], "did you mean 'train'"),
        (["--proceses", 2, "--", "train"], "did you mean '--processes'"),
        (["-n", 2, "--", "train", "mpl"], "did you mean 'mlp'"),
        (["-n", 2, "--", "train", "mlp", "--epochs", 0], "--epochs"),
        (["-n", 3, "--", "train", "mlp"], "--batch-size must be a multiple of the 3 devices"),
        (["-n", 2, "--", "train", "mlp", "--placement", "pmap"], "--placement pmap is for one process"),
        (["-n", 2, "--", "train", "mlp", "--devices", 4], "--devices 4 is for one process"),
        (["-n", 2, "--", "train", "mlp", "--train-examples", 70_000], "60000"),
        (["-n", 2, "--", "resume", "/nowhere"], "/nowhere is no folder"),
        (["-n", 2, "--", "nowhere.py", "--epochs", 1], "nowhere.py is no file, expected a script"),
    ],
)
def test_bad_arguments_start_nothing(args, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_supervision, "start", None)
    assert words in refusal(capsys, "launch", *args)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_before_anything_starts(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine").write_text("")
    monkeypatch.setattr(process_supervision, "start", None)
    assert "is not empty" in refusal(capsys, "launch", "--", "train", "mlp", "--out", tmp_path)
    assert "is a file" in refusal(capsys, "launch", "--", "train", "mlp", "--out", tmp_path / "mine")


def test_a_script_of_ones_own_is_launched_with_its_flags(tmp_path, capfd):
    script = tmp_path / "train.py"
    script.write_text("import os, sys; print(os.environ['JAXNN_PROCESSES'], sys.argv[1:]); sys.exit(int(sys.argv[2]))")
    assert main(["launch", "-n", "2", "--", str(script), "--status", "0"]) == 0
    assert sorted(capfd.readouterr().out.splitlines()) == [f"[{process}] 2 ['--status', '0']" for process in (0, 1)]
    assert main(["launch", "-n", "2", "--", str(script), "--status", "3"]) == 3
    assert capfd.readouterr().err.endswith("as it said; start the script again: it goes on, if it keeps checkpoints\n")


def test_a_script_takes_its_place_on_a_cluster(tmp_path, monkeypatch):
    (tmp_path / "train.py").touch()
    monkeypatch.setenv("JAXNN_COORDINATOR", "")
    became, command = [], [str(tmp_path / "train.py"), "--epochs", "3"]
    monkeypatch.setattr(os, "execv", lambda *args: became.append((*args, os.environ["JAXNN_COORDINATOR"])) or 0)
    assert main(["launch", "--cluster", "--", *command]) == 0
    assert became == [(sys.executable, [sys.executable, *command], "cluster")]


def test_no_cluster_around_is_said(tmp_path):
    status, _, said = run_alone("-m", "jaxnn", "launch", "--cluster", "--", "train", "mlp", "--out", tmp_path / "run")
    assert status == 2
    assert said.startswith("jaxnn: expected a process of Slurm")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------ processes without JAX

WAIT = "import os, time; time.sleep({}); os._exit({}) if os.environ['N'] == '1' else time.sleep(60)"


def supervised(code, processes=2):
    began = time.monotonic()
    environments = [os.environ | {"N": str(number)} for number in range(processes)]
    ending = process_supervision.supervise([sys.executable, "-c", code], environments)
    return ending, time.monotonic() - began


def test_the_first_to_fail_ends_the_others():
    ending, seconds = supervised(WAIT.format(0.2, 3), processes=3)
    assert ending == (3, 1, 3)
    assert seconds < 5


def test_who_was_killed_is_named_before_those_who_lost_it():
    code = "import os; os._exit(75) if os.environ['N'] != '2' else os.kill(os.getpid(), 9)"
    assert supervised(code, processes=3)[0] == (137, 2, -9)


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_reaches_all_and_the_second_ends_those_who_do_not_hear_the_first(times):
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    send = lambda: [os.kill(os.getpid(), signal.SIGTERM) or time.sleep(0.3) for _ in range(times)]
    timer = threading.Timer(1, send)
    timer.start()
    previous = signal.signal(signal.SIGTERM, lambda *_: None)  # should all have ended before the second
    try:
        ending, seconds = supervised((deaf if times == 2 else "") + "import time; time.sleep(60)")
        timer.join()
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert ending == (143, None, 0)
    assert seconds < 5


def test_a_signal_before_all_have_started_ends_those_who_have(monkeypatch):
    start, children = process_supervision.start, []

    def interrupted(*args):
        children.append(start(*args))
        os.kill(os.getpid(), signal.SIGINT)
        return children[-1]

    monkeypatch.setattr(process_supervision, "start", interrupted)
    assert supervised("import time; time.sleep(60)")[0] == (130, None, 0)
    assert len(children) == 2
    assert all(child.process.returncode for child in children)  # of the first signal, or of the second


def test_a_job_can_be_supervised_from_any_thread():
    endings = []
    thread = threading.Thread(target=lambda: endings.append(supervised(WAIT.format(0, 3))[0]))
    thread.start()
    thread.join()
    assert endings == [(3, 1, 3)]


def test_all_well():
    assert supervised("pass")[0] == (0, None, 0)


def test_lines_are_told_apart(capfd):
    supervised("import os, sys; print('out', os.environ['N']); print('err', file=sys.stderr)")
    said = capfd.readouterr()
    assert sorted(said.out.splitlines()) == ["[0] out 0", "[1] out 1"]
    assert sorted(said.err.splitlines()) == ["[0] err", "[1] err"]


# --------------------------------------------------------------------------------------------- processes with JAX


def launch(*args, processes=2):
    return running("-m", "jaxnn", "launch", "-n", processes, "--", *args)


def await_file(path: Path, process, seconds=180):
    end = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < end, f"{path} did not come"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def children_of(process) -> dict[int, int]:
    """Number of each process -> its id."""
    pids = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    told = {pid: Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in pids}
    numbers = {pid: next(v for v in variables if v.startswith(b"JAXNN_PROCESS=")) for pid, variables in told.items()}
    return {int(number.partition(b"=")[2]): int(pid) for pid, number in numbers.items()}


def alive(pids) -> list[int]:
    """Those that run, zombies not counted."""
    stats = [(pid, Path(f"/proc/{pid}/stat")) for pid in pids]
    return [pid for pid, stat in stats if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"]


def arrays(folder):
    return load_file(sorted((folder / "checkpoints").glob("*.safetensors"))[-1])


@pytest.mark.full
@pytest.mark.parametrize("placement", [None, "fully_sharded"])
def test_two_processes_make_the_run_of_one(placement, tmp_path):
    assert main(["train", "mlp", *TINY, "--epochs", "1", "--out", str(tmp_path / "one")]) == 0
    flags = [] if placement is None else ["--placement", placement]
    with launch("train", "mlp", *TINY, "--epochs", "1", *flags, "--out", tmp_path / "two") as process:
        out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert out.count("test accuracy") == 1
    assert all(line.startswith("[0] ") for line in out.splitlines())
    ours, theirs = arrays(tmp_path / "two"), arrays(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[name] - theirs[name]).max() for name in ours if ours[name].dtype.kind == "f") < 1e-6
    assert [json.loads(line)["step"] for line in (tmp_path / "two/metrics.jsonl").read_text().splitlines()] == [12]
    assert json.loads((tmp_path / "two/config.json").read_text())["config"]["placement"] == placement
    assert said.count("MiB on each of 2 devices") == (placement is not None)


@pytest.mark.full
def test_a_step_of_slurm_is_a_job(tmp_path):
    """Slurm's variables as `srun` sets them for two tasks; JAX derives the port from the job's id."""
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    command = (
        "-m",
        "jaxnn",
        "launch",
        "--cluster",
        "--",
        "train",
        "mlp",
        *TINY,
        "--epochs",
        1,
        "--out",
        tmp_path / "r",
    )
    tasks = [job | {"SLURM_PROCID": task, "SLURM_LOCALID": task} for task in "01"]
    with running(*command, **tasks[0]) as first, running(*command, **tasks[1]) as second:
        said = [process.communicate(timeout=240) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert [out.count("test accuracy") for out, _ in said] == [1, 0]
    assert len((tmp_path / "r/metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.full
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_job_and_is_named(victim, tmp_path):
    folder = tmp_path / "run"
    with launch("train", "lenet5", *TINY, "--epochs", 1000, "--out", folder) as process:
        await_file(folder / "metrics.jsonl", process)
        pids = children_of(process)
        began = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        said = process.communicate(timeout=120)[1]
        assert time.monotonic() - began < 10
    assert process.returncode == 137
    last = said.splitlines()[-1]
    assert (
        last == f"jaxnn: process {victim} of 2 was ended by SIGKILL; go on with: jaxnn launch -n 2 -- resume {folder}"
    )
    assert "Traceback" not in said
    assert alive(pids.values()) == []


@pytest.mark.full
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_with_a_checkpoint_and_one_process_goes_on(number, status, tmp_path):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    # at small steps: at Adam's large first ones a rounding error of the sum over two devices grows to tenths
    args = ["train", "lenet5", *TINY, "--epochs", 12, "--optimizer", "sgd", "--learning-rate", 0.01]
    with launch(*args, "--out", cut) as process:
        await_file(cut / "metrics.jsonl", process)
        pids = children_of(process)
        process.send_signal(number)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == status, said
    assert f"go on with: jaxnn launch -n 2 -- resume {cut}" in said
    assert alive(pids.values()) == []
    assert main(["resume", str(cut)]) == 0
    assert main([*map(str, args), "--out", str(whole)]) == 0
    ours, theirs = arrays(cut), arrays(whole)
    assert max(abs(ours[name] - theirs[name]).max() for name in ours if name.startswith("params")) < 1e-4  # 144 steps


@pytest.mark.full
def test_processes_do_not_outlive_a_launcher_that_is_killed(tmp_path):
    folder = tmp_path / "run"
    with launch("train", "mlp", *TINY, "--epochs", 10_000, "--out", folder) as process:
        await_file(folder / "metrics.jsonl", process)
        pids = children_of(process)
        process.kill()
        process.wait()
        end = time.monotonic() + 20
        while alive(pids.values()) and time.monotonic() < end:
            time.sleep(0.1)
        assert alive(pids.values()) == []
