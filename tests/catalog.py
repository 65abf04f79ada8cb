"""The rows of the table of twins, as the tests read them: the properties in `test_every_*.py` run over all rows.

To add a function, an optimizer, a schedule, an initializer or a model, add its row in `jaxnn/verification`, with an
oracle by someone else.
"""

from rings import first_of

from jaxnn.verification.activation_twins import ACTIVATIONS as ACTIVATIONS
from jaxnn.verification.basis_twins import BASIS_FUNCTIONS
from jaxnn.verification.convolution_twins import CONVOLUTION_LAYERS, CONVOLUTIONS
from jaxnn.verification.initializer_twins import INITIALIZERS as INITIALIZERS
from jaxnn.verification.layer_twins import LAYER_LAYERS, LAYERS
from jaxnn.verification.loss_twins import LOSSES as LOSSES
from jaxnn.verification.metric_twins import METRICS as METRICS
from jaxnn.verification.model_twins import MODELS as MODELS
from jaxnn.verification.optimizer_twins import OPTIMIZERS as OPTIMIZERS
from jaxnn.verification.preprocessing_twins import PREPROCESSING as PREPROCESSING
from jaxnn.verification.quasi_newton_twins import QUASI_NEWTON, SEARCHES
from jaxnn.verification.regularizer_twins import REGULARIZERS
from jaxnn.verification.rows import ModelRow, OptimizerRow
from jaxnn.verification.schedule_twins import SCHEDULES as SCHEDULES
from jaxnn.verification.second_order_twins import SECOND_ORDER

FUNCTIONS = [*ACTIVATIONS, *LOSSES, *METRICS, *PREPROCESSING, *BASIS_FUNCTIONS, *REGULARIZERS, *CONVOLUTIONS, *LAYERS]
DESCENTS = [*SECOND_ORDER, *QUASI_NEWTON, *SEARCHES]
NETWORK_LAYERS = [*CONVOLUTION_LAYERS, *LAYER_LAYERS]


def over(rows):
    """Parametrizes a test over rows, by their names; ring 1 takes the first of each room, for each is a program."""
    return first_of("row", rows, kind=room_of, ids=lambda row: row.name)


def room_of(row):
    """The package, or the flat module, of what the row checks."""
    return ".".join(file_of(row).split(".")[:2])


def file_of(row):
    """The module of what the row checks; of models the package, for each is a program of seconds."""
    if isinstance(row, ModelRow):
        return "jaxnn.models"
    return (row.factory if isinstance(row, OptimizerRow) else row.public).__module__


NOT_IN_THE_CATALOG = {
    "jaxnn.layers.LOWERINGS": "names",
    "jaxnn.layers.Add": "takes a tuple: tests/layers/test_activation_layers.py",
    "jaxnn.layers.BatchStatistics": "a pair: tests/layers/test_normalization.py",
    "jaxnn.layers.Concatenate": "takes a tuple: tests/layers/test_activation_layers.py",
    "jaxnn.layers.LayerModel": "an adapter: tests/layers/test_composition.py",
    "jaxnn.layers.chain": "composes: tests/layers/test_composition.py",
    "jaxnn.layers.graph": "composes: tests/layers/test_composition.py",
    "jaxnn.layers.repeat": "composes: tests/layers/test_repetition.py",
    "jaxnn.layers.Layer": "the contract itself: tests/layers/test_hand_written.py",
    "jaxnn.layers.choose_lowering": "decides, computes nothing: tests/layers/test_convolution.py",
    "jaxnn.layers.differentiable": "makes layers: tests/layers/test_hand_written.py",
    "jaxnn.second_order.Minimum": "a result: tests/second_order/test_newton.py",
    "jaxnn.optimizers.PlateauScale": "a pair: tests/optimizers/test_plateau.py",
    "jaxnn.optimizers.WeightAverage": "averages: tests/optimizers/test_weight_averaging.py",
    "jaxnn.optimizers.accumulate": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.adaptive_grad_clip": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.add_decayed_weights": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.add_noise": "draws its own noise: tests/optimizers/test_gradient_noise.py",
    "jaxnn.optimizers.averaged_params": "averages: tests/optimizers/test_weight_averaging.py",
    "jaxnn.optimizers.averaging": "averages: tests/optimizers/test_weight_averaging.py",
    "jaxnn.optimizers.chain": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.clip": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.clip_by_block_rms": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.clip_by_global_norm": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.clip_by_norm": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.second_order.conjugate_gradient": "solves: tests/second_order/test_newton.py",
    "jaxnn.optimizers.explain_groups": "a table: tests/optimizers/test_parameter_grouping.py",
    "jaxnn.optimizers.exponential_average": "averages: tests/optimizers/test_weight_averaging.py",
    "jaxnn.second_order.fisher_vector_product": "a product: tests/second_order/test_natural_gradient.py",
    "jaxnn.second_order.gauss_newton_vector_product": "a product: tests/second_order/test_gauss_newton.py",
    "jaxnn.optimizers.global_norm": "a norm: tests/optimizers/test_gradient_clipping.py",
    "jaxnn.second_order.hessian_vector_product": "a product: tests/second_order/test_newton.py",
    "jaxnn.optimizers.identity": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.in_float32": "a form of every optimizer: tests/optimizers/test_adam_family.py",
    "jaxnn.optimizers.lookahead": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.second_order.minimize": "a driver: tests/second_order/test_newton.py",
    "jaxnn.optimizers.nesterov_point": "a point: tests/optimizers/test_momentum_sgd.py",
    "jaxnn.optimizers.orthogonalize": "of one matrix: tests/optimizers/test_muon.py",
    "jaxnn.optimizers.parameter_groups": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.plateau_scale": "a state machine: tests/optimizers/test_plateau.py",
    "jaxnn.optimizers.reduce_on_plateau": "takes value: tests/optimizers/test_plateau.py",
    "jaxnn.optimizers.scale": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.scale_by_learning_rate": "a row of TRANSFORMATIONS: tests/optimizers/test_transformations.py",
    "jaxnn.optimizers.uniform_average": "averages: tests/optimizers/test_weight_averaging.py",
    "jaxnn.second_order.value_and_grad_from_state": "reads a state: tests/second_order/test_lbfgs.py",
    "jaxnn.optimizers.with_hyperparameters": "sets numbers: tests/optimizers/test_adjustable_hyperparameters.py",
    "jaxnn.optimizers.GradientTransformation": "the pair itself",
    "jaxnn.optimizers.adjustable": "a form of every optimizer: every row is also tested in it",
    "jaxnn.optimizers.apply_updates": "a sum: test_every_optimizer.py",
    "jaxnn.initializers.lsuv": "of a whole network: tests/test_initializers.py",
    "jaxnn.models.FittedGLM": "a result: tests/models/test_irls.py",
    "jaxnn.models.TrainedPerceptron": "a result: tests/models/test_perceptron.py",
    "jaxnn.models.fit_glm": "solves: tests/models/test_irls.py",
    "jaxnn.models.irls_step": "solves: tests/models/test_irls.py",
    "jaxnn.models.mistake_bound": "a theorem: tests/models/test_perceptron.py",
    "jaxnn.models.perceptron_epoch": "learns: tests/models/test_perceptron.py",
    "jaxnn.models.perceptron_step": "learns: tests/models/test_perceptron.py",
    "jaxnn.models.predict_glm": "of a fit: tests/models/test_irls.py",
    "jaxnn.models.train_perceptron": "learns: tests/models/test_perceptron.py",
    "jaxnn.metrics.BleuCounts": "counts: tests/metrics/test_bleu_score.py",
    "jaxnn.metrics.Interval": "a pair: tests/metrics/test_confidence_intervals.py",
    "jaxnn.metrics.Mean": "a pair: tests/metrics/test_mergeable_sums.py",
    "jaxnn.metrics.Moments": "a triple: tests/metrics/test_mergeable_sums.py",
    "jaxnn.metrics.bleu": "of words: tests/metrics/test_bleu_score.py",
    "jaxnn.metrics.bleu_counts": "of words: tests/metrics/test_bleu_score.py",
    "jaxnn.metrics.confusion_matrix": "not per example: tests/metrics/test_classification.py",
    "jaxnn.metrics.masked_mean": "reduces: tests/metrics/test_mergeable_sums.py",
    "jaxnn.metrics.masked_moments": "reduces: tests/metrics/test_mergeable_sums.py",
    "jaxnn.metrics.merge": "adds: tests/metrics/test_mergeable_sums.py",
}
NOT_CONCEPTS = {
    "bounded_files",
    "compiler_options",
    "machine_memory",
    "naming",
    "placement_names",
    "parameter_paths",
    "real_numbers",
    "signatures",
    "version",
    "__main__",
}  # flat, without mathematics
