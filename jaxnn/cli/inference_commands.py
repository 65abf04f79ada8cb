"""`jaxnn evaluate` and `jaxnn predict`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.field_rules import Matching
from jaxnn.cli.main import parse
from jaxnn.cli.recorded_places import place_data
from jaxnn.cli.training_commands import config_of, name_recipe
from jaxnn.cli.training_flags import Count, load_data

Checkpoint = Annotated[str, Matching(r"last|best|[0-9]{1,10}", "last, best or the number of a step")]


@dataclass(frozen=True)
class EvaluationFlags:
    """Measure a run's checkpoint on its test data."""

    run: Annotated[str, tyro.conf.Positional]
    """The run folder."""
    step: Checkpoint | None = None
    """Which checkpoint: last, best, or a step; by default the best on the data held out, or the last if none were."""
    recipe: str | None = None
    """The code that the run was trained by, FILE.py:NAME, if it is none of jaxnn's; it is run only if named here."""
    data_folder: str | None = None
    """Where the data set's files lie, if not in the usual places; what the run folder says of it is not followed."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True)
class PredictionFlags:
    """Classify image files with a run's checkpoint, or with all members of an ensemble: their mean probabilities."""

    run: Annotated[str, tyro.conf.Positional]
    """The folder of a run or of an ensemble."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Image files, of the size that the model was trained on."""
    step: Checkpoint | None = None
    """Which checkpoint: last, best, or a step; by default the best on the data held out, or the last if none were."""
    recipe: str | None = None
    """The code that the run was trained by, FILE.py:NAME, if it is none of jaxnn's; it is run only if named here."""
    data_folder: str | None = None
    """Where the data set's files lie, if not in the usual places; what the run folder says of it is not followed."""
    resize: bool = False
    """Resize images of another size."""
    invert: bool = False
    """Turn dark on light into light on dark, as MNIST is."""
    top: Count = 3
    """How many classes to name for an image."""
    json: bool = False
    """Print JSON, a line an image."""


def evaluate_command(args) -> int:
    """Prints what the run's recipe measures, over the whole test split."""
    config = parse(EvaluationFlags, args, command="evaluate")
    task, state, _ = _restore(config.run, config.step, data_folder=config.data_folder, recipe=config.recipe)
    from jaxnn.runs.training_run import measured
    from jaxnn.training.batching import count_examples

    row = measured(task, {"state": state})["state"]
    if config.json:
        print(json.dumps({"run": config.run, **row}))
        return 0
    print(f"{config.run}, step {row.pop('step')}, {row.pop('count')} of {count_examples(task.test)} test examples")
    for name in sorted(row, key=lambda name: (name == "loss", name)):
        shown = f"{100 * row[name]:.2f} %" if name.endswith("accuracy") else f"{row[name]:.4f}"
        print(f"  {name:<14}  {shown}")
    return 0


def predict_command(args) -> int:
    """Prints the likeliest classes of each image; nothing is printed unless all images can be read."""
    config = parse(PredictionFlags, args, command="predict")
    if not config.images:
        raise ValueError("no image given; name one or more image files behind the run folder.")
    import numpy as np

    from jaxnn.data.pictures import read_picture

    classify, shape, classes = _classifier(Path(config.run), config)
    images = [read_picture(path, shape, resize=config.resize, invert=config.invert) for path in config.images]
    probabilities = classify(np.stack(images))
    for path, ranked in zip(config.images, _rank(probabilities, classes, config.top), strict=True):
        if config.json:
            print(json.dumps({"image": path, "classes": dict(ranked)}))
        else:
            print(f"{path}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in ranked))
    return 0


def _classifier(folder: Path, config: PredictionFlags):
    """`images -> (n, classes) probabilities`, the shape of an image, and the names of the classes."""
    from jaxnn.runs import read_config

    record = place_data(read_config(folder)["config"], folder, config.data_folder)
    if record.get("command") == "ensemble":
        name_recipe(record, folder, config.recipe)
        return _classifier_of_ensemble(folder, record, config.step)
    task, state, _ = _restore(folder, config.step, data_folder=config.data_folder, recipe=config.recipe)
    import jax

    from jaxnn.training import predict
    from jaxnn.training.objectives import Supervised

    objective = task.trial.objective
    if not isinstance(objective, Supervised) or objective.fields[0] != "image":
        raise ValueError(f"{folder} must be of a classifier of images; received one of {', '.join(task.test)}.")

    def classify(images):
        return jax.nn.softmax(predict(objective.model, state, images, preprocess=objective.preprocess))

    return classify, task.test["image"].shape[1:], task.classes


def _classifier_of_ensemble(folder, record, step):
    if step not in (None, "last"):
        raise ValueError(f"--step must be last for an ensemble, which keeps no other; received {step!r}.")
    from jaxnn.cli.ensemble_command import restore_ensemble
    from jaxnn.populations import average_probabilities, predict_members

    members, objective, dataset = restore_ensemble(folder, record)

    def classify(images):
        return average_probabilities(predict_members(members, images, preprocess=objective.preprocess))

    return classify, dataset.test["image"].shape[1:], dataset.classes


def _rank(probabilities, classes, top):
    import numpy as np

    for row in np.asarray(probabilities):
        best = np.argsort(-row, kind="stable")[:top]
        yield [(classes[k], round(float(row[k]), 6)) for k in best]


def _restore(run, step, *, data_folder, recipe):
    from jaxnn.runs import read_config

    folder = Path(run)
    record = place_data(read_config(folder)["config"], folder, data_folder)
    name_recipe(record, folder, recipe)
    config = config_of(record, where=str(folder / "config.json"))
    from jaxnn.cli.assembly import assemble
    from jaxnn.runs.training_run import restore_state

    task = assemble(config, load_data(config))
    step = step or ("last" if task.monitor is None else "best")
    state, metadata = restore_state(folder, task, step if step in ("last", "best") else int(step))
    return task, state, metadata
