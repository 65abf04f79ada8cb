"""Study plots show ensembles, studies, learning-rate sweeps and cross-validation.

Each function takes arrays and returns a matplotlib `Figure`. Shares are drawn in percent; NaN is a run that diverged.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.plots.figure_style import BLUE, GREY, VERMILION, in_light_style, new_figure
from jaxnn.plots.hyperparameter_axes import mark_values
from jaxnn.plots.score_scales import (
    checked_scores,
    colour_limits,
    is_log,
    is_share,
    literal,
    ranked,
    setting_told,
    with_unit,
)

MOST_MARKED = 30  # a curve with more points than this has no markers
MOST_NAMES = 24  # settings that are drawn, each in its own row


@in_light_style
def plot_ensemble_errors(members, averaged, voted, single):
    """Plots the test error against the number of members, over random subsets, and the error of a single member.

    Args:
      members: (s,) numbers of members.
      averaged, voted: (s, draws) errors in [0, 1], from averaged probabilities and from votes.
      single: (M,) errors of the single members.

    Raises:
      ValueError: if the arrays have other shapes.
    """
    from matplotlib.ticker import MaxNLocator

    members, averaged, voted, single = (np.asarray(array, float) for array in (members, averaged, voted, single))
    if averaged.ndim != 2 or averaged.shape != voted.shape or members.shape != averaged.shape[:1]:
        raise ValueError(
            "`members` must be (s,), `averaged` and `voted` (s, draws); received "
            f"{members.shape}, {averaged.shape} and {voted.shape}."
        )
    figure = new_figure(8, 5)
    ax = figure.subplots()
    ax.axhspan(*(100 * (single.mean() + side * single.std()) for side in (-1, 1)), color="#E3E3E3", zorder=0)
    ax.axhline(100 * single.mean(), color=GREY, linestyle=":", label="one member: mean ± sd")
    for errors, colour, dashes, marker, name in (
        (voted, VERMILION, "--", "s", "votes: mean"),
        (averaged, BLUE, "-", "o", "averaged probabilities: mean ± sd"),
    ):
        mean, sd = 100 * errors.mean(axis=1), 100 * errors.std(axis=1)
        if errors is averaged:
            ax.fill_between(members, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
        few = {"marker": marker, "markersize": 6} if len(members) <= MOST_MARKED else {}
        ax.plot(members, mean, color=colour, linestyle=dashes, label=name, **few)
    ax.set(xlabel="members in the ensemble", ylabel="test error (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(True, axis="y")
    ax.legend()
    gained = 100 * single.mean(), 100 * averaged[-1].mean()
    ax.set_title(f"{gained[0]:.2f} % alone, {gained[1]:.2f} % together", loc="left")
    return figure


@in_light_style
def plot_study(x, mean, interval, *, xlabel: str, ylabel: str):
    """Plots means with their intervals over a quantity.

    The axis of the quantity is logarithmic if it spans more than a decade (see `is_log`).

    Args:
      x: (points,) numbers.
      mean: (points,).
      interval: a pair (low, high) of (points,), such as from `metrics.student_interval`; NaN (one repeat) has no bar.
      xlabel, ylabel: with their units.

    Raises:
      ValueError: if the arrays have other shapes.
    """
    x, mean, interval = (np.asarray(array, float) for array in (x, mean, interval))
    if x.ndim != 1 or mean.shape != x.shape or interval.shape != (2, len(x)):
        raise ValueError(
            "`x` and `mean` must be (points,), `interval` a pair of them; received "
            f"{x.shape}, {mean.shape} and {interval.shape}."
        )
    figure = new_figure(7.6, 4.8)
    ax = figure.subplots()
    bars = np.nan_to_num(np.stack([mean - interval[0], interval[1] - mean]))
    ax.errorbar(x, mean, bars, color=BLUE, marker="o", markersize=6, capsize=5, elinewidth=1.5)
    ax.set(xlabel=literal(xlabel), ylabel=literal(ylabel))
    if is_log(x):
        ax.set_xscale("log")
        if len(x) <= 8:
            mark_values(ax.xaxis, x.tolist())
    ax.grid(True)
    return figure


@in_light_style
def plot_rate_sweep(rates, losses, suggestion: float | None):
    """Plots the loss after a few steps against the learning rate, and the suggested learning rate.

    Args:
      rates, losses: (points,); a loss that is not finite means that the run diverged.
      suggestion: a learning rate; None draws no line.

    Raises:
      ValueError: if the arrays have other shapes.
    """
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    if rates.ndim != 1 or rates.shape != losses.shape:
        raise ValueError(f"`rates` and `losses` must be (points,); received {rates.shape} and {losses.shape}.")
    figure = new_figure(7.6, 4.8)
    ax = figure.subplots()
    finite = np.isfinite(losses)
    ax.plot(rates[finite], losses[finite], color=BLUE, marker="o", markersize=5)
    if finite.any():
        _, high = colour_limits(losses, "loss")
        span = high - losses[finite].min()
        ax.set_ylim(losses[finite].min() - 0.08 * span - 1e-9, high + 0.08 * span + 1e-9)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    if suggestion is not None:
        ax.axvline(suggestion, color=VERMILION, linestyle="--")
        ax.set_title(f"suggested learning rate: {suggestion:.2g} (dashed)", loc="left")
    for rate in rates[~finite]:
        ax.axvline(rate, color=GREY, linewidth=1, linestyle=":", alpha=0.6)
    ax.grid(True)
    return figure


@in_light_style
def plot_cross_validation(
    settings: Sequence[Mapping[str, Any]], scores, standard_error, *, best: int, chosen: int, metric: str
):
    """Plots settings below one another, best first: every fold, the mean, its standard error, and the best one's band.

    Args:
      settings: all settings; the first `MOST_NAMES` by rank are drawn.
      scores: (settings, folds), NaN where a run diverged.
      standard_error: (settings,) of the mean.
      best, chosen: the positions of the best setting, and of the simplest one within one standard error of it.
      metric: the name of the score.

    Raises:
      ValueError: if there is not one row of scores for each setting.
    """
    scores, standard_error = np.asarray(scores, float), np.asarray(standard_error, float)
    checked_scores(settings, scores.mean(axis=1))
    mean = scores.mean(axis=1)
    shown = ranked(mean, metric)[:MOST_NAMES]
    figure = new_figure(9.5, 1.8 + 0.42 * len(shown))
    ax = figure.subplots()
    scale = 100 if is_share(metric) else 1
    band = [scale * (mean[best] + side * standard_error[best]) for side in (-1, 1)]
    ax.axvspan(*band, color="#DCE9F3", zorder=0, label="best ± one standard error")
    for row, i in enumerate(shown):
        colour = VERMILION if i == chosen else BLUE
        ax.plot(scale * scores[i], np.full(scores.shape[1], row), ".", color=GREY, markersize=6, alpha=0.6)
        ax.errorbar(scale * mean[i], row, xerr=scale * standard_error[i], color=colour, marker="D", capsize=5)
        if np.isnan(mean[i]):
            ax.text(0.01, row, "diverged", color=GREY, va="center", transform=ax.get_yaxis_transform())
    ax.plot([], [], "D", color=VERMILION, label="simplest within it")
    ax.plot([], [], ".", color=GREY, label="one fold")
    ax.set_yticks(range(len(shown)), [setting_told(settings[i]) for i in shown])
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlabel=with_unit(metric))
    ax.grid(True, axis="x")
    figure.legend(loc="outside upper left", ncols=3, fontsize=11)
    return figure
