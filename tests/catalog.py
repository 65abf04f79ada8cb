"""The rows of the table of references, as the tests read them: the properties in `test_every_*.py` run over all rows.

To add a function, an optimizer, a schedule, an initializer or a model, add its row in `jaxnn/verification`, with an
oracle by someone else.
"""

from rings import first_of

from jaxnn.verification.activation_references import ACTIVATIONS as ACTIVATIONS
from jaxnn.verification.basis_references import BASIS_FUNCTIONS
from jaxnn.verification.convolution_references import CONVOLUTION_LAYERS, CONVOLUTIONS
from jaxnn.verification.initializer_references import INITIALIZERS as INITIALIZERS
from jaxnn.verification.layer_references import LAYER_LAYERS, LAYERS
from jaxnn.verification.loss_references import LOSSES as _LOSSES
from jaxnn.verification.metric_references import METRICS as _METRICS
from jaxnn.verification.model_references import MODELS as MODELS
from jaxnn.verification.optimizer_references import OPTIMIZERS as OPTIMIZERS
from jaxnn.verification.ported_loss_references import PORTED_LOSSES
from jaxnn.verification.preprocessing_references import PREPROCESSING as PREPROCESSING
from jaxnn.verification.quasi_newton_references import QUASI_NEWTON, SEARCHES
from jaxnn.verification.regularizer_references import REGULARIZERS
from jaxnn.verification.rows import ModelRow, OptimizerRow
from jaxnn.verification.schedule_references import SCHEDULES as SCHEDULES
from jaxnn.verification.score_references import SCORES
from jaxnn.verification.second_order_references import SECOND_ORDER
from jaxnn.verification.transformation_references import TRANSFORMATIONS as TRANSFORMATIONS

LOSSES = [*_LOSSES, *PORTED_LOSSES]
METRICS = [*_METRICS, *SCORES]
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


NOT_CONCEPTS = {
    "bounded_files",
    "compiler_options",
    "lenient_streams",
    "machine_memory",
    "naming",
    "placement_names",
    "parameter_paths",
    "real_numbers",
    "signatures",
    "version",
    "__main__",
}  # flat, without mathematics
