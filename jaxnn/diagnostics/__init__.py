"""Diagnostics check gradients, summarize models, observe the signals in a network and record where optimizers go.

The functions are pure functions of models and arrays that return numbers and text. `jaxnn.plots` draws their results.
"""

from jaxnn.diagnostics.gradient_check import GradientCheck as GradientCheck
from jaxnn.diagnostics.gradient_check import LeafCheck as LeafCheck
from jaxnn.diagnostics.gradient_check import check_gradient as check_gradient
from jaxnn.diagnostics.gradient_check import format_gradient_check as format_gradient_check
from jaxnn.diagnostics.layer_statistics import Flow as Flow
from jaxnn.diagnostics.layer_statistics import LayerStatistics as LayerStatistics
from jaxnn.diagnostics.layer_statistics import describe_layers as describe_layers
from jaxnn.diagnostics.layer_statistics import observe_layers as observe_layers
from jaxnn.diagnostics.layer_statistics import observe_module as observe_module
from jaxnn.diagnostics.model_summary import Row as Row
from jaxnn.diagnostics.model_summary import Summary as Summary
from jaxnn.diagnostics.model_summary import format_summary as format_summary
from jaxnn.diagnostics.model_summary import summarize as summarize
from jaxnn.diagnostics.surfaces import SURFACES as SURFACES
from jaxnn.diagnostics.surfaces import Surface as Surface
from jaxnn.diagnostics.trajectories import CONTESTANTS as CONTESTANTS
from jaxnn.diagnostics.trajectories import DEFAULT_CONTESTANTS as DEFAULT_CONTESTANTS
from jaxnn.diagnostics.trajectories import Contestant as Contestant
from jaxnn.diagnostics.trajectories import RaceOutcome as RaceOutcome
from jaxnn.diagnostics.trajectories import judge as judge
from jaxnn.diagnostics.trajectories import race_training as race_training
from jaxnn.diagnostics.trajectories import run_races as run_races
