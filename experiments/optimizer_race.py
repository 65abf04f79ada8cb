"""Which optimizer arrives first, and how much of that is the learning rate?

    python experiments/optimizer_race.py --out runs

Every optimizer runs on five surfaces at its usual rate and at other multiples of it; the table gives the step from
which on it stays near the minimum (on the saddle: leaves the frame), "-" if it is on its way, "x" if it diverged.
The pictures and the page, at the usual rates, are those of `jaxnn race`.

Expected: no order of the optimizers holds on all surfaces, nor at all rates. On the quadratic gradient descent is
there before Adam at its usual rate, which is nearly its best, and diverges at three times it. AdaDelta, AdaGrad,
RMSProp and Adam leave the saddle before momentum does, and that long before gradient descent. RAdam, whose first steps
are multiples of the gradient, diverges on the steep Beale. Nobody reaches the end of Rosenbrock's valley in 400 steps
at usual rates.
Hardware: any; a CPU takes half a minute.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro
from benchmarks.measuring import markdown

from jaxnn.diagnostics.figure_style import save_figure
from jaxnn.diagnostics.race_page import write_race_page
from jaxnn.diagnostics.race_plots import plot_race
from jaxnn.diagnostics.surfaces import SURFACES
from jaxnn.diagnostics.trajectories import CONTESTANTS, judge, run_races


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    rate_scales: tuple[float, ...] = (0.3, 1.0, 3.0)
    steps: int = 400
    out: Path = Path("runs")  # folder of the pictures
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    surfaces, contestants = list(SURFACES.values()), list(CONTESTANTS.values())
    if settings.smoke:
        settings, surfaces = dataclasses.replace(settings, steps=20), surfaces[:2]
    paths = {s: run_races(surfaces, contestants, steps=settings.steps, rate_scale=s) for s in settings.rate_scales}
    header = ("optimizer", *(f"{surface.name} x {scale:g}" for surface in surfaces for scale in paths))
    rows = [
        (one.name, *(arrival(surface, paths[scale][i, j]) for i, surface in enumerate(surfaces) for scale in paths))
        for j, one in enumerate(contestants)
    ]
    print(markdown(header, rows))
    settings.out.mkdir(parents=True, exist_ok=True)
    usual = run_races(surfaces, contestants, steps=settings.steps)
    for surface, its in zip(surfaces, usual, strict=True):
        print(
            save_figure(plot_race(surface, list(CONTESTANTS), its), settings.out / f"optimizer_race_{surface.name}.png")
        )
    races = dict(zip(surfaces, usual, strict=True))
    print(write_race_page(settings.out / "optimizer_race.html", races, list(CONTESTANTS), title="A race of optimizers"))


def arrival(surface, path) -> str:
    outcome = judge(surface, path)
    return "x" if outcome.said == "diverged" else "-" if outcome.arrived is None else str(outcome.arrived)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
