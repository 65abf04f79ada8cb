"""The experiments as modules, for tests.

python tests/experiments/experiment_files.py NAME FOLDER    # the smoke form of one, checked; its record goes to FOLDER
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "\nEXPERIMENT = Experiment(" in path.read_text())
PACKAGES = {"asynchronous_soak": "ray", "real_asynchronous_sgd": "ray"}  # what one needs; its smoke form takes long


def load(name: str):
    """The module of an experiment or of its frame, found as `python experiments/NAME.py` finds it."""
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    return importlib.import_module(name)


def check_smoke(name: str, folder: Path) -> dict:
    """Runs the smoke form; its pictures go to `folder`. Returns its record."""
    recording, experiment = load("recording"), load(name).EXPERIMENT
    settings = experiment.settings_of("smoke")
    outcome = experiment.measure(settings)
    assert outcome.findings
    for finding in outcome.findings:
        assert len(finding.values) in (1, getattr(settings, "seeds", 1)), finding.figure
        assert finding.expected, finding.figure
        assert finding.source, finding.figure
    paths = recording.save_pictures(name, outcome, folder)
    assert paths
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)
    record = experiment.record(outcome, settings, ["--smoke"], seconds=1.0)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert f"## {name}" in recording.render([record])
    return record


def check_smoke_alone(name: str, folder: Path) -> dict:
    """The same in a process of its own, without pytest's checkers, which Ray cannot send to its processes."""
    command = [sys.executable, __file__, name, str(folder)]
    own = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    with open(folder / "output", "w+") as output:  # a file: a pipe would wait for every process of Ray's
        status = subprocess.run(command, env=os.environ | own, stdout=output, stderr=output, timeout=600).returncode
        output.seek(0)
        assert status == 0, output.read()[-5000:]
    return json.loads((folder / "record.json").read_text())


if __name__ == "__main__":
    target = Path(sys.argv[2])
    (target / "record.json").write_text(json.dumps(check_smoke(sys.argv[1], target)))
