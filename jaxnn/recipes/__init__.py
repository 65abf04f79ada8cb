"""A recipe describes how something is trained from the command line; every command can then work with it.

A recipe says which model is built for which data, with which defaults and flags, by which measure it is judged, and
which pictures are drawn at the end. `jaxnn train NAME` uses a recipe of the package; `jaxnn train my_file.py:NAME` and
`jaxnn train package.module:NAME` use one of the user. Nothing here imports jax before a recipe builds.

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
