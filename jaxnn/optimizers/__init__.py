"""Optimizers are Optax pairs: `init(params) -> state` and `update(grads, state, params) -> (updates, state)`.

All are written from scratch. Our pairs and Optax's can be chained with each other in either order, and one can replace
the other: names, argument names and defaults are Optax's. Each method is one equation for one parameter, and the
equation is mapped over the tree. In the equations g^2 of a complex parameter means |g|^2; `rprop`, which compares
signs, takes real parameters only. Methods that use curvature are in `jaxnn.second_order`.

| family | what it has |
| --- | --- |
| gradient descent | `sgd` (momentum, Nesterov in both forms), `sign_sgd`, `lion`, `rprop` |
| squared gradients | `adagrad`, `rmsprop` (plain, centred), `adadelta` |
| adaptive moments | `adam`, `adamw`, `adamax`, `adamaxw`, `nadam`, `nadamw`, `amsgrad`, `radam`; dialects by keyword |
| large batches, matrices | `lars`, `lamb`, `muon` |
| links of a chain | `scale_by_adam`, `scale_by_momentum`, `scale_by_trust_ratio`, clipping, weight decay |
| around an optimizer | `chain`, `parameter_groups`, `accumulate`, `lookahead`, `averaging` (EMA, SWA), `add_noise` |
| numbers and dtypes | `adjustable`, `with_hyperparameters`, `in_float32` for bfloat16 parameters, `reduce_on_plateau` |
"""

from jaxnn.optimizers.adagrad_family import adadelta as adadelta
from jaxnn.optimizers.adagrad_family import adagrad as adagrad
from jaxnn.optimizers.adagrad_family import rmsprop as rmsprop
from jaxnn.optimizers.adam_family import adam as adam
from jaxnn.optimizers.adam_family import adamw as adamw
from jaxnn.optimizers.adam_family import nadam as nadam
from jaxnn.optimizers.adam_family import nadamw as nadamw
from jaxnn.optimizers.adam_family import scale_by_adam as scale_by_adam
from jaxnn.optimizers.adam_variants import adamax as adamax
from jaxnn.optimizers.adam_variants import adamaxw as adamaxw
from jaxnn.optimizers.adam_variants import amsgrad as amsgrad
from jaxnn.optimizers.adam_variants import radam as radam
from jaxnn.optimizers.adjustable_hyperparameters import adjustable as adjustable
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters as with_hyperparameters
from jaxnn.optimizers.chaining import chain as chain
from jaxnn.optimizers.chaining import identity as identity
from jaxnn.optimizers.chaining import scale as scale
from jaxnn.optimizers.chaining import scale_by_learning_rate as scale_by_learning_rate
from jaxnn.optimizers.gradient_accumulation import accumulate as accumulate
from jaxnn.optimizers.gradient_clipping import adaptive_grad_clip as adaptive_grad_clip
from jaxnn.optimizers.gradient_clipping import clip as clip
from jaxnn.optimizers.gradient_clipping import clip_by_block_rms as clip_by_block_rms
from jaxnn.optimizers.gradient_clipping import clip_by_global_norm as clip_by_global_norm
from jaxnn.optimizers.gradient_clipping import clip_by_norm as clip_by_norm
from jaxnn.optimizers.gradient_clipping import global_norm as global_norm
from jaxnn.optimizers.gradient_noise import add_noise as add_noise
from jaxnn.optimizers.gradient_transformation import GradientTransformation as GradientTransformation
from jaxnn.optimizers.gradient_transformation import apply_updates as apply_updates
from jaxnn.optimizers.half_precision import in_float32 as in_float32
from jaxnn.optimizers.lars_and_lamb import lamb as lamb
from jaxnn.optimizers.lars_and_lamb import lars as lars
from jaxnn.optimizers.lars_and_lamb import scale_by_trust_ratio as scale_by_trust_ratio
from jaxnn.optimizers.lookahead_weights import lookahead as lookahead
from jaxnn.optimizers.momentum_and_nesterov import nesterov_point as nesterov_point
from jaxnn.optimizers.momentum_and_nesterov import scale_by_momentum as scale_by_momentum
from jaxnn.optimizers.momentum_and_nesterov import sgd as sgd
from jaxnn.optimizers.muon_updates import muon as muon
from jaxnn.optimizers.muon_updates import orthogonalize as orthogonalize
from jaxnn.optimizers.parameter_grouping import explain_groups as explain_groups
from jaxnn.optimizers.parameter_grouping import parameter_groups as parameter_groups
from jaxnn.optimizers.plateau import PlateauScale as PlateauScale
from jaxnn.optimizers.plateau import plateau_scale as plateau_scale
from jaxnn.optimizers.plateau import reduce_on_plateau as reduce_on_plateau
from jaxnn.optimizers.sign_methods import lion as lion
from jaxnn.optimizers.sign_methods import rprop as rprop
from jaxnn.optimizers.sign_methods import sign_sgd as sign_sgd
from jaxnn.optimizers.weight_averaging import WeightAverage as WeightAverage
from jaxnn.optimizers.weight_averaging import averaged_params as averaged_params
from jaxnn.optimizers.weight_averaging import averaging as averaging
from jaxnn.optimizers.weight_averaging import exponential_average as exponential_average
from jaxnn.optimizers.weight_averaging import uniform_average as uniform_average
from jaxnn.optimizers.weight_decay import add_decayed_weights as add_decayed_weights
