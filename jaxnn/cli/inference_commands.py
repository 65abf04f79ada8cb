"""`jaxnn evaluate` measures a checkpoint on the test data; `jaxnn predict` classifies image files with it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import tyro

from jaxnn.cli.field_rules import Matching
from jaxnn.cli.main import parse
from jaxnn.cli.recorded_places import place_data
from jaxnn.cli.training_commands import config_of, name_recipe
from jaxnn.cli.training_flags import Count, load_data
from jaxnn.naming import shown

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
    """Names the image files; a folder means the images in it, and a pattern such as '*.png' what it matches."""
    step: Checkpoint | None = None
    """Selects the checkpoint: last, best, or a step; by default best, or last if no data were held out."""
    recipe: str | None = None
    """Names the code of the recipe, FILE.py:NAME, if it is not one of jaxnn; the code is run only if named here."""
    data_folder: str | None = None
    """Names the folder of the data files, if it is not a usual one; the folder named in the run folder is not used."""
    resize: bool = False
    """Fits images of another size into the size that the model was trained on; the aspect ratio is kept."""
    prepare: Literal["none", "mnist"] = "none"
    """Finds a handwritten digit in each image, scales it to 20 of 28 pixels and centres its mass, as MNIST was made."""
    invert: Literal["auto", "yes", "no"] = "auto"
    """Inverts images: auto if their border is light and that of the training images dark, or the other way round."""
    background: str | None = None
    """Names the colour on which transparent images are laid, such as white or '#ffeecc'."""
    levels: Annotated[str, Matching(r"[^:]+:[^:]+", "BLACK:WHITE, such as 0:4095")] | None = None
    """Says which grey levels of the files are black and white, if the files do not: BLACK:WHITE, such as 0:4095."""
    show: str | None = None
    """Names a PNG file to write, in which the images are as the model sees them."""
    top: Count = 3
    """Sets how many classes are printed for an image."""
    json: bool = False
    """Prints JSON, one line for each image."""
    csv: bool = False
    """Prints a table with the columns image, rank, class, probability."""


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
    """Prints the most probable classes of each image; if an image cannot be read, nothing is printed.

    Stdout has the answers alone; what is to be said of the images goes to stderr.
    """
    config = parse(PredictionFlags, spell_inversion(args), command="predict")
    _check_prediction(config)
    import numpy as np

    from jaxnn.cli.predicted_pictures import check_sheet, find_pictures, write_sheet
    from jaxnn.cli.prediction_output import FORMS, Hints, rank

    if config.show:
        check_sheet(config.show)
    classifier, hints = _classifier(Path(config.run), config), Hints()
    paths = find_pictures(config.images, hints.add)
    images = np.stack([_read(path, classifier, config, hints) for path in paths])
    ranked = rank(classifier.classify(images), classifier.classes, config.top, run=config.run)
    if config.show:
        write_sheet(config.show, images)
    hints.print()
    FORMS["json" if config.json else "csv" if config.csv else "text"](paths, ranked)
    return 0


def spell_inversion(args) -> list[str]:
    """Returns the words with a value behind --invert, which may stand alone for yes; --no-invert is no.

    >>> spell_inversion(["run", "--invert", "a.png"]), spell_inversion(["run", "--invert", "auto"])
    (['run', '--invert', 'yes', 'a.png'], ['run', '--invert', 'auto'])
    >>> spell_inversion([])
    []
    """
    spelled = []
    for word, following in zip(args, [*args, ""][1:], strict=True):
        is_alone = word == "--invert" and following not in ("auto", "yes", "no")
        spelled += ["--invert", "yes"] if is_alone else ["--invert", "no"] if word == "--no-invert" else [word]
    return spelled


def _check_prediction(config):
    if not config.images:
        raise ValueError("no image given; name one or more image files behind the run folder.")
    if config.json and config.csv:
        raise ValueError("--json must not stand beside --csv. Leave one out.")
    if config.resize and config.prepare != "none":
        raise ValueError("--resize changes nothing with --prepare mnist, which scales by itself. Leave it out.")


def _read(path, classifier, config, hints):
    from jaxnn.data.pictures import read_picture

    return read_picture(
        path,
        classifier.shape,
        resize=config.resize,
        invert={"auto": "auto", "yes": True, "no": False}[config.invert],
        prepare=None if config.prepare == "none" else config.prepare,
        ground=classifier.ground,
        background=config.background,
        levels=_levels(config.levels),
        tell=lambda words: hints.of(path, words),
    )


def _levels(text):
    if text is None:
        return None
    try:
        black, white = map(float, text.split(":"))
    except ValueError:
        raise ValueError(f"--levels must be BLACK:WHITE, such as 0:4095; received {shown(text)}.") from None
    return black, white


class Classifier(NamedTuple):
    """The function `images -> (n, classes) probabilities` of a run, and what the run knows of its training images."""

    classify: Callable
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    ground: Literal["dark", "light"] | None


def _classifier(folder: Path, config: PredictionFlags) -> Classifier:
    from jaxnn.data.picture_preparation import ground_of_all
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

    images = task.train["image"]
    return Classifier(classify, images.shape[1:], task.classes, ground_of_all(images))


def _classifier_of_ensemble(folder, record, step):
    if step not in (None, "last"):
        raise ValueError(f"--step must be last for an ensemble, which keeps no other; received {step!r}.")
    from jaxnn.cli.ensemble_command import restore_ensemble
    from jaxnn.data.picture_preparation import ground_of_all
    from jaxnn.populations import average_probabilities, predict_members

    members, objective, dataset = restore_ensemble(folder, record)

    def classify(images):
        return average_probabilities(predict_members(members, images, preprocess=objective.preprocess))

    images = dataset.train["image"]
    return Classifier(classify, images.shape[1:], dataset.classes, ground_of_all(images))


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
