"""Run plots show the curves, the confusion matrix, the filters and the mistakes of a run.

Each function returns a matplotlib `Figure`. Colour-blind readers can tell the colours apart (Okabe and Ito 2008;
cividis; RdBu). The background is light whatever the user's style is. Neither pyplot nor its global state is used, so
figures can be made in any thread and need not be closed.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from jaxnn.plots.figure_style import BLUE, GREY, VERMILION, in_light_style, new_figure

MOST_MARKED = 30  # up to this number of evaluations, each is also drawn as a point
MOST_COUNTED = 20  # up to this number of classes, the counts are written into the confusion matrix
MOST_FILTERS = 64
MOST_MISTAKES, MOST_NARROW_MISTAKES = 32, 18


@in_light_style
def plot_curves(history: Sequence[dict[str, float]], *, narrow: bool = False):
    """Plots loss and accuracy over the epochs, on training and validation data.

    Older histories have values on the test set, which are also drawn.

    Args:
      history: rows of `metrics.jsonl` or `Fitted.history`, oldest first: "train/loss", "validation/loss",
        "train/accuracy", "validation/accuracy", and "epoch" (without it, rows are numbered). Missing keys are not
        drawn; NaN leaves a gap.
      narrow: True puts the loss above the accuracy and not beside it, for a phone.

    Raises:
      ValueError: if there is no row, or the rows have neither loss nor accuracy.
    """
    metrics = [
        metric for metric in ("loss", "accuracy") if any(f"{s}/{metric}" in row for row in history for s in _SPLITS)
    ]
    if not metrics:
        raise ValueError(
            '`history` must have rows with "train/loss" or "validation/accuracy" and the like; received '
            f"{len(history)} rows. Was the run evaluated once?"
        )
    figure = new_figure(4.4, 3.4 * len(metrics)) if narrow else new_figure(5.6 * len(metrics), 4.2)
    axes = figure.subplots(*((len(metrics), 1) if narrow else (1, len(metrics))), squeeze=False)
    for ax, metric in zip(axes.flat, metrics, strict=True):
        _draw_metric(ax, history, metric)
        ax.title.set_size(12 if narrow else 14)
    return figure


_SPLITS = {
    "train": {"color": GREY, "linestyle": "--", "marker": "s"},
    "validation": {"color": BLUE, "marker": "o"},
    "test": {"color": BLUE, "marker": "o"},
}


def _draw_metric(ax, history, metric) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    epochs = [row.get("epoch", i) for i, row in enumerate(history, start=1)]
    for split, look in _SPLITS.items():
        values = np.array([row.get(f"{split}/{metric}", math.nan) for row in history], float)
        marker = {"marker": look["marker"] if len(history) <= MOST_MARKED else "", "markersize": 5}
        if np.isfinite(values).any():
            ax.plot(epochs, values, **look | marker, label={"train": "training"}.get(split, split))
    ax.set(title=metric.capitalize(), xlabel="epoch", ylabel=_LABELS[metric])
    ax.grid(True)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if metric == "accuracy":
        ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        _mark_best(ax, epochs, history)
    elif _spans_decades(history, metric):
        ax.set_yscale("log")
    ax.legend(loc="lower right" if metric == "accuracy" else "upper right")


_LABELS = {"loss": "mean loss per example", "accuracy": "share classified correctly"}


def _mark_best(ax, epochs, history) -> None:
    """Rings the best accuracy on data that was not trained on, and writes it into the title."""
    split = "validation" if any("validation/accuracy" in row for row in history) else "test"
    values = np.array([row.get(f"{split}/accuracy", math.nan) for row in history], float)
    if not np.isfinite(values).any():
        return
    best = int(np.nanargmax(values))
    ax.plot(epochs[best], values[best], "o", markersize=11, markerfacecolor="none", color=VERMILION, markeredgewidth=2)
    ax.set_title(f"Best on {split}: {_percent(float(values[best]))} (epoch {epochs[best]:g})")


def _spans_decades(history, metric) -> bool:
    values = np.array([row[key] for row in history for key in row if key.endswith(f"/{metric}")], float)
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() / values.min() > 30)


@in_light_style
def plot_confusion(matrix, classes: Sequence[str], *, narrow: bool = False):
    """Plots the confusion matrix: counts in the cells, and colour by the share of the true class on a log scale.

    On a linear scale, the mistakes of a good classifier would be as white as zero.

    Args:
      matrix: (k, k) counts, [true class, predicted class].
      classes: k names.
      narrow: True makes a small picture without the colour bar, for a phone.

    Raises:
      ValueError: if the shapes do not match.
    """
    from matplotlib.colors import LogNorm

    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"`matrix` must be square, a row for each of {len(classes)} classes; received {matrix.shape}.")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(1.4 + 0.56 * len(classes), 10)
    figure = new_figure(4.4, 4.6) if narrow else new_figure(side + 2.2, side + 0.6)
    ax = figure.subplots()
    norm = LogNorm(1e-3, 1, clip=True)
    picture = ax.imshow(np.ma.masked_equal(shares, 0), cmap="Blues", norm=norm)
    if not narrow:
        bar = figure.colorbar(picture, ax=ax, aspect=30, ticks=[1e-3, 1e-2, 1e-1, 1], label="share of the true class")
        bar.ax.set_yticklabels(["≤ 0.1 %", "1 %", "10 %", "100 %"])
    _name_classes(ax, classes)
    if len(classes) <= (MOST_COUNTED if not narrow else 10):
        _write_counts(ax, matrix, shares, norm, size=9 if narrow or matrix.max() >= 10_000 else 12)
    total = max(matrix.sum(), 1)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.set_title(f"{_percent(float(np.trace(matrix) / total))} of {_grouped(int(matrix.sum()))} correct")
    return figure


def _name_classes(ax, classes) -> None:
    shown = range(0, len(classes), math.ceil(len(classes) / 25))
    is_long = max(map(len, classes)) > 3
    names = [_literal(classes[i]) for i in shown]
    ax.set_xticks(
        shown, names, rotation=45 if is_long else 0, ha="right" if is_long else "center", rotation_mode="anchor"
    )
    ax.set_yticks(shown, names)
    ax.tick_params(length=0)
    ax.spines[:].set(visible=True, color="#E3E3E3")


def _write_counts(ax, matrix, shares, norm, *, size) -> None:
    for edge in np.arange(len(matrix) - 1) + 0.5:
        ax.axhline(edge, color="#E3E3E3", linewidth=1)
        ax.axvline(edge, color="#E3E3E3", linewidth=1)
    for i, j in np.argwhere(matrix):
        colour = "white" if norm(shares[i, j]) > 0.7 else "black"
        weight = "bold" if i == j else "normal"
        ax.text(j, i, str(matrix[i, j]), color=colour, ha="center", va="center", weight=weight, size=size)


@in_light_style
def plot_filters(kernel, *, image_shape: tuple[int, ...] | None = None):
    """Plots the filters of a first layer as small images; at most the first `MOST_FILTERS`.

    With one input channel, blue is negative, white is zero and red is positive, on one scale for all filters. With
    three input channels, they are drawn as red, green and blue, and grey is zero.

    Args:
      kernel: (height, width, 1 or 3, filters); or (inputs, units) of a dense layer, together with `image_shape`.
      image_shape: (height, width, channels) of the images that a dense layer sees.

    Raises:
      ValueError: if the kernel has another shape.
    """
    kernel = _as_filters(np.asarray(kernel, np.float32), image_shape)
    count, filters = min(kernel.shape[3], MOST_FILTERS), np.moveaxis(kernel, 3, 0)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    figure = new_figure(max(4.4, 1.1 * columns + 1.4), 1.25 * rows + 0.6)
    axes = figure.subplots(rows, columns, squeeze=False)
    largest = float(np.abs(filters[:count]).max()) or 1.0
    for i, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if i < count:
            picture = _draw_filter(ax, filters[i], largest)
            ax.set_title(str(i + 1), fontsize=10, pad=2)
    shown = f"{count} of {kernel.shape[3]}" if count < kernel.shape[3] else str(count)
    figure.suptitle(f"{shown} filters, {kernel.shape[0]} x {kernel.shape[1]}", fontsize=14)
    if kernel.shape[2] == 1:
        figure.colorbar(picture, ax=axes, shrink=0.8, label="weight")
    return figure


def _as_filters(kernel, image_shape):
    if kernel.ndim == 2 and image_shape is not None and math.prod(image_shape) == len(kernel):
        kernel = kernel.reshape(*image_shape, -1)
    if kernel.ndim != 4 or kernel.shape[2] not in (1, 3):
        raise ValueError(
            "`kernel` must have shape (height, width, 1 or 3, filters), or (inputs, units) with an `image_shape` "
            f"(height, width, channels) of as many inputs; received {kernel.shape} with {image_shape}."
        )
    return kernel


def _draw_filter(ax, weights, largest):
    if weights.shape[2] == 1:
        return ax.imshow(weights[:, :, 0], cmap="RdBu_r", vmin=-largest, vmax=largest)
    return ax.imshow(0.5 + 0.5 * weights / largest)


@in_light_style
def plot_mistakes(images, labels, predicted, confidence, classes: Sequence[str], *, narrow: bool = False):
    """Plots the images that were classified wrongly with the most confidence, the worst first.

    Args:
      images: (n, height, width, 1 or 3), bytes or floats in [0, 1].
      labels, predicted: (n,) class indices.
      confidence: (n,) the probability that the model gave to its prediction.
      classes: the names of the classes.
      narrow: True makes rows of three images instead of eight, and shows fewer images, for a phone.

    Raises:
      ValueError: if the arrays differ in length.
    """
    arrays = [np.asarray(array) for array in (images, labels, predicted, confidence)]
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(f"the arrays must have one length; received {[len(array) for array in arrays]}.")
    images, labels, predicted, confidence = arrays
    wrong = np.flatnonzero(labels != predicted)
    most, columns = (MOST_NARROW_MISTAKES, 3) if narrow else (MOST_MISTAKES, 8)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    if not len(worst):
        return _blank(f"no mistake in {_grouped(len(labels))} images")
    columns = min(len(worst), columns)
    rows = math.ceil(len(worst) / columns)
    above = 0.55 if max(map(len, classes)) <= 3 else 0.8  # inches for the text over an image
    width, height = max(1.5 * columns, 4.6 if narrow else 6), (1.35 + above) * rows + 0.5
    figure = new_figure(width, height, layout=None)  # a regular grid needs no solver
    inside = {"left": 0.015, "right": 0.985, "bottom": 0.1 / height, "top": 1 - (0.45 + above) / height}
    figure.subplots_adjust(**inside, wspace=0.15, hspace=above / 1.3)
    for ax, i in itertools.zip_longest(figure.subplots(rows, columns, squeeze=False).flat, worst):
        if i is None:
            ax.set_axis_off()
            continue
        _draw_image(ax, images[i])
        ax.set_title(_verdict(classes[labels[i]], classes[predicted[i]], float(confidence[i])), fontsize=12, pad=4)
    title = _mistakes_title(len(labels), len(wrong), len(worst))
    figure.suptitle(title, fontsize=11 if narrow else 14, y=1 - 0.12 / height, va="top")
    return figure


def _draw_image(ax, image) -> None:
    is_grey = image.ndim == 2 or image.shape[2] == 1
    ax.imshow(image.reshape(image.shape[:2]) if is_grey else image, cmap="gray_r" if is_grey else None)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#C8C8C8")


def _mistakes_title(images: int, mistakes: int, shown: int) -> str:
    """Returns the title: the number of mistakes, and how many of them the grid shows.

    >>> _mistakes_title(10000, 303, 32), _mistakes_title(100, 1, 1)
    ('303 mistakes in 10 000 images: the 32 most confident', '1 mistake in 100 images')
    """
    title = f"{_grouped(mistakes)} mistake{'s' * (mistakes > 1)} in {_grouped(images)} images"
    return title if shown == mistakes else f"{title}: the {shown} most confident"


def _verdict(label: str, predicted: str, confidence: float) -> str:
    """Returns the text over a mistake; long names are cut, so that neighbours do not overlap.

    >>> _verdict("4", "9", 0.98)
    'true 4,\\nsaid 9 (0.98)'
    >>> _verdict("Siamese cat", "Egyptian cat, Mau", 0.98)
    'true Siamese cat,\\nsaid Egyptian ca…\\n(0.98)'
    """
    label, predicted = (name if len(name) <= 12 else name[:11] + "…" for name in (label, predicted))
    space = " " if len(predicted) <= 3 else "\n"
    return f"true {_literal(label)},\nsaid {_literal(predicted)}{space}({confidence:.2f})"


def _blank(message: str):
    figure = new_figure(4.5, 1.5)
    figure.text(0.5, 0.5, message, ha="center", va="center")
    return figure


def _literal(text: str) -> str:
    """Returns the text with its dollar signs escaped, because matplotlib sets text between them as mathematics."""
    return text.replace("$", r"\$")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
