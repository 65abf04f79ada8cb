"""Second-order optimizers use curvature: Newton, Gauss-Newton, natural gradient, L-BFGS and their line searches.

They are written from scratch, and they are Optax pairs: `init(params) -> state` and
`update(grads, state, params, **extra) -> (updates, state)`. A method that needs curvature gets `value_fn` (or
`residual_fn`, `outputs_fn`) as an extra argument of `update`. `fit` passes the loss of the batch to the optimizers that
ask for it, and `minimize` runs any of them on one function.
"""

from jaxnn.second_order.conjugate_gradients import conjugate_gradient as conjugate_gradient
from jaxnn.second_order.gauss_newton_steps import gauss_newton as gauss_newton
from jaxnn.second_order.gauss_newton_steps import levenberg_marquardt as levenberg_marquardt
from jaxnn.second_order.hessian_products import gauss_newton_vector_product as gauss_newton_vector_product
from jaxnn.second_order.hessian_products import hessian_vector_product as hessian_vector_product
from jaxnn.second_order.lbfgs_updates import lbfgs as lbfgs
from jaxnn.second_order.lbfgs_updates import scale_by_lbfgs as scale_by_lbfgs
from jaxnn.second_order.line_search import scale_by_backtracking_linesearch as scale_by_backtracking_linesearch
from jaxnn.second_order.minimization import Minimum as Minimum
from jaxnn.second_order.minimization import minimize as minimize
from jaxnn.second_order.minimization import value_and_grad_from_state as value_and_grad_from_state
from jaxnn.second_order.natural_gradients import fisher_vector_product as fisher_vector_product
from jaxnn.second_order.natural_gradients import natural_gradient as natural_gradient
from jaxnn.second_order.natural_gradients import natural_gradient_cg as natural_gradient_cg
from jaxnn.second_order.newton_steps import newton as newton
from jaxnn.second_order.newton_steps import newton_cg as newton_cg
from jaxnn.second_order.newton_steps import saddle_free_newton as saddle_free_newton
from jaxnn.second_order.searched_descent import searched as searched
from jaxnn.second_order.wolfe_line_search import scale_by_zoom_linesearch as scale_by_zoom_linesearch
