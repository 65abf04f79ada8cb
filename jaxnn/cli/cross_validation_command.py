"""`jaxnn cross-validate` compares settings on every part of the training data in turn."""

import dataclasses
import itertools
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.field_records import record_of
from jaxnn.cli.field_rules import Between, Matching, check_effects
from jaxnn.cli.hyperparameters import grid_values, parse_over, told, train_command
from jaxnn.cli.population_flags import SettingsWithoutTest, Trainings, is_finished, metric_of, parse_with_recipe
from jaxnn.cli.training_flags import check, load_data
from jaxnn.cli.work_limits import MOST_TRAININGS, check_seeds, check_steps, check_trainings
from jaxnn.recipes.named_recipes import known_recipe

REGULARIZERS = ("weight_decay", "dropout_rate", "label_smoothing")


@dataclass(frozen=True)
class CrossValidationFlags:
    """Compares settings by cross-validation: each is trained on all folds except one and measured on that one, in turn.

    jaxnn cross-validate mlp --over hidden=8,32,128 learning_rate=0.002,0.01 --folds 5 --epochs 3

    All settings, folds and seeds are trained side by side. The test data are not used. The result names two settings:
    the best, and the simplest within one standard error of it (fewest weights, then most regularization). The folder
    has every training so far (trials.csv, after each epoch), the table (cross_validation.csv, .json) and a picture of
    the table. A stopped run loses at most one epoch: `jaxnn resume FOLDER` continues it.
    """

    training: tyro.conf.OmitArgPrefixes[SettingsWithoutTest]
    over: tuple[str, ...] = ()
    """Sets what is compared: all combinations of NAME=A,B,C, with the names of `jaxnn search`.
    A range (NAME=log:LOW:HIGH or NAME=LOW:HIGH) is cut into as many points as --trials allows."""
    folds: Annotated[int, Between(2, MOST_TRAININGS)] = 5
    """Sets the number of parts of the training data, which all have equal shares of every class."""
    seeds: Trainings = 1
    """Sets how often each setting is trained on each fold."""
    trials: Trainings = 8
    """Limits the number of settings, if ranges are given."""
    metric: Annotated[str | None, Matching(r"[\w -]{1,40}", "the name of a measure, as accuracy or loss")] = None
    """Names the metric that is measured on the fold left out."""
    out: str | None = None
    """Names a new folder for the results; by default runs/cross-validate-001, -002, ..."""


def cross_validate_command(args) -> int:
    """Prints the mean and standard error of each setting, and the commands that train the chosen settings."""
    return _run(parse_with_recipe(CrossValidationFlags, args, command="cross-validate"), is_made=False)


def resume_cross_validation(folder: Path, record: dict) -> int:
    """Continues a stopped cross-validation; a finished one is left unchanged.

    Raises:
      ValueError: the record was edited, or a saved file is damaged.
    """
    from jaxnn.cli.population_records import read_settings

    return _run(read_settings(CrossValidationFlags, record, folder=folder), is_made=True)


def _run(config: CrossValidationFlags, *, is_made: bool) -> int:
    started = time.perf_counter()
    if is_made and is_finished(config.out, "cross_validation.json"):
        return 0
    values = grid_values(parse_over(config.over, config.training), trials=config.trials)
    settings = math.prod(len(tried) for tried in values.values())
    check_seeds(config.training.seed, config.seeds, "--seeds")
    check_trainings(settings * config.folds * config.seeds, f"{settings} settings, --folds and --seeds")
    if not is_made:
        check_effects(config.training, known_recipe(config.training.model).defaults, over=values)
    from jaxnn import populations
    from jaxnn.cli.population_records import Records
    from jaxnn.cli.population_tasks import make_trainer, spread_over_cores

    spread_over_cores()
    records = Records(config.out, "cross-validate", _record(config), is_made=is_made)
    dataset, seed = load_data(config.training), config.training.seed
    if "label" not in dataset.train:
        raise ValueError(f"cross-validation makes folds with every class; {config.training.data} has no labels.")
    labels = dataset.train["label"]
    learned = _check_folds(config, values, labels)
    parts = {"train": dataset.train, "validation": None, "examples": learned}
    trainer = make_trainer(config.training, dataset, **parts, records=records, keeps=True)
    settings = populations.grid(**values)
    print(f"{len(settings)} settings x {config.folds} folds x {config.seeds} seeds", file=sys.stderr, flush=True)
    with records.kept(config.training):
        validated = populations.cross_validate(
            trainer,
            settings,
            labels,
            folds=config.folds,
            seeds=range(seed, seed + config.seeds),
            epochs=config.training.epochs,
            metric=metric_of(config),
            fold_seed=seed,
        )
        inputs = next(iter(dataset.train.values()))[0].size
        _report(config, validated, records, inputs=inputs, seconds=time.perf_counter() - started)
        records.finish()
    return 0


def _check_folds(config: CrossValidationFlags, values, labels) -> int:
    """Checks folds, batches and steps, and returns the number of examples that a training learns from."""
    import numpy as np

    rarest = int(np.bincount(labels).min())
    if config.folds > rarest:
        raise ValueError(
            f"--folds must be at most the number of examples of the rarest class, {rarest}; received {config.folds}."
        )
    learned = len(labels) - -(-len(labels) // config.folds)
    for size in values.get("batch_size", (config.training.batch_size,)):
        if size > learned:
            raise ValueError(
                f"--batch-size must be at most the examples of all folds but one, {learned}; received {size}."
            )
        check_steps(epochs=config.training.epochs, batch_size=size, examples=learned)
    return learned


def _report(config: CrossValidationFlags, validated, records, *, inputs: int, seconds: float) -> None:
    from jaxnn.cli.population_records import columns
    from jaxnn.plots.study_plots import plot_cross_validation

    best, chosen = validated.best(), validated.one_standard_error(lambda setting: _complexity(setting, inputs))
    records.write_csv("cross_validation.csv", [_row(validated, i) for i in range(len(validated.settings))])
    commands = {"best": _command(config, validated, best), "one_standard_error": _command(config, validated, chosen)}
    results = {"settings": validated.settings, "scores": validated.scores, "mean": validated.mean}
    summary = {"metric": config.metric, **results, "standard_error": validated.standard_error}
    positions = {"best": best, "one_standard_error": chosen}
    records.write_json("cross_validation.json", {**summary, **positions, "commands": commands})
    figure = plot_cross_validation(
        validated.settings, validated.scores, validated.standard_error, metric=metric_of(config).replace("/", " "),
        best=best, chosen=chosen,
    )  # fmt: skip
    records.save_figure("cross_validation.png", figure)
    print(columns([_shown(validated, i, best, chosen) for i in _order(validated)]))
    print(f"{validated.scores.size} trainings in {seconds:.1f} s; table, JSON and picture in {records.folder}")
    print(f"Train the best on all training data, and test it:\n  {commands['best']}")
    if chosen != best:
        print(f"Or the simplest within one standard error:\n  {commands['one_standard_error']}")


def _complexity(setting, inputs: int):
    """Returns the number of weights of the hidden layers, then how little is regularized.

    If none of these values is varied, all settings are equally complex.

    >>> _complexity({"hidden": (10, 5), "weight_decay": 0.5}, 784)
    (7890, -0.5, 0.0, 0.0)
    """
    widths = (inputs, *setting.get("hidden", ()))
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    return weights, *(0.0 - setting.get(name, 0.0) for name in REGULARIZERS)


def _order(validated):
    import numpy as np

    sign = 1 if validated.metric.endswith("loss") else -1
    return np.argsort(np.nan_to_num(sign * validated.mean, nan=np.inf), kind="stable")


def _row(validated, i):
    folds = {f"run_{k}": float(score) for k, score in enumerate(validated.scores[i], 1)}
    mean, error = float(validated.mean[i]), float(validated.standard_error[i])
    return {**told(validated.settings[i], digits=9), "mean": mean, "standard_error": error, **folds}


def _shown(validated, i, best, chosen) -> dict[str, str]:
    from jaxnn.cli.population_records import score_told

    mean, error = (
        score_told(float(values[i]), validated.metric) for values in (validated.mean, validated.standard_error)
    )
    marks = [word for position, word in ((best, "best"), (chosen, "simplest within one s.e.")) if position == i]
    said = mean if mean == "diverged" else f"{mean.removesuffix(' %')} ± {error}"
    return {validated.metric.replace("/", " "): said, **told(validated.settings[i]), "": ", ".join(marks)}


def _command(config, validated, i):
    setting = validated.settings[i]
    return train_command(check(dataclasses.replace(config.training, **setting)), setting)


def _record(config: CrossValidationFlags):
    return {"command": "cross-validate", **record_of(config)}
