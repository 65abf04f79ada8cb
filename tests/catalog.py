"""The rows of the table of twins, as the tests read them: the properties in `test_every_*.py` run over all rows.

To add a function, an optimizer, a schedule, an initializer or a model, add its row in `jaxnn/verification`, with an
oracle by someone else.
"""

import pytest

from jaxnn.verification.activation_twins import ACTIVATIONS as ACTIVATIONS
from jaxnn.verification.convolution_twins import CONVOLUTION_LAYERS, CONVOLUTIONS
from jaxnn.verification.initializer_twins import INITIALIZERS as INITIALIZERS
from jaxnn.verification.layer_twins import LAYER_LAYERS, LAYERS
from jaxnn.verification.loss_twins import LOSSES as LOSSES
from jaxnn.verification.metric_twins import METRICS as METRICS
from jaxnn.verification.model_twins import MODELS as MODELS
from jaxnn.verification.optimizer_twins import OPTIMIZERS as OPTIMIZERS
from jaxnn.verification.preprocessing_twins import PREPROCESSING as PREPROCESSING
from jaxnn.verification.schedule_twins import SCHEDULES as SCHEDULES

FUNCTIONS = [*ACTIVATIONS, *LOSSES, *METRICS, *PREPROCESSING, *CONVOLUTIONS, *LAYERS]
NETWORK_LAYERS = [*CONVOLUTION_LAYERS, *LAYER_LAYERS]


def over(rows):
    """Parametrizes a test over rows, named after them."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


NOT_IN_THE_CATALOG = {
    "jaxnn.layers.LOWERINGS": "names",
    "jaxnn.layers.Layer": "the contract itself: tests/layers/test_hand_written.py",
    "jaxnn.layers.choose_lowering": "decides, computes nothing: tests/layers/test_convolution.py",
    "jaxnn.layers.differentiable": "makes layers: tests/layers/test_hand_written.py",
    "jaxnn.optimizers.GradientTransformation": "the pair itself",
    "jaxnn.optimizers.adjustable": "a form of every optimizer: every row is also tested in it",
    "jaxnn.optimizers.apply_updates": "a sum: test_every_optimizer.py",
    "jaxnn.metrics.Mean": "a pair: test_every_function.py",
    "jaxnn.metrics.masked_mean": "reduces: test_every_function.py",
    "jaxnn.metrics.confusion_matrix": "not per example: test_every_function.py",
}
NOT_CONCEPTS = {"naming", "signatures", "version", "__main__"}  # flat modules that hold no mathematics
