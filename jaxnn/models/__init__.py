"""The models are Flax linen modules, one paper per file.

Each model has `init(key, x)` and `apply(variables, x, train=..., rngs=..., mutable=...)`; it takes images NHWC and
returns logits. There are also the perceptron with its own rule, and generalized linear models, which are solved rather
than trained.
"""

from jaxnn.models.generalized_linear_models import FittedGLM as FittedGLM
from jaxnn.models.generalized_linear_models import fit_glm as fit_glm
from jaxnn.models.generalized_linear_models import irls_step as irls_step
from jaxnn.models.generalized_linear_models import predict_glm as predict_glm
from jaxnn.models.lenet5 import LeNet5 as LeNet5
from jaxnn.models.lenet5_of_1998 import LeNet1998 as LeNet1998
from jaxnn.models.mlp import MLP as MLP
from jaxnn.models.perceptron import TrainedPerceptron as TrainedPerceptron
from jaxnn.models.perceptron import mistake_bound as mistake_bound
from jaxnn.models.perceptron import perceptron_epoch as perceptron_epoch
from jaxnn.models.perceptron import perceptron_step as perceptron_step
from jaxnn.models.perceptron import train_perceptron as train_perceptron
from jaxnn.models.softmax_regression import SoftmaxRegression as SoftmaxRegression

MODELS = {
    "lenet1998": LeNet1998,
    "lenet5": LeNet5,
    "mlp": MLP,
    "softmax_regression": SoftmaxRegression,
}
