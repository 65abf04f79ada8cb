"""The package has these recipes: classifiers of images or of points. Jax is imported only when one is built."""

from jaxnn.cli.training_flags import RECIPES as DEFAULTS
from jaxnn.recipes.training_recipes import Facts, Recipe


def build_classifier(config, facts: Facts, steps: int):
    """Builds the trial of a classifier; see `classifier_pieces`."""
    import jaxnn.recipes.classifier_pieces as classifier_pieces

    return classifier_pieces.build(config, facts, steps)


def classifier_metrics(facts: Facts):
    """Returns what `jaxnn evaluate` measures in addition: top-5 accuracy, if there are more than five classes."""
    from jaxnn.metrics import top_k

    return (("top-5 accuracy", top_k(5)),) if len(facts.classes) > 5 else ()


def classifier_pictures(folder, task, state, judged):
    """Draws the confusion matrix, the worst mistakes and the weights of the first layer."""
    from jaxnn.runs.illustration import classifier_pictures

    return classifier_pictures(folder, task, state, judged)


ABOUT = {
    "lenet5": "a convolutional net for images (LeCun et al. 1998, in today's form)",
    "lenet1998": "LeNet-5 as the paper has it (LeCun et al. 1998), for MNIST alone",
    "mlp": "hidden layers of --hidden units, for images and points",
    "softmax_regression": "a linear classifier, for images and points",
}
HOW = {"metrics": classifier_metrics, "pictures": classifier_pictures, "monitor": "validation/accuracy"}
RECIPES = {name: Recipe(defaults, build_classifier, ABOUT[name], **HOW) for name, defaults in DEFAULTS.items()}
