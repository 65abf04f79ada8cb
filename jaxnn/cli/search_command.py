"""`jaxnn search` finds hyperparameters by a grid, at random, coarse to fine, by halving, Hyperband or evolution."""

import dataclasses
import math
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxnn.cli.field_records import record_of
from jaxnn.cli.field_rules import Between, Matching, check_effects
from jaxnn.cli.hyperparameters import OverRange, grid_values, parse_over, told, train_command
from jaxnn.cli.population_flags import SettingsWithoutTest, Trainings, is_finished, metric_of, parse_with_recipe
from jaxnn.cli.training_flags import check, load_data
from jaxnn.cli.work_limits import check_seeds, check_steps, check_trainings
from jaxnn.recipes.named_recipes import known_recipe

SHOWN = 10  # settings that are printed; search.csv has all
ROUNDS = 3  # rounds of coarse-to-fine
CHUNK = 4  # members that run at once if their number falls from rung to rung


@dataclass(frozen=True)
class SearchFlags:
    """Searches for hyperparameters: many settings are trained side by side and measured on data held out of training.

    jaxnn search mlp --over learning_rate=log:1e-4:1e-1 hidden=32,128 --trials 16 --epochs 3

    The test data are not used. The last line printed is the command that trains the best setting on all training data
    and tests it. The folder has every training so far (trials.csv, after each epoch), the ranking (search.csv,
    search.json) and pictures of it. A stopped search loses at most one epoch: `jaxnn resume FOLDER` continues it.
    """

    training: tyro.conf.OmitArgPrefixes[SettingsWithoutTest]
    over: tuple[str, ...] = ()
    """Sets what is searched, as NAME=VALUES; VALUES is log:LOW:HIGH (a logarithmic range), LOW:HIGH, or A,B,C.
    Ranges or lists: learning_rate, momentum, b1, b2, eps, weight_decay, decay_rate, label_smoothing, dropout_rate.
    Lists only: batch_size, hidden (32,256x128), optimizer, schedule; each combination of these is compiled alone."""
    strategy: Literal["grid", "random", "coarse-to-fine", "halving", "hyperband", "pbt"] = "random"
    """Selects the search. grid: all combinations, each range in as many points as --trials allows.
    random: --trials random points.
    coarse-to-fine: three rounds of random points, each closer to the best.
    halving: a third of the settings continues after 1/9 of the epochs, and a third of these after 1/3.
    hyperband: several halvings, which determine the number of trials.
    pbt: after each epoch the worst quarter continues from the best, with slightly changed rates."""
    trials: Trainings = 32
    """Sets the number of settings; hyperband determines its own number."""
    seeds: Trainings = 1
    """Sets how often each setting is trained; the mean counts. For grid and random."""
    validation: Annotated[float, Between(0, 1, "()")] = 0.1
    """Sets the fraction of the training data that is held out for measurement."""
    metric: Annotated[str | None, Matching(r"[\w -]{1,40}", "the name of a measure, as accuracy or loss")] = None
    """Names the metric that ranks the settings, on the data held out."""
    out: str | None = None
    """Names a new folder for the results; by default runs/search-001, -002, ..."""


def search_command(args) -> int:
    """Searches, prints the ten best settings and the command that trains the best; a new folder gets all results."""
    return _run(parse_with_recipe(SearchFlags, args, command="search"), is_made=False)


def resume_search(folder: Path, record: dict) -> int:
    """Continues a stopped search; a finished one is left unchanged.

    Raises:
      ValueError: the record was edited, or a saved file is damaged.
    """
    from jaxnn.cli.population_records import read_settings

    return _run(read_settings(SearchFlags, record, folder=folder), is_made=True)


def _run(config: SearchFlags, *, is_made: bool) -> int:
    started, over = time.perf_counter(), _check(config, parse_over(config.over, config.training))
    if is_made and is_finished(config.out, "search.json"):
        return 0
    if not is_made:
        check_effects(config.training, known_recipe(config.training.model).defaults, over=over)
    trainer, records = _prepare(config, over, is_made)
    with records.kept(config.training):
        result = _search(config, over, trainer)
        _report(config, result, records, seconds=time.perf_counter() - started)
        records.finish()
    return 0


def _check(config: SearchFlags, over):
    if config.strategy == "pbt" and config.trials < 2:
        raise ValueError(
            f"--trials must be an integer of at least 2 for pbt; received {config.trials}. Say --trials 8."
        )
    if config.seeds > 1 and config.strategy not in ("grid", "random"):
        raise ValueError(f"--seeds is for grid and random; received {config.seeds} with --strategy {config.strategy}.")
    if config.strategy == "coarse-to-fine" and not any(isinstance(values, OverRange) for values in over.values()):
        raise ValueError(
            "--strategy coarse-to-fine needs a range, as --over learning_rate=log:1e-4:1e-1; received lists."
        )
    tried = grid_values(over, trials=config.trials) if config.strategy == "grid" else over
    listed = math.prod(len(values) for values in tried.values() if not isinstance(values, OverRange))
    check_trainings(listed, "the lists of --over, in all combinations,")
    settings = listed if config.strategy == "grid" else config.trials
    check_seeds(config.training.seed, config.seeds, "--seeds")
    check_trainings(settings * config.seeds, f"{settings} settings and --seeds {config.seeds}")
    return over


def _prepare(config: SearchFlags, over, is_made: bool):
    """Returns the trainer on the data not held out, and the records, whose folder is made when training starts."""
    from jaxnn.cli.population_records import Records
    from jaxnn.cli.population_tasks import make_trainer, rows_of, spread_over_cores
    from jaxnn.populations import hold_out
    from jaxnn.training.batching import count_examples

    spread_over_cores()
    records = Records(config.out, "search", _record(config), is_made=is_made)
    dataset = load_data(config.training)
    split = hold_out(count_examples(dataset.train), config.validation, seed=config.training.seed)
    for size in over.get("batch_size", (config.training.batch_size,)):
        if size > len(split.train):
            raise ValueError(
                f"--batch-size must be at most the number of training examples, {len(split.train)}; received {size}."
            )
        check_steps(epochs=config.training.epochs, batch_size=size, examples=len(split.train))
    _say(f"{config.training.model} on {config.training.data}: {len(split.train)} examples, {len(split.test)} held out")
    parts = {"train": rows_of(dataset.train, split.train), "validation": rows_of(dataset.train, split.test)}
    more = {"examples": len(split.train), "records": records, "keeps": True}
    return make_trainer(config.training, dataset, **parts, **more), records


def _search(config: SearchFlags, over, train):
    """Runs the search of the strategy and returns its `SearchResult`."""
    from jaxnn import populations

    epochs, seed, metric = config.training.epochs, config.training.seed, metric_of(config)
    ranges = {name: _distribution(values) for name, values in over.items()}
    common = {"epochs": epochs, "metric": metric}
    match config.strategy:
        case "grid":
            settings = populations.grid(**grid_values(over, trials=config.trials))
            return populations.search(train, settings, seeds=range(seed, seed + config.seeds), **common)
        case "random":
            return populations.search(
                train, _drawn(config, over, ranges), seeds=range(seed, seed + config.seeds), **common
            )
        case "coarse-to-fine":
            trials = max(1, config.trials // ROUNDS)
            return populations.coarse_to_fine(train, ranges, trials=trials, rounds=ROUNDS, seed=seed, **common)
        case "halving":
            settings = _drawn(config, over, ranges)
            rungs = sorted({max(1, epochs // 9), max(1, epochs // 3), epochs})
            train = _in_small_chunks(train)
            return populations.successive_halving(train, settings, epochs=rungs, keep=1 / 3, metric=metric, seed=seed)
        case "hyperband":
            train = _in_small_chunks(train)
            brackets = populations.brackets(epochs)
            check_trainings(sum(count for count, _ in brackets), f"hyperband and --epochs {epochs}")
            return populations.hyperband(train, ranges, most_epochs=epochs, factor=3, seed=seed, metric=metric)
        case "pbt":
            return _evolve(train, config.trials, over, ranges, seed=seed, **common)


def _in_small_chunks(train):
    """Makes all rungs run one program on CPU, where the compilation of a rung takes longer than its training."""
    import jax

    return partial(train, chunk=CHUNK) if jax.default_backend() == "cpu" else train


def _drawn(config: SearchFlags, over, ranges):
    """Draws one setting per trial; if there are only lists, none is drawn twice, and there may be fewer settings."""
    import numpy as np

    from jaxnn import populations

    if any(isinstance(values, OverRange) for values in over.values()):
        return populations.random_settings(config.trials, seed=config.training.seed, **ranges)
    every = populations.grid(**over)
    order = np.random.default_rng(config.training.seed).permutation(len(every))
    return [every[i] for i in sorted(order[: config.trials])]


def _evolve(train, trials, over, ranges, *, seed, **common):
    """Returns population-based training as a `SearchResult`, with the settings of the last round."""
    import numpy as np

    from jaxnn import populations

    inside = {name: ranges[name] for name, values in over.items() if all(isinstance(v, float) for v in values[:2])}
    settings = populations.random_settings(trials, seed=seed, **ranges)
    found = populations.population_based_training(train, settings, ranges=inside, seed=seed, **common)
    settings = [dict(member.hyperparameters) for member in found.population.members]
    epochs = np.full(len(settings), common["epochs"])
    return populations.SearchResult(settings, found.scores[-1], epochs, common["metric"], found.population)


def _distribution(values):
    from jaxnn.populations import choice, log_uniform, uniform

    if not isinstance(values, OverRange):
        return choice(*values)
    return (log_uniform if values.is_log else uniform)(values.low, values.high)


def _report(config: SearchFlags, result, records, *, seconds: float) -> None:
    """Writes the ranking and the pictures, and prints the best settings and the command that trains the best."""
    from jaxnn.cli.population_records import columns

    rows = [_row(row) for row in result.table()]
    records.write_csv("search.csv", rows)
    _draw(result, records)
    best = result.settings[_best(result, records)]
    command = train_command(check(dataclasses.replace(config.training, **best)), best)
    summary = {"strategy": config.strategy, "best": best, "command": command, "on_border": result.on_border}
    records.write_json("search.json", {**summary, "seconds": round(seconds, 1), "settings": rows})
    print(columns([_shown(row, result.metric, best) for row in result.table()[:SHOWN]]))
    for name in result.on_border:
        print(f"The best {name} lies at an end of its range: search beyond it.")
    if config.strategy == "pbt":
        print("The rates of pbt changed as it trained; these are the last ones of each member.")
    print(f"{len(result.settings)} settings in {seconds:.1f} s; table, JSON and pictures in {records.folder}")
    print(f"Train the best on all training data, and test it:\n  {command}")


def _best(result, records) -> int:
    import numpy as np

    from jaxnn.training import DivergenceError

    if not np.isfinite(result.scores).any():
        raise DivergenceError(
            f"every run diverged, all {len(result.scores)}; they stand in {records.folder}. Lower the learning rates."
        )
    return result.best()


def _row(row):
    """Returns a row of the result as it is written to files."""
    return row | ({"hidden": told(row)["hidden"]} if "hidden" in row else {})


def _shown(row, metric: str, names) -> dict[str, str]:
    """Returns a row of the result as it is printed."""
    from jaxnn.cli.population_records import score_told

    score = {metric.replace("/", " "): score_told(row[metric], metric)}
    return {"rank": str(row["rank"]), **score, "epochs": str(row["epochs"]), **told({n: row[n] for n in names})}


def _draw(result, records) -> None:
    from jaxnn.plots.search_plots import plot_heat_map, plot_parallel_coordinates

    told_metric = result.metric.replace("/", " ")
    records.save_figure(
        "parallel_coordinates.png", plot_parallel_coordinates(result.settings, result.scores, metric=told_metric)
    )
    numeric = [name for name, value in result.settings[0].items() if isinstance(value, int | float)]
    if len(numeric) >= 2:
        figure = plot_heat_map(result.settings, result.scores, numeric[0], numeric[1], metric=told_metric)
        records.save_figure("heat_map.png", figure)


def _record(config: SearchFlags):
    return {"command": "search", **record_of(config)}


def _say(line):
    print(line, file=sys.stderr, flush=True)
