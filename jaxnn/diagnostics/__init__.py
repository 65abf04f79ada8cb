"""Looking at models and runs: what a model is made of, how learning went, what it gets wrong.

Pure functions of models, histories and arrays; matplotlib is imported when the first picture is drawn.
"""

from jaxnn.diagnostics.animation import write_race_gif as write_race_gif
from jaxnn.diagnostics.boundary_plots import Regions as Regions
from jaxnn.diagnostics.boundary_plots import draw_decision_boundary as draw_decision_boundary
from jaxnn.diagnostics.boundary_plots import plot_decision_boundaries as plot_decision_boundaries
from jaxnn.diagnostics.boundary_plots import plot_decision_boundary as plot_decision_boundary
from jaxnn.diagnostics.figure_style import save_figure as save_figure
from jaxnn.diagnostics.gradient_check import GradientCheck as GradientCheck
from jaxnn.diagnostics.gradient_check import LeafCheck as LeafCheck
from jaxnn.diagnostics.gradient_check import check_gradient as check_gradient
from jaxnn.diagnostics.gradient_check import format_gradient_check as format_gradient_check
from jaxnn.diagnostics.layer_histograms import plot_layer_histograms as plot_layer_histograms
from jaxnn.diagnostics.layer_statistics import Flow as Flow
from jaxnn.diagnostics.layer_statistics import LayerStatistics as LayerStatistics
from jaxnn.diagnostics.layer_statistics import describe_layers as describe_layers
from jaxnn.diagnostics.layer_statistics import observe_layers as observe_layers
from jaxnn.diagnostics.layer_statistics import observe_module as observe_module
from jaxnn.diagnostics.line_plots import plot_lines as plot_lines
from jaxnn.diagnostics.model_summary import Row as Row
from jaxnn.diagnostics.model_summary import Summary as Summary
from jaxnn.diagnostics.model_summary import format_summary as format_summary
from jaxnn.diagnostics.model_summary import summarize as summarize
from jaxnn.diagnostics.plots import plot_confusion as plot_confusion
from jaxnn.diagnostics.plots import plot_curves as plot_curves
from jaxnn.diagnostics.plots import plot_filters as plot_filters
from jaxnn.diagnostics.plots import plot_mistakes as plot_mistakes
from jaxnn.diagnostics.race_page import write_race_page as write_race_page
from jaxnn.diagnostics.race_plots import plot_race as plot_race
from jaxnn.diagnostics.race_plots import plot_training_race as plot_training_race
from jaxnn.diagnostics.search_plots import plot_heat_map as plot_heat_map
from jaxnn.diagnostics.search_plots import plot_parallel_coordinates as plot_parallel_coordinates
from jaxnn.diagnostics.study_plots import plot_cross_validation as plot_cross_validation
from jaxnn.diagnostics.study_plots import plot_ensemble_errors as plot_ensemble_errors
from jaxnn.diagnostics.study_plots import plot_rate_sweep as plot_rate_sweep
from jaxnn.diagnostics.study_plots import plot_study as plot_study
from jaxnn.diagnostics.surfaces import SURFACES as SURFACES
from jaxnn.diagnostics.surfaces import Surface as Surface
from jaxnn.diagnostics.trajectories import CONTESTANTS as CONTESTANTS
from jaxnn.diagnostics.trajectories import DEFAULT_CONTESTANTS as DEFAULT_CONTESTANTS
from jaxnn.diagnostics.trajectories import Contestant as Contestant
from jaxnn.diagnostics.trajectories import Outcome as Outcome
from jaxnn.diagnostics.trajectories import judge as judge
from jaxnn.diagnostics.trajectories import race_training as race_training
from jaxnn.diagnostics.trajectories import run_races as run_races
