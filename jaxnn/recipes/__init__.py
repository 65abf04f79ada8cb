"""Recipes: how something is trained from the command line, as a value; every command then knows it.

A recipe says what is built, of which data, with which defaults and flags, by what it is judged, and what is drawn at
the end. `jaxnn train NAME` takes one of the package, `jaxnn train my_file.py:NAME` or `package.module:NAME` one of the
user's. Nothing here imports jax before a recipe builds.

    from jaxnn.recipes.optimizer_choice import build_optimizer

    def build(config, facts, steps):
        return supervised_trial(MyModel(config.width), my_loss, build_optimizer(config, steps=steps))

    MINE = Recipe(defaults=Training("mine", epochs=5), build=build)
"""

from jaxnn.cli.training_flags import Training as Training
from jaxnn.recipes.named_recipes import recipe as recipe
from jaxnn.recipes.named_recipes import recorded_recipe as recorded_recipe
from jaxnn.recipes.training_recipes import Facts as Facts
from jaxnn.recipes.training_recipes import Recipe as Recipe
