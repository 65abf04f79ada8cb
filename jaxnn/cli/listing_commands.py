"""`jaxnn summary` and `jaxnn list`."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxnn.cli.configurations import OPTIMIZERS, RECIPES, SCHEDULES, recipe
from jaxnn.cli.main import parse


@dataclass(frozen=True)
class Summary:
    """Show a model's layers: output shapes, parameters and multiply-adds for one example."""

    model: Annotated[str, tyro.conf.Positional] = "lenet5"
    """Which model; `jaxnn list` names them."""
    hidden: tuple[int, ...] = (128,)
    """Widths of mlp's hidden layers."""


@dataclass(frozen=True)
class Listing:
    """List models, data sets, optimizers and schedules."""


def summary_command(args) -> int:
    """Prints the table of a model's layers on the input of its recipe."""
    config = parse(Summary, args, command="summary")
    default = recipe(config.model)
    from dataclasses import replace

    from jaxnn.cli.assembly import build_model
    from jaxnn.diagnostics import format_summary, summarize

    shape = (32, 32, 1) if config.model == "lenet1998" else (28, 28, 1)
    model = build_model(replace(default, hidden=config.hidden), classes=10)
    print(format_summary(summarize(model, shape)))
    return 0


def list_command(args) -> int:
    """Prints every name that the other commands take, with a line about each."""
    parse(Listing, args, command="list")
    from jaxnn.data.sources import SOURCES

    recipes = {
        name: f"{r.epochs} epochs of {r.batch_size}, {r.optimizer} {r.learning_rate:g}, {r.schedule}"
        for name, r in RECIPES.items()
    }
    datasets = {name: source.page for name, source in SOURCES.items()}
    for title, rows in (
        ("models (and how `jaxnn train` trains them)", recipes),
        ("data sets", datasets),
        ("optimizers", OPTIMIZERS),
        ("schedules", SCHEDULES),
    ):
        print(f"{title}\n" + "\n".join(f"  {name:<20}{text}" for name, text in rows.items()) + "\n")
    return 0
