"""All rows, by kind."""

from jaxnn.verification.activation_twins import ACTIVATIONS
from jaxnn.verification.basis_twins import BASIS_FUNCTIONS
from jaxnn.verification.convolution_twins import CONVOLUTION_LAYERS, CONVOLUTIONS
from jaxnn.verification.initializer_twins import INITIALIZERS
from jaxnn.verification.layer_twins import LAYER_LAYERS, LAYERS
from jaxnn.verification.loss_twins import LOSSES
from jaxnn.verification.metric_twins import METRICS
from jaxnn.verification.model_twins import MODELS
from jaxnn.verification.optimizer_twins import OPTIMIZERS
from jaxnn.verification.preprocessing_twins import PREPROCESSING
from jaxnn.verification.quasi_newton_twins import QUASI_NEWTON, SEARCHES
from jaxnn.verification.regularizer_twins import REGULARIZERS
from jaxnn.verification.schedule_twins import SCHEDULES
from jaxnn.verification.second_order_twins import SECOND_ORDER
from jaxnn.verification.transformation_twins import TRANSFORMATIONS

TABLE = {
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "metrics": METRICS,
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
