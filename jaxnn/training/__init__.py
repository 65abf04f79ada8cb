"""Training runs one pure step `(state, batch) -> (state, metrics)`; this package has the step and its loops.

It takes arrays and returns arrays: it reads and writes no file, prints only through hooks, and knows no particular
model or dataset. A model is an object with `init` and `apply`: a Flax linen module or a bare pair of functions. A batch
is a dict of arrays of one fixed shape with a boolean `mask`; metrics are (sum, count) pairs.

An objective is a pure function that defines what is learned; `TrainStep(objective, update)` makes a step from it. `fit`
trains models that map inputs to targets; `train` takes any step.
"""

from jaxnn.training.data_streams import Stream as Stream
from jaxnn.training.engine import choose_fusion as choose_fusion
from jaxnn.training.evaluation import evaluate as evaluate
from jaxnn.training.evaluation import evaluate_objective as evaluate_objective
from jaxnn.training.evaluation import predict as predict
from jaxnn.training.fit_events import Compiled as Compiled
from jaxnn.training.fit_events import Compiling as Compiling
from jaxnn.training.fit_events import DivergenceError as DivergenceError
from jaxnn.training.fit_events import Evaluated as Evaluated
from jaxnn.training.fit_events import Progress as Progress
from jaxnn.training.fit_events import Started as Started
from jaxnn.training.fit_events import Stopped as Stopped
from jaxnn.training.fitting import fit as fit
from jaxnn.training.fitting import train as train
from jaxnn.training.functional_model import FunctionalModel as FunctionalModel
from jaxnn.training.key_streams import Keys as Keys
from jaxnn.training.key_streams import stream_key as stream_key
from jaxnn.training.objectives import Measures as Measures
from jaxnn.training.objectives import Weighted as Weighted
from jaxnn.training.objectives import supervised as supervised
from jaxnn.training.train_state import TrainState as TrainState
from jaxnn.training.train_state import begin as begin
from jaxnn.training.train_state import copy_state as copy_state
from jaxnn.training.train_state import init_state as init_state
from jaxnn.training.train_step import TrainStep as TrainStep
from jaxnn.training.training_loop import Fitted as Fitted
from jaxnn.training.trials import Start as Start
from jaxnn.training.trials import Trial as Trial
from jaxnn.training.trials import make_trial as make_trial
from jaxnn.training.trials import supervised_trial as supervised_trial
