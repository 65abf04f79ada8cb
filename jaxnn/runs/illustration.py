"""Functions that draw the pictures of a finished run and write the page that shows them."""

import itertools
import shlex
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.metrics import confusion_matrix, wilson_interval
from jaxnn.plots import plot_confusion, plot_curves, plot_filters, plot_mistakes, save_figure
from jaxnn.plots.figure_style import new_figure, png_of
from jaxnn.runs.report_page import Picture, grouped, write_report
from jaxnn.runs.run_folder import read_config
from jaxnn.training import predict
from jaxnn.training.batching import count_examples
from jaxnn.training.evaluation import compile_prediction
from jaxnn.training.objectives import Supervised
from jaxnn.training.placement_contract import ONE_DEVICE

_OF_THE_OPTIMIZER = ("momentum", "b1", "b2", "eps", "weight_decay", "dropout_rate", "label_smoothing")


def illustrate(folder: Path, task, outcome, *, pictures, seconds: float) -> Path:
    """Writes `curves.png`, the pictures of the recipe and `report.html`, and returns the path of the page.

    Args:
      folder: the run folder.
      task: the task that was trained (`training_run.Task`).
      outcome: the outcome of the training (`training_run.Outcome`).
      pictures: the function of the recipe, `pictures(folder, task, state, judged) -> list of Picture`, or None.
      seconds: the time that the command has taken so far.
    """
    record, result, history = read_config(folder), outcome.result, outcome.history
    row = result.get("best", result.get("last"))
    drawn = [_curves(folder, history)] if history else []
    judged = _judged(task, outcome.state)
    drawn += [] if pictures is None else pictures(folder, task, outcome.state, judged)
    return write_report(
        folder,
        title=f"{record['config']['model']} on {record['config']['data']}",
        kicker=f"{folder.name}, started {record['created'].replace('T', ' ').replace('+00:00', ' UTC')}",
        numbers=_numbers(task, outcome.state, history),
        history=history,
        result=row,
        interval=None if judged is None else tuple(map(float, judged.interval)),
        command=shlex.join(["jaxnn", *record["command"][1:]]),
        pictures=drawn,
        matrix=None if judged is None else judged.matrix,
        classes=task.classes,
        facts=_facts(record, task, history, seconds),
        configuration=record["config"],
    )


def prepare_pictures(task, event, placement) -> None:
    """Imports the plotting library while the step is compiled, and queues the compilation of the predictions behind it.

    It is called at the event `training.Compiling`. The predictions are compiled for a classifier on one device only.
    """
    png_of(new_figure(1, 1))
    objective = task.trial.objective
    if _is_classifier(task) and placement == ONE_DEVICE:
        inputs = jax.eval_shape(jnp.asarray, task.test[objective.fields[0]])
        compile_prediction(objective.model, event.state, inputs, preprocess=objective.preprocess, after=event.last)


class Judged(NamedTuple):
    """Holds how a classifier judges the test data.

    Attributes:
      confidence: the probability that the classifier gives to each of its answers.
      predicted: the predicted class of each example.
      matrix: the confusion matrix of the predictions.
      interval: the 95 % confidence interval of the accuracy.
    """

    confidence: np.ndarray
    predicted: np.ndarray
    matrix: np.ndarray
    interval: tuple


def classifier_pictures(folder: Path, task, state, judged: Judged) -> list[Picture]:
    """Draws the confusion matrix and, for images, the worst mistakes and the weights of the first layer."""
    confusion = partial(plot_confusion, judged.matrix, task.classes)
    pictures = [_picture(folder / "confusion.png", "Test examples by true and predicted class", confusion)]
    pictures = [pictures[0]._replace(is_half=True)]
    inputs, labels = (task.test[name] for name in task.trial.objective.fields)
    if inputs.ndim != 4:
        return pictures
    inverts = inputs.shape[-1] != 3
    mistakes = partial(plot_mistakes, inputs, labels, judged.predicted, judged.confidence, task.classes)
    note = "In brackets the probability that the network gave to its answer."
    picture = _picture(folder / "mistakes.png", "The most confidently wrong test images", mistakes)
    pictures.append(picture._replace(note=note, inverts=inverts))
    first = _plot_first_layer(state.params, inputs.shape[1:])
    if first is not None:
        png = save_figure(first, folder / "filters.png").read_bytes()
        pictures.append(Picture("Weights of the first layer", png, is_half=True, inverts=inverts))
    return pictures


def _judged(task, state) -> Judged | None:
    """Judges the test data by the state; returns None if the task is not a classification."""
    if not _is_classifier(task):
        return None
    objective = task.trial.objective
    inputs, labels = (task.test[name] for name in objective.fields)
    logits = jnp.asarray(predict(objective.model, state, inputs, preprocess=objective.preprocess))
    return Judged(*jax.device_get(_judge(logits, labels, len(task.classes))))


def _is_classifier(task) -> bool:
    return bool(task.classes) and isinstance(task.trial.objective, Supervised)


@partial(jax.jit, static_argnums=2)
def _judge(logits, labels, classes):
    """Returns the confidences, the predictions, their confusion matrix and the confidence interval of the accuracy."""
    predicted = jnp.argmax(logits, axis=1)
    matrix = confusion_matrix(predicted, labels, classes=classes)
    sure = wilson_interval(jnp.trace(matrix), matrix.sum())
    return jax.nn.softmax(logits).max(axis=1), predicted, matrix, sure


def _curves(folder, history) -> Picture:
    curves = _picture(folder / "curves.png", "The measures by epoch", partial(plot_curves, history))
    note = "Training: the mean over the batches of an epoch, while the network learns. Validation: after the epoch."
    return curves._replace(note=note)


def _picture(path: Path, caption: str, plot) -> Picture:
    """Draws a picture in its wide and in its narrow form; the wide form is saved to `path`."""
    return Picture(caption, save_figure(plot(), path).read_bytes(), png_of(plot(narrow=True)))


def _plot_first_layer(params, shape):
    """Plots the first kernel, in the order of the layers, whose inputs are the pixels of images of this shape."""
    kernels = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if "kernel" in str(path[-1])]
    for kernel in map(np.asarray, kernels):
        if kernel.ndim == 4 and kernel.shape[2] == shape[2]:
            return plot_filters(kernel)
        if kernel.ndim == 2 and kernel.shape[0] == np.prod(shape):
            return plot_filters(kernel, image_shape=shape)
    return None


def _numbers(task, state, history):
    return {
        "parameters": grouped(sum(leaf.size for leaf in jax.tree.leaves(getattr(state, "params", state)))),
        "training examples": grouped(count_examples(task.train)),
        "steps": grouped(int(state.step)),
        "trained for": f"{sum(_parts(history)):.1f} s",
    }


def _facts(record, task, history, seconds):
    config, machine, stops = record["config"], record["platform"], len(_parts(history)) - 1
    set_values = "".join(f", {name} {config[name]}" for name in _OF_THE_OPTIMIZER if config.get(name))
    return {
        "model": config["model"],
        "data": f"{config['data']}, {grouped(count_examples(task.test))} test examples{_held(task)}",
        "optimizer": f"{config['optimizer']}{set_values}",
        "learning rate": f"{config['learning_rate']}, {config['schedule']}",
        "batches": f"of {config['batch_size']} examples",
        "seed": config["seed"],
        "time": _time_told(seconds, stops),
        "device": f"{machine['device_count']} × {machine['device_kind']}, {machine['cpu_count']} cores",
        "versions": ", ".join(f"{k} {v}" for k, v in {"jaxnn": record["jaxnn"], **record["versions"]}.items()),
    }


def _held(task) -> str:
    return "" if task.validation is None else f", {grouped(count_examples(task.validation))} held out of training"


def _time_told(seconds: float, stops: int) -> str:
    """Describes the time that the command took, and how often the run was stopped and resumed.

    >>> _time_told(20.0, 0), _time_told(9.5, 2)
    ('20.0 s for the whole command', 'stopped and resumed 2 times; the last part took 9.5 s')
    """
    if stops < 1:
        return f"{seconds:.1f} s for the whole command"
    return f"stopped and resumed {'once' if stops == 1 else f'{stops} times'}; the last part took {seconds:.1f} s"


def _parts(history) -> list[float]:
    """Returns the seconds of each part of a run up to its last evaluation; each resumption restarts the clock at 0.

    >>> _parts([{"seconds": 5.0}, {"seconds": 9.0}, {"seconds": 4.0}])
    [9.0, 4.0]
    """
    clock = [row["seconds"] for row in history]
    return [now for now, then in itertools.zip_longest(clock, clock[1:], fillvalue=0.0) if then <= now]
