"""The pictures of a finished run, and the page that shows them."""

import json
import shlex
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.diagnostics import plot_confusion, plot_curves, plot_filters, plot_mistakes, save_figure
from jaxnn.metrics import confusion_matrix
from jaxnn.runs.report_page import write_report
from jaxnn.runs.run_folder import read_config
from jaxnn.training import predict


def illustrate(folder: Path, task, state, history, *, seconds: float) -> Path:
    """Writes `curves.png`, `confusion.png`, `filters.png`, `mistakes.png` and `report.html`; returns the page's path.

    Args:
      folder: the run folder.
      task: what was trained (`training_run.Task`).
      state: the trained state.
      history: the run's evaluations, as `read_metrics` gives them.
      seconds: what the command took so far.
    """
    logits = jnp.asarray(predict(task.model, state, task.test["image"], preprocess=task.preprocess))
    probabilities, predicted, matrix = jax.device_get(_judge(logits, task.test["label"], len(task.classes)))
    mistakes = plot_mistakes(task.test["image"], task.test["label"], predicted, probabilities.max(axis=1), task.classes)
    figures = {
        "curves": ("Loss and accuracy by epoch", plot_curves(history)),
        "confusion": ("Test images by true and predicted class", plot_confusion(matrix, task.classes)),
        "filters": ("Weights of the first layer", _plot_first_layer(state.params, task)),
        "mistakes": ("The most confidently wrong test images", mistakes),
    }
    for name, (_, figure) in figures.items():
        if figure is not None:
            save_figure(figure, folder / f"{name}.png")
    return write_report(
        folder,
        title=folder.name,
        command=shlex.join(["jaxnn", *read_config(folder)["command"][1:]]),
        facts=_facts(folder, state, history, seconds),
        history=history,
        pictures={caption: folder / f"{name}.png" for name, (caption, figure) in figures.items() if figure is not None},
        matrix=matrix,
        classes=task.classes,
    )


@partial(jax.jit, static_argnums=2)
def _judge(logits, labels, classes):
    predicted = jnp.argmax(logits, axis=1)
    return jax.nn.softmax(logits), predicted, confusion_matrix(predicted, labels, classes=classes)


def _plot_first_layer(params, task):
    """The first kernel in the order of the layers, if it looks at pixels."""
    kernels = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if "kernel" in str(path[-1])]
    shape = task.test["image"].shape[1:]
    for kernel in map(np.asarray, kernels):
        if kernel.ndim == 4 and kernel.shape[2] == shape[2]:
            return plot_filters(kernel)
        if kernel.ndim == 2 and kernel.shape[0] == np.prod(shape):
            return plot_filters(kernel, image_shape=shape)
    return None


def _facts(folder, state, history, seconds):
    record = read_config(folder)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return {
        "model": f"{record['config']['model']}, {parameters:,} parameters",
        "data": record["config"]["data"],
        "steps": f"{int(state.step):,} of {record['config']['batch_size']} images, {len(history)} epochs",
        "time": f"{seconds:.1f} s in all, {history[-1]['seconds']:.1f} s to the last evaluation",
        "device": f"{record['platform']['device_count']} x {record['platform']['device_kind']}",
        "versions": ", ".join(f"{k} {v}" for k, v in {"jaxnn": record["jaxnn"], **record["versions"]}.items()),
        "configuration": json.dumps(record["config"]),
        "started": record["created"],
    }
