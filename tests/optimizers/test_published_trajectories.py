"""What PyTorch itself computed: torch 2.13.0 on CPU in float64, on f(w) = sum(a (w - c)^2) / 2 from 0.

Each row names the optimizer of torch.optim as it was called and where it stood after so many steps.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from jaxnn.optimizers.adam_family import adam, adamw, nadam, nadamw
from jaxnn.optimizers.adam_variants import adamax, amsgrad, radam
from jaxnn.optimizers.momentum_and_nesterov import sgd
from jaxnn.optimizers.sign_methods import rprop
from jaxnn.verification.optimizer_references import descend

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

TRAJECTORIES = {
    "SGD(lr=.1)": (sgd(0.1), 3, [0.784, -0.28525, 0.008910300000000001]),
    "SGD(lr=.1, momentum=.9)": (sgd(0.1, 0.9), 3, [1.54, -0.53725, 0.0166863]),
    "SGD(lr=.1, momentum=.9, nesterov=True)": (
        sgd(0.1, 0.9, nesterov=True),
        3,
        [1.4332960000000001, -0.73707475, 0.0237318177],
    ),
    "SGD(lr=.1, momentum=.9, dampening=.5)": (sgd(0.1, 0.9, dampening=0.5), 3, [1.336, -0.4053125, 0.012415575]),
    "NAdam(lr=.1, weight_decay=.1, decoupled_weight_decay=True)": (
        nadamw(0.1, weight_decay=0.1, momentum_decay=0.004),
        3,
        [0.24447683273043438, -0.24964829932468915, 0.2134225118791741],
    ),
    "Adagrad(lr=.1)": (
        adagrad(0.1, initial_accumulator_value=0.0, eps=1e-10, eps_in_sqrt=False),
        3,
        [0.2195438186475434, -0.2241784849734902, 0.19267741509902597],
    ),
    "RMSprop(lr=.1)": (
        rmsprop(0.1, decay=0.99, eps_in_sqrt=False),
        3,
        [0.9999999999987278, -1.6903125470870075, 0.3589930093011106],
    ),
    "RMSprop(lr=.01, centered=True, momentum=.5, eps=1e-2)": (
        rmsprop(0.01, decay=0.99, eps=1e-2, eps_in_sqrt=False, centered=True, momentum=0.5),
        3,
        [0.322103084889704, -0.3099377367914401, 0.08677925792573794],
    ),
    "Adadelta(lr=1.)": (adadelta(1.0), 3, [0.009690963627702645, -0.009699201106762862, 0.00959769099725764]),
    "Adam(lr=.1, eps=1e-2)": (
        adam(0.1, eps=1e-2),
        3,
        [0.2976366655563573, -0.2963457880837571, 0.21255700212110856],
    ),
    "Adam(lr=.1, amsgrad=True, betas=(.5, .6))": (
        amsgrad(0.1, b1=0.5, b2=0.6, maximum_of="raw"),
        8,
        [0.6790066973879768, -0.7599285905106491, 0.3146005597655075],
    ),
    "AdamW(lr=.1, weight_decay=.1)": (
        adamw(0.1, weight_decay=0.1),
        3,
        [0.2954363479800743, -0.2963911379701775, 0.283854931791396],
    ),
    "Adamax(lr=.1)": (adamax(0.1), 3, [0.2845005272799104, -0.29235176231359017, 0.24914917407546103]),
    "NAdam(lr=.1)": (
        nadam(0.1, momentum_decay=0.004),
        3,
        [0.24727073423691368, -0.2524914968322758, 0.215879830265524],
    ),
    "RAdam(lr=.1, betas=(.9, .99), eps=1e-2)": (
        radam(0.1, b2=0.99, eps=1e-2, eps_beside="uncorrected"),
        8,
        [1.259138657402915, -0.5021372846323608, 0.02810436520390453],
    ),
    "Rprop(lr=.3)": (rprop(0.3), 8, [1.1136, -1.9214399999999998, 0.3]),
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_stands_where_pytorch_stood(name, x64):
    optimizer, steps, expected = TRAJECTORIES[name]
    a, c = jnp.asarray([4.0, 0.5, 0.1]), jnp.asarray([1.0, -2.0, 0.3])
    path = jax.jit(lambda w: descend(optimizer, lambda w: jnp.sum(a * (w - c) ** 2) / 2, w, steps=steps))(jnp.zeros(3))
    np.testing.assert_allclose(path[-1], expected, rtol=1e-9)  # cancellation near c in both
