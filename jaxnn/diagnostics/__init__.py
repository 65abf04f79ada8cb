"""Looking at models and runs: what a model is made of, how learning went, what it gets wrong.

Pure functions of models, histories and arrays; matplotlib is imported when the first picture is drawn.
"""

from jaxnn.diagnostics.figure_style import save_figure as save_figure
from jaxnn.diagnostics.gradient_check import GradientCheck as GradientCheck
from jaxnn.diagnostics.gradient_check import LeafCheck as LeafCheck
from jaxnn.diagnostics.gradient_check import check_gradient as check_gradient
from jaxnn.diagnostics.gradient_check import format_gradient_check as format_gradient_check
from jaxnn.diagnostics.model_summary import Row as Row
from jaxnn.diagnostics.model_summary import Summary as Summary
from jaxnn.diagnostics.model_summary import format_summary as format_summary
from jaxnn.diagnostics.model_summary import summarize as summarize
from jaxnn.diagnostics.plots import plot_confusion as plot_confusion
from jaxnn.diagnostics.plots import plot_curves as plot_curves
from jaxnn.diagnostics.plots import plot_filters as plot_filters
from jaxnn.diagnostics.plots import plot_mistakes as plot_mistakes
