"""From a configuration, its recipe and the data to what a run folder trains."""

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
    """Builds what the recipe of the configuration trains on the data, some of which are held out.

    Raises:
      ValueError: a batch larger than the data, more steps than can be counted, data that the recipe cannot use.
    """
    recipe, (train, validation) = known_recipe(config.model), held_out(config, dataset)
    facts = facts_of(dataset)
    examples = count_examples(train)
    check_batch(config.batch_size, examples)
    steps = check_steps(epochs=config.epochs, batch_size=config.batch_size, examples=examples)
    trial = recipe.build(config, facts, steps)
    splits = (used_fields(trial, split) for split in (train, validation, dataset.test))
    monitor = recipe.monitor if validation is not None else None
    known = {"seed": config.seed, "monitor": monitor, "classes": dataset.classes, "metrics": recipe.metrics(facts)}
    return Task(trial, *splits, **known)


def used_fields(trial: Trial, split: dict | None) -> dict | None:
    """The fields of a split that a trial reads, where it says which."""
    used = getattr(trial.objective, "fields", None)
    return split if split is None or used is None else {name: split[name] for name in used}


def held_out(config: Training, dataset: Dataset) -> tuple[dict, dict | None]:
    """The training data, and what `--validation` holds out of them; None for none.

    Raises:
      ValueError: more is to be held out than there is.
    """
    if config.validation == "none":
        return dataset.train, None
    try:
        return hold_out(dataset.train, float(config.validation), seed=config.seed)
    except ValueError as error:
        raise ValueError(f"--validation {config.validation}: {error}") from None


def check_batch(batch_size: int, examples: int) -> None:
    """Raises ValueError for a batch that is larger than the data."""
    if batch_size > examples:
        raise ValueError(
            f"--batch-size must be at most the number of training examples, {examples}; received {batch_size}."
        )


@dataclass(frozen=True)
class MemberTrials:
    """`build(values) -> Trial` for populations: the training of a configuration, with a member's own values put in.

    Args:
      recipe: of the configuration's model.
      config: the values of what a member does not set; `learning_rate` is the peak of the schedule.
      facts: of the data.
      examples: that a member learns from; they make the steps of the schedule.
    """

    recipe: Recipe
    config: Training
    facts: Facts
    examples: int

    def __call__(self, values: Mapping[str, Any]) -> Trial:
        """What a member trains; the values may be traced."""
        config = Chosen(self.config, values)
        return self.recipe.build(config, self.facts, config.epochs * -(-self.examples // config.batch_size))


def trials_of(config: Training, dataset: Dataset, *, examples: int) -> MemberTrials:
    """The trainings of a population on a data set."""
    recipe = known_recipe(config.model)
    own = {name: getattr(config, name) for name in fields_of(Training)}  # flags of the recipe's own keep their defaults
    return MemberTrials(recipe, replace(recipe.defaults, **own), facts_of(dataset), examples)
