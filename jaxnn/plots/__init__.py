"""The `plot_*` functions take arrays, histories or results and return a matplotlib `Figure`.

The `write_*` functions write a file. matplotlib is imported when the first picture is drawn. Every figure looks the
same whatever the user's settings are, and `save_figure` writes it to a file.
"""

from jaxnn.plots.boundary_plots import Regions as Regions
from jaxnn.plots.boundary_plots import draw_decision_boundary as draw_decision_boundary
from jaxnn.plots.boundary_plots import plot_decision_boundaries as plot_decision_boundaries
from jaxnn.plots.boundary_plots import plot_decision_boundary as plot_decision_boundary
from jaxnn.plots.figure_style import save_figure as save_figure
from jaxnn.plots.layer_histograms import plot_layer_histograms as plot_layer_histograms
from jaxnn.plots.line_plots import plot_lines as plot_lines
from jaxnn.plots.race_animation import write_race_gif as write_race_gif
from jaxnn.plots.race_page import write_race_page as write_race_page
from jaxnn.plots.race_plots import plot_race as plot_race
from jaxnn.plots.race_plots import plot_training_race as plot_training_race
from jaxnn.plots.run_plots import plot_confusion as plot_confusion
from jaxnn.plots.run_plots import plot_curves as plot_curves
from jaxnn.plots.run_plots import plot_filters as plot_filters
from jaxnn.plots.run_plots import plot_mistakes as plot_mistakes
from jaxnn.plots.search_plots import plot_heat_map as plot_heat_map
from jaxnn.plots.search_plots import plot_parallel_coordinates as plot_parallel_coordinates
from jaxnn.plots.study_plots import plot_cross_validation as plot_cross_validation
from jaxnn.plots.study_plots import plot_ensemble_errors as plot_ensemble_errors
from jaxnn.plots.study_plots import plot_rate_sweep as plot_rate_sweep
from jaxnn.plots.study_plots import plot_study as plot_study
