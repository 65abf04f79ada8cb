"""Functions that build the task of a run folder from a configuration, its recipe and the data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxnn.cli.field_rules import fields_of
from jaxnn.cli.training_flags import Training
from jaxnn.cli.work_limits import check_steps
from jaxnn.data import Dataset, hold_out
from jaxnn.recipes import Facts, Recipe
from jaxnn.recipes.chosen_values import Chosen
from jaxnn.recipes.named_recipes import known_recipe
from jaxnn.recipes.training_recipes import facts_of
from jaxnn.runs.training_run import Task
from jaxnn.training import Trial
from jaxnn.training.batching import count_examples


def assemble(config: Training, dataset: Dataset) -> Task:
    """Builds the task that the recipe of the configuration trains on the data, a part of which is held out.

    Raises:
      ValueError: the batch is larger than the data, there are more steps than can be counted, or the recipe cannot use
        the data.
    """
    recipe, (train, validation) = known_recipe(config.model), held_out(config, dataset)
    facts = facts_of(dataset)
    examples = count_examples(train)
    check_batch(config.batch_size, examples, held_out=count_examples(dataset.train) - examples)
    steps = check_steps(epochs=config.epochs, batch_size=config.batch_size, examples=examples)
    trial = recipe.build(config, facts, steps)
    splits = (used_fields(trial, split) for split in (train, validation, dataset.test))
    monitor = recipe.monitor if validation is not None else None
    known = {"seed": config.seed, "monitor": monitor, "classes": dataset.classes, "metrics": recipe.metrics(facts)}
    return Task(trial, *splits, **known)


def used_fields(trial: Trial, split: dict | None) -> dict | None:
    """Returns the fields of a split that a trial reads; all fields if its objective names none, and None for None."""
    used = getattr(trial.objective, "fields", None)
    return split if split is None or used is None else {name: split[name] for name in used}


def held_out(config: Training, dataset: Dataset) -> tuple[dict, dict | None]:
    """Returns the training data and the part that `--validation` holds out, which is None for `--validation none`.

    Raises:
      ValueError: no example would be held out, or no training example would be left.
    """
    if config.validation == "none":
        return dataset.train, None
    try:
        return hold_out(dataset.train, float(config.validation), seed=config.seed)
    except ValueError as error:
        raise ValueError(f"--validation {config.validation}: {error}") from None


def check_batch(batch_size: int, examples: int, *, held_out: int = 0) -> None:
    """Raises ValueError if the batch is larger than the data; `held_out` examples more are for validation."""
    if batch_size > examples:
        rest = f", {held_out} of {held_out + examples} being held out (--validation)" if held_out else ""
        raise ValueError(
            f"--batch-size must be at most the number of training examples, {examples}{rest}; received {batch_size}."
        )


@dataclass(frozen=True)
class MemberTrials:
    """Is the function `build(values) -> Trial` of a population; values of a member replace those of a configuration.

    Args:
      recipe: the recipe of the model of the configuration.
      config: the values that a member does not set; `learning_rate` is the peak of the schedule.
      facts: the facts of the data.
      examples: the number of examples that a member learns from; it determines the steps of the schedule.
    """

    recipe: Recipe
    config: Training
    facts: Facts
    examples: int

    def __call__(self, values: Mapping[str, Any]) -> Trial:
        """Returns the trial of a member; the values may be traced."""
        config = Chosen(self.config, values)
        return self.recipe.build(config, self.facts, config.epochs * -(-self.examples // config.batch_size))


def trials_of(config: Training, dataset: Dataset, *, examples: int) -> MemberTrials:
    """Returns the function that builds the trial of each member of a population on a data set."""
    recipe = known_recipe(config.model)
    own = {name: getattr(config, name) for name in fields_of(Training)}  # own flags of the recipe keep their defaults
    return MemberTrials(recipe, replace(recipe.defaults, **own), facts_of(dataset), examples)
