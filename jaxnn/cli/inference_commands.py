"""`jaxnn evaluate` measures a checkpoint on the test data; `jaxnn predict` classifies image files with it."""

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
    """Measures a checkpoint of a run on its test data."""

    run: Annotated[str, tyro.conf.Positional]
    """Names the run folder."""
    step: Checkpoint | None = None
    """Selects the checkpoint: last, best, or a step; by default best, or last if no data were held out."""
    recipe: str | None = None
    """Names the code of the recipe, FILE.py:NAME, if it is not one of jaxnn; the code is run only if named here."""
    data_folder: str | None = None
    """Names the folder of the data files, if it is not a usual one; the folder named in the run folder is not used."""
    json: bool = False
    """Prints JSON."""


@dataclass(frozen=True)
class PredictionFlags:
    """Classifies image files by a checkpoint of a run, or by the mean probabilities of all members of an ensemble."""

    run: Annotated[str, tyro.conf.Positional]
    """Names the folder of a run or of an ensemble."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Names the image files, of the size that the model was trained on."""
    step: Checkpoint | None = None
    """Selects the checkpoint: last, best, or a step; by default best, or last if no data were held out."""
    recipe: str | None = None
    """Names the code of the recipe, FILE.py:NAME, if it is not one of jaxnn; the code is run only if named here."""
    data_folder: str | None = None
    """Names the folder of the data files, if it is not a usual one; the folder named in the run folder is not used."""
    resize: bool = False
    """Resizes images of another size."""
    invert: bool = False
    """Converts dark on light to light on dark, as in MNIST."""
    top: Count = 3
    """Sets how many classes are printed for an image."""
    json: bool = False
    """Prints JSON, one line for each image."""


def evaluate_command(args) -> int:
    """Prints the metrics of the recipe of the run over the whole test split."""
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
    """Prints the most probable classes of each image; if an image cannot be read, nothing is printed."""
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
    """Returns `images -> (n, classes) probabilities`, the shape of an image, and the names of the classes."""
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
