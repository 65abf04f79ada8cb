"""`jaxnn race` runs optimizers side by side on surfaces and on MNIST, and draws their paths."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxnn.cli.field_rules import Between, Needs, check_effects
from jaxnn.cli.main import parse
from jaxnn.cli.missing_devices import check_devices
from jaxnn.cli.training_flags import Positive, Seed
from jaxnn.naming import unknown

MOST_STEPS = 10_000  # every step of every path is in the page
COLUMNS = "  {:<12}{:<12}{}"
Updates = Annotated[int, Between(1, MOST_STEPS)]
OnMnist = Needs("mnist", (True,))
MNIST_RATES = {"gradient_rate": 0.1, "step_rate": 1e-3}


@dataclass(frozen=True)
class RaceFlags:
    """Runs optimizers side by side and draws their paths: a picture and an animation per surface, one page for all."""

    surfaces: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names the surfaces: any of steep-shallow, beale, rosenbrock, saddle, long-valley; by default all of them."""
    optimizers: tuple[str, ...] = ()
    """Names the optimizers: any of sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam, nadam, adamax, amsgrad,
    radam, lion, sign_sgd, rprop; by default eight of them."""
    steps: Updates = 400
    """Sets the number of updates on a surface."""
    rate_scale: Positive = 1.0
    """Multiplies every learning rate."""
    mnist: bool = False
    """Also trains a small perceptron (784-128-10) on MNIST with each optimizer."""
    mnist_steps: Annotated[Updates, OnMnist] = 469
    """Sets the number of updates on MNIST; 469 batches of 128 are one epoch."""
    batch_size: Annotated[int, Between(1, 60_000), OnMnist] = 128
    """Sets the number of images in a batch of MNIST."""
    seed: Annotated[Seed, OnMnist] = 0
    """Sets the seed of the initial weights of the perceptron."""
    animation: bool = True
    """Writes the GIFs and the page."""
    out: str | None = None
    """Names a new folder for the results; by default runs/race-001, -002, ..."""


def race_command(args) -> int:
    """Runs the races, prints the result of each optimizer, and writes the pictures, the animations and the page."""
    config = parse(RaceFlags, args, command="race")
    check_effects(config, RaceFlags())
    from jaxnn.diagnostics.trajectories import CONTESTANTS, DEFAULT_CONTESTANTS

    names = _chosen("optimizer", config.optimizers, CONTESTANTS, DEFAULT_CONTESTANTS)
    surfaces = _surfaces(config)
    check_devices()
    folder = _new_folder(config.out)
    outcomes = _race_on_surfaces(folder, config, surfaces, names)
    if config.mnist:
        outcomes["mnist"] = _race_on_mnist(folder, config, names)
    _write_record(folder / "race.json", {"config": asdict(config), "outcomes": outcomes})
    print(f"\npictures{' and race.html' if config.animation else ''} in {folder}")
    return 0


def _surfaces(config: RaceFlags) -> list:
    from jaxnn.diagnostics.surfaces import SURFACES

    return [SURFACES[name] for name in _chosen("surface", config.surfaces, SURFACES, SURFACES)]


def _chosen(kind: str, names, known, default) -> list[str]:
    """Returns the names, each once; raises an error for an unknown name."""
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return list(dict.fromkeys(names or default))


def _new_folder(out: str | None) -> Path:
    from jaxnn.runs import make_next

    folder = Path(out) if out else make_next("race")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except FileExistsError:
        raise FileExistsError(f"{folder} is a file, expected the name of a new folder. Choose another --out.") from None
    except OSError as error:
        raise ValueError(f"cannot write to {folder}: {error.strerror or error}. Choose another --out.") from error
    if occupied:
        raise FileExistsError(f"{folder} is not empty, expected a new folder. Choose another --out.")
    return folder


def _race_on_surfaces(folder: Path, config: RaceFlags, surfaces, names) -> dict:
    from jaxnn.diagnostics.trajectories import CONTESTANTS, judge, run_races
    from jaxnn.plots.figure_style import save_figure
    from jaxnn.plots.race_animation import write_race_gif
    from jaxnn.plots.race_page import write_race_page
    from jaxnn.plots.race_plots import plot_race

    contestants = [CONTESTANTS[name] for name in names]
    paths = run_races(surfaces, contestants, steps=config.steps, rate_scale=config.rate_scale)
    races = dict(zip(surfaces, paths, strict=True))
    outcomes = {}
    for surface, path in races.items():
        verdicts = {one.name: judge(surface, its) for one, its in zip(contestants, path, strict=True)}
        rates = [config.rate_scale * one.rate(surface.gradient_rate, surface.step_rate) for one in contestants]
        outcomes[surface.name] = _told(surface.name, rates, {name: verdict.said for name, verdict in verdicts.items()})
        save_figure(plot_race(surface, names, path), folder / f"{surface.name}.png")
        if config.animation:
            write_race_gif(folder / f"{surface.name}.gif", surface, names, path)
    if config.animation:
        write_race_page(folder / "race.html", races, names, title="A race of optimizers")
    return outcomes


def _race_on_mnist(folder: Path, config: RaceFlags, names) -> dict:
    from jaxnn import data
    from jaxnn.diagnostics.trajectories import CONTESTANTS, race_training
    from jaxnn.losses import cross_entropy
    from jaxnn.models import MLP
    from jaxnn.plots.figure_style import save_figure
    from jaxnn.plots.race_plots import plot_training_race, training_verdict
    from jaxnn.preprocessing import Standardize

    mnist, contestants = data.load("mnist"), [CONTESTANTS[name] for name in names]
    losses = race_training(
        MLP(),
        mnist.train,
        contestants,
        loss=cross_entropy,
        steps=config.mnist_steps,
        batch_size=config.batch_size,
        key=config.seed,
        preprocess=Standardize(mnist.mean, mnist.std),
        rate_scale=config.rate_scale,
        **MNIST_RATES,
    )
    title = f"A perceptron 784-128-10 on MNIST, batches of {config.batch_size}"
    save_figure(plot_training_race(names, losses, title=title), folder / "mnist.png")
    rates = [config.rate_scale * one.rate(**MNIST_RATES) for one in contestants]
    return _told("mnist", rates, dict(zip(names, map(training_verdict, losses), strict=True)))


def _told(title: str, rates, said: dict[str, str]) -> dict:
    """Prints one line for each optimizer, and returns the same for the record."""
    print(f"\n{title}\n{COLUMNS.format('optimizer', 'rate', 'after the last step')}")
    for rate, (name, words) in zip(rates, said.items(), strict=True):
        print(COLUMNS.format(name, f"{rate:.3g}", words), flush=True)
    return {name: {"rate": rate, "said": words} for rate, (name, words) in zip(rates, said.items(), strict=True)}


def _write_record(path: Path, record: dict) -> None:
    from jaxnn.runs import atomic_files

    atomic_files.write(path, json.dumps(record, indent=2, allow_nan=False).encode())
