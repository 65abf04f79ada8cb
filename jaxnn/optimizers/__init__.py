"""Optimizers from scratch: the Optax pair `init(params) -> state`, `update(grads, state, params) -> (updates, state)`.

Ours and Optax's chain with each other both ways, and take each other's place: names, argument names and defaults are
Optax's. First order: one equation for one parameter, mapped over the tree. Second order: what needs curvature takes
`value_fn` (or `residual_fn`, `outputs_fn`) as an extra argument of `update`, and `minimize` drives any of them.
"""

from jaxnn.optimizers.adam_variants import adamax as adamax
from jaxnn.optimizers.adam_variants import amsgrad as amsgrad
from jaxnn.optimizers.adam_variants import radam as radam
from jaxnn.optimizers.adaptive import adam as adam
from jaxnn.optimizers.adaptive import adamw as adamw
from jaxnn.optimizers.adjustable_hyperparameters import adjustable as adjustable
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters as with_hyperparameters
from jaxnn.optimizers.chaining import chain as chain
from jaxnn.optimizers.chaining import identity as identity
from jaxnn.optimizers.chaining import scale as scale
from jaxnn.optimizers.chaining import scale_by_learning_rate as scale_by_learning_rate
from jaxnn.optimizers.clipping import adaptive_grad_clip as adaptive_grad_clip
from jaxnn.optimizers.clipping import clip as clip
from jaxnn.optimizers.clipping import clip_by_block_rms as clip_by_block_rms
from jaxnn.optimizers.clipping import clip_by_global_norm as clip_by_global_norm
from jaxnn.optimizers.clipping import clip_by_norm as clip_by_norm
from jaxnn.optimizers.clipping import global_norm as global_norm
from jaxnn.optimizers.conjugate_gradients import conjugate_gradient as conjugate_gradient
from jaxnn.optimizers.curvature_products import gauss_newton_vector_product as gauss_newton_vector_product
from jaxnn.optimizers.curvature_products import hessian_vector_product as hessian_vector_product
from jaxnn.optimizers.gradient_accumulation import accumulate as accumulate
from jaxnn.optimizers.gradient_descent import nesterov_point as nesterov_point
from jaxnn.optimizers.gradient_descent import sgd as sgd
from jaxnn.optimizers.gradient_noise import add_noise as add_noise
from jaxnn.optimizers.gradient_transformation import GradientTransformation as GradientTransformation
from jaxnn.optimizers.gradient_transformation import apply_updates as apply_updates
from jaxnn.optimizers.grouping import explain_groups as explain_groups
from jaxnn.optimizers.grouping import parameter_groups as parameter_groups
from jaxnn.optimizers.half_precision import in_float32 as in_float32
from jaxnn.optimizers.layerwise import lamb as lamb
from jaxnn.optimizers.layerwise import lars as lars
from jaxnn.optimizers.limited_memory import lbfgs as lbfgs
from jaxnn.optimizers.limited_memory import scale_by_lbfgs as scale_by_lbfgs
from jaxnn.optimizers.line_search import scale_by_backtracking_linesearch as scale_by_backtracking_linesearch
from jaxnn.optimizers.minimization import Minimum as Minimum
from jaxnn.optimizers.minimization import minimize as minimize
from jaxnn.optimizers.minimization import value_and_grad_from_state as value_and_grad_from_state
from jaxnn.optimizers.natural_gradients import fisher_vector_product as fisher_vector_product
from jaxnn.optimizers.natural_gradients import natural_gradient as natural_gradient
from jaxnn.optimizers.natural_gradients import natural_gradient_cg as natural_gradient_cg
from jaxnn.optimizers.nesterov_adam import nadam as nadam
from jaxnn.optimizers.nesterov_adam import nadamw as nadamw
from jaxnn.optimizers.newton_raphson import newton as newton
from jaxnn.optimizers.newton_raphson import newton_cg as newton_cg
from jaxnn.optimizers.newton_raphson import saddle_free_newton as saddle_free_newton
from jaxnn.optimizers.orthogonalized import muon as muon
from jaxnn.optimizers.orthogonalized import orthogonalize as orthogonalize
from jaxnn.optimizers.plateau import PlateauScale as PlateauScale
from jaxnn.optimizers.plateau import plateau_scale as plateau_scale
from jaxnn.optimizers.plateau import reduce_on_plateau as reduce_on_plateau
from jaxnn.optimizers.residual_least_squares import gauss_newton as gauss_newton
from jaxnn.optimizers.residual_least_squares import levenberg_marquardt as levenberg_marquardt
from jaxnn.optimizers.searched_descent import searched as searched
from jaxnn.optimizers.sign_descent import lion as lion
from jaxnn.optimizers.sign_descent import rprop as rprop
from jaxnn.optimizers.sign_descent import sign_sgd as sign_sgd
from jaxnn.optimizers.slow_weights import lookahead as lookahead
from jaxnn.optimizers.squared_gradients import adadelta as adadelta
from jaxnn.optimizers.squared_gradients import adagrad as adagrad
from jaxnn.optimizers.squared_gradients import rmsprop as rmsprop
from jaxnn.optimizers.weight_averaging import WeightAverage as WeightAverage
from jaxnn.optimizers.weight_averaging import averaged_params as averaged_params
from jaxnn.optimizers.weight_averaging import averaging as averaging
from jaxnn.optimizers.weight_averaging import exponential_average as exponential_average
from jaxnn.optimizers.weight_averaging import uniform_average as uniform_average
from jaxnn.optimizers.weight_decay import add_decayed_weights as add_decayed_weights
from jaxnn.optimizers.wolfe_search import scale_by_zoom_linesearch as scale_by_zoom_linesearch
