"""The table holds all rows, by kind."""

from jaxnn.verification.activation_references import ACTIVATIONS
from jaxnn.verification.basis_references import BASIS_FUNCTIONS
from jaxnn.verification.convolution_references import CONVOLUTION_LAYERS, CONVOLUTIONS
from jaxnn.verification.initializer_references import INITIALIZERS
from jaxnn.verification.layer_references import LAYER_LAYERS, LAYERS
from jaxnn.verification.loss_references import LOSSES
from jaxnn.verification.metric_references import METRICS
from jaxnn.verification.model_references import MODELS
from jaxnn.verification.optimizer_references import OPTIMIZERS
from jaxnn.verification.ported_loss_references import PORTED_LOSSES
from jaxnn.verification.preprocessing_references import PREPROCESSING
from jaxnn.verification.quasi_newton_references import QUASI_NEWTON, SEARCHES
from jaxnn.verification.regularizer_references import REGULARIZERS
from jaxnn.verification.schedule_references import SCHEDULES
from jaxnn.verification.score_references import SCORES
from jaxnn.verification.second_order_references import SECOND_ORDER
from jaxnn.verification.transformation_references import TRANSFORMATIONS

TABLE = {
    "activations": ACTIVATIONS,
    "losses": [*LOSSES, *PORTED_LOSSES],
    "metrics": [*METRICS, *SCORES],
    "initializers": INITIALIZERS,
    "regularizers": REGULARIZERS,
    "preprocessing": PREPROCESSING,
    "basis functions": BASIS_FUNCTIONS,
    "layers": [*LAYERS, *CONVOLUTIONS],
    "layers, backward": [*LAYER_LAYERS, *CONVOLUTION_LAYERS],
    "optimizers": OPTIMIZERS,
    "second order": [*SECOND_ORDER, *QUASI_NEWTON, *SEARCHES],
    "transformations of gradients": TRANSFORMATIONS,
    "schedules": SCHEDULES,
    "models": MODELS,
}
