"""`jaxnn ensemble` trains many members side by side and combines their answers."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.field_records import record_of
from jaxnn.cli.field_rules import Between, check_effects
from jaxnn.cli.population_flags import Settings, parse_with_recipe
from jaxnn.cli.training_flags import check_runnable, load_data
from jaxnn.cli.work_limits import MOST_TRAININGS, check_members, check_seeds, check_steps
from jaxnn.recipes.named_recipes import known_recipe

ANSWER = 16  # bytes of a logit, its probability and its vote together
MOST_ROWS = 10  # rows of the table; more members are shown in powers of two


@dataclass(frozen=True)
class EnsembleFlags:
    """Trains members that differ in their seeds, side by side, and averages their probabilities.

    Prints the test error of one member, and of all together by the mean of their probabilities and by their votes, and
    how this error falls with the number of members. A checkpoint of all members is written after each epoch:
    `jaxnn resume FOLDER` continues from it.
    """

    training: tyro.conf.OmitArgPrefixes[Settings]
    members: Annotated[int, Between(2, MOST_TRAININGS)] = 8
    """Sets the number of members; their seeds are --seed, --seed + 1, ..."""
    bagging: bool = False
    """Trains each member on its own examples, drawn with replacement (Breiman 1996)."""
    out: str | None = None
    """Names a new folder for the results; by default runs/ensemble-001, -002, ..."""


def ensemble_command(args) -> int:
    """Trains an ensemble in a new folder and prints its test error."""
    config = parse_with_recipe(EnsembleFlags, args, command="ensemble")
    check_effects(check_runnable(config.training), known_recipe(config.training.model).defaults)
    check_seeds(config.training.seed, config.members, "--members")
    return _run(config, is_made=False)


def resume_ensemble(folder: Path, record: dict) -> int:
    """Continues an ensemble from its last checkpoint, or from the start if there is none.

    Raises:
      ValueError: the record was edited, or the checkpoint is damaged.
    """
    return _run(_read(folder, record), is_made=True)


def restore_ensemble(folder: Path, record: dict):
    """Returns the members of the last checkpoint that have not diverged, their objective, and the data set.

    Raises:
      ValueError: the record was edited, there is no checkpoint or a damaged one, or every member diverged.
    """
    import numpy as np

    from jaxnn.cli.assembly import trials_of
    from jaxnn.cli.ensemble_checkpoints import restore
    from jaxnn.populations import Member

    config = _read(folder, record)
    dataset, seed = load_data(config.training), config.training.seed
    population = restore(folder, config.training, dataset, [Member(seed + i) for i in range(config.members)])
    if population is None or population.diverged.all():
        raise ValueError(f"{folder} holds no trained member. Train an ensemble first: jaxnn ensemble.")
    whole = population.select(np.flatnonzero(~population.diverged).tolist())
    return whole, trials_of(config.training, dataset, examples=1)({}).objective, dataset


def _read(folder: Path, record: dict) -> EnsembleFlags:
    from jaxnn.cli.population_records import read_settings

    return read_settings(EnsembleFlags, record, folder=folder)


def _run(config: EnsembleFlags, *, is_made: bool) -> int:
    started = time.perf_counter()
    from jaxnn.cli.assembly import check_batch
    from jaxnn.cli.ensemble_checkpoints import restore, saving
    from jaxnn.cli.population_records import Records
    from jaxnn.cli.population_tasks import make_trainer, spread_over_cores
    from jaxnn.training.batching import count_examples

    spread_over_cores()
    record = {"command": "ensemble", **record_of(config)}
    records = Records(config.out, "ensemble", record, is_made=is_made)
    dataset, members = load_data(config.training), None
    examples = count_examples(dataset.train)
    check_batch(config.training.batch_size, examples)
    check_steps(epochs=config.training.epochs, batch_size=config.training.batch_size, examples=examples)
    answers = count_examples(dataset.test) * max(1, len(dataset.classes))
    check_members(config.members, each=ANSWER * answers + config.bagging * 4 * examples)
    members = _members(config, examples)
    parts = {"train": dataset.train, "validation": None}  # the test data are measured once, at the end
    trainer = make_trainer(config.training, dataset, **parts, examples=examples, records=records)
    before = restore(records.folder, config.training, dataset, members) if is_made else None
    with records.kept(config.training):
        hooks = [saving(records)]
        trained = trainer(members, epochs=config.training.epochs, population=before, hooks=hooks)
        _report(config, trained, dataset, records, seconds=time.perf_counter() - started)
    return 0


def _members(config: EnsembleFlags, examples: int):
    """Returns members of consecutive seeds; with bagging each has its own examples and none for validation."""
    from jaxnn.populations import Member, Split, bootstraps

    seeds = range(config.training.seed, config.training.seed + config.members)
    if not config.bagging:
        return [Member(seed) for seed in seeds]
    bags = bootstraps(examples, config.members, seed=config.training.seed)
    return [Member(seed, {}, Split(bag.train, bag.test[:0])) for seed, bag in zip(seeds, bags, strict=True)]


def _report(config, trained, dataset, records, *, seconds: float) -> None:
    """Measures the members on the test data, and also their combined answers if they classify."""
    import numpy as np

    from jaxnn.cli.assembly import trials_of
    from jaxnn.training.objectives import Supervised

    whole = trained.select(np.flatnonzero(~trained.diverged).tolist())
    _check_diverged(trained, records)
    objective = trials_of(config.training, dataset, examples=1)({}).objective
    if isinstance(objective, Supervised) and dataset.classes:
        _report_errors(config, whole, objective, dataset, records, seconds)
    else:
        _report_measures(whole, objective, dataset, records, seconds)
    print(f"{seconds:.1f} s in all; JSON and checkpoint in {records.folder}")


def _report_errors(config, whole, objective, dataset, records, seconds):
    """Reports the test error of one member and of all members together."""
    from jaxnn.cli.population_records import columns
    from jaxnn.plots.study_plots import plot_ensemble_errors
    from jaxnn.populations import ensemble_errors, predict_members

    inputs, labels = (dataset.test[name] for name in objective.fields)
    logits = predict_members(whole, inputs, preprocess=objective.preprocess)
    errors = ensemble_errors(logits, labels, seed=config.training.seed)
    records.save_figure("ensemble_errors.png", plot_ensemble_errors(*errors))
    records.write_json("ensemble.json", _summary(errors, len(labels), seconds))
    print(columns(_table(errors)))
    mean, sd = 100 * errors.single.mean(), 100 * errors.single.std(ddof=min(1, len(errors.single) - 1))
    together = (
        f"{100 * errors.averaged[-1].mean():.2f} % by averaged probabilities, {100 * errors.voted[-1].mean():.2f} %"
    )
    print(f"\ntest error on {len(labels)} examples: one member {mean:.2f} ± {sd:.2f} %")
    print(f"{len(whole)} members together: {together} by votes")


def _report_measures(whole, objective, dataset, records, seconds):
    """Reports the metrics of each member; it is used if the answers are not classes, which could be averaged."""
    import numpy as np

    from jaxnn.training import evaluate_objective

    rows = [evaluate_objective(objective, state, dataset.test) for state in whole.states]
    counts = {row.pop("count") for row in rows}
    records.write_json("ensemble.json", {"test_examples": max(counts), "members": rows, "seconds": round(seconds, 1)})
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        print(
            f"test {name} on {max(counts)} examples: {values.mean():.4f} ± {values.std():.4f} over {len(rows)} members"
        )


def _check_diverged(trained, records) -> None:
    from jaxnn.training import DivergenceError

    lost = int(trained.diverged.sum())
    if lost == len(trained):
        raise DivergenceError(f"every member diverged; see {records.folder / 'trials.csv'}. Lower the learning rate.")
    if lost:
        print(f"{lost} of {len(trained)} members diverged and are left out", file=sys.stderr)


def _table(errors):
    sizes = errors.members if len(errors.members) <= MOST_ROWS else [s for s in errors.members if _is_shown(s, errors)]
    spread = lambda row: f"{100 * row.mean():.2f} ± {100 * row.std():.2f} %"
    return [
        {
            "members": str(size),
            "error, averaged": spread(errors.averaged[size - 1]),
            "error, votes": spread(errors.voted[size - 1]),
        }
        for size in sizes
    ]


def _is_shown(size, errors) -> bool:
    return size & (size - 1) == 0 or size == errors.members[-1]


def _summary(errors, images: int, seconds: float):
    curve = {
        "members": errors.members,
        "averaged": errors.averaged.mean(axis=1),
        "averaged_sd": errors.averaged.std(axis=1),
        "voted": errors.voted.mean(axis=1),
        "voted_sd": errors.voted.std(axis=1),
    }
    return {"test_images": images, "single": errors.single, "by_number_of_members": curve, "seconds": round(seconds, 1)}
