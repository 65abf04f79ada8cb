"""The functional core: one pure step `(state, batch) -> (state, metrics)` and what drives it.

Arrays in, arrays out: no file, no printing except through hooks, no knowledge of any model or dataset. A model is
whatever has `init` and `apply`: a Flax linen module or a bare pair of functions. A batch is a dict of arrays of one
fixed shape with a boolean `mask`; metrics are (sum, count) pairs.
"""

from jaxnn.training.engine import choose_fusion as choose_fusion
from jaxnn.training.evaluation import evaluate as evaluate
from jaxnn.training.evaluation import predict as predict
from jaxnn.training.events import Compiled as Compiled
from jaxnn.training.events import DivergenceError as DivergenceError
from jaxnn.training.events import Evaluated as Evaluated
from jaxnn.training.events import Progress as Progress
from jaxnn.training.events import Started as Started
from jaxnn.training.events import Stopped as Stopped
from jaxnn.training.fitting import Fitted as Fitted
from jaxnn.training.fitting import fit as fit
from jaxnn.training.functional_model import FunctionalModel as FunctionalModel
from jaxnn.training.train_state import TrainState as TrainState
from jaxnn.training.train_state import init_state as init_state
from jaxnn.training.train_state import stream_key as stream_key
from jaxnn.training.train_step import TrainStep as TrainStep
