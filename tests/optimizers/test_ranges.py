"""Hyperparameters out of their range are refused where they can be seen; traced ones pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import OPTIMIZERS

from jaxnn.optimizers import adjustable
from jaxnn.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from jaxnn.optimizers.adam_family import adam, adamw, nadam, nadamw
from jaxnn.optimizers.adam_variants import adamax, amsgrad, radam
from jaxnn.optimizers.lars_and_lamb import lamb, lars
from jaxnn.optimizers.momentum_and_nesterov import sgd
from jaxnn.optimizers.muon_updates import muon
from jaxnn.optimizers.sign_methods import lion, rprop
from jaxnn.schedules import constant

FACTORIES = list({row.factory: None for row in OPTIMIZERS})
FRACTIONS = [
    (sgd, ("momentum",)),
    (rmsprop, ("decay", "momentum")),
    (adadelta, ("rho",)),
    *((factory, ("b1", "b2")) for factory in (adam, adamw, adamax, amsgrad, nadam, nadamw, lion, lamb)),
    (radam, ("b1",)),
    (lars, ("momentum",)),
    (muon, ("beta", "adam_b1", "adam_b2")),
    (rprop, ("eta_minus",)),
]
NOT_NEGATIVE = [
    (adagrad, ("initial_accumulator_value", "eps")),
    (rmsprop, ("initial_scale", "eps")),
    (adadelta, ("eps", "weight_decay")),
    *((factory, ("eps", "eps_root")) for factory in (adam, adamw, amsgrad, nadam, nadamw, radam, lamb)),
    *((factory, ("weight_decay",)) for factory in (adamw, nadamw, lion, lars, lamb)),
    (nadam, ("momentum_decay",)),
    (adamax, ("eps",)),
    (lars, ("eps",)),
    (muon, ("eps", "weight_decay", "adam_weight_decay", "adam_eps_root")),
]


def cases(table):
    return [pytest.param(f, name, id=f"{f.__name__}-{name}") for f, names in table for name in names]


@pytest.mark.parametrize("factory", [*FACTORIES, adjustable(sgd), adjustable(adam)])
@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan"), float("inf"), np.float32(-1)])
def test_learning_rates_out_of_range(factory, learning_rate):
    with pytest.raises(ValueError, match="`learning_rate` must be greater than 0 and less than inf"):
        factory(learning_rate=learning_rate)


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("learning_rate", ["1e-3", 1j, True, [0.1], {"w": 0.1}, np.ones(2), jnp.array(1j)], ids=str)
def test_learning_rates_that_are_no_real_number(factory, learning_rate):
    with pytest.raises(ValueError, match="`learning_rate` must be a real number; received"):
        factory(learning_rate=learning_rate)


@pytest.mark.parametrize("factory", [factory for factory in FACTORIES if factory is not adadelta])
def test_no_optimizer_is_without_a_learning_rate(factory):
    with pytest.raises(ValueError, match="`learning_rate` must be a number or a schedule; received None"):
        factory(learning_rate=None)


@pytest.mark.parametrize(("factory", "name"), cases(FRACTIONS))
def test_fractions_out_of_range(factory, name):
    factory(learning_rate=0.1, **{name: 0.0})
    for value in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 0 and less than 1"):
            factory(learning_rate=0.1, **{name: value})


@pytest.mark.parametrize(("factory", "name"), cases(NOT_NEGATIVE))
def test_negative_numbers(factory, name):
    factory(learning_rate=0.1, **{name: 0.0})
    for value in (-0.1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"`{name}` must be finite and at least 0; received {value}"):
            factory(learning_rate=0.1, **{name: value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: radam(0.1, b2=0.6), "`b2` must be greater than 0.6"),
        (lambda: radam(0.1, threshold=3.0), "`threshold` must be greater than 3.9"),
        (lambda: rprop(0.1, eta_plus=1.0), "`eta_plus` must be greater than 1 and less than inf"),
        (lambda: rprop(0.1, min_step_size=0.0), "`min_step_size` must be greater than 0"),
        (lambda: rprop(0.1, max_step_size=-1.0), "`max_step_size` must be greater than 0"),
        (lambda: rprop(constant(0.1)), "`learning_rate` is the first step size, .* received a schedule"),
        (lambda: lars(0.1, trust_coefficient=0.0), "`trust_coefficient` must be greater than 0"),
        (lambda: muon(0.1, consistent_rms=-0.2), "`consistent_rms` must be greater than 0"),
        (lambda: muon(0.1, adam_learning_rate=-0.1), "`adam_learning_rate` must be greater than 0"),
        (lambda: sgd(0.1, nesterov=True), "`nesterov=True` .* received momentum=None. Give a momentum"),
        (lambda: rmsprop(0.1, nesterov=True), "`nesterov=True` .* received momentum=None. Give a momentum"),
        (lambda: adam(0.1, eps_beside="corected"), "'corected'; did you mean 'corrected'"),
        (lambda: radam(0.1, eps_beside="raw"), "unknown root for `eps_beside` 'raw'"),
        (lambda: amsgrad(0.1, maximum_of="v"), "unknown moment for `maximum_of` 'v'. Known: corrected, raw"),
    ],
)
def test_what_else_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_zero_momentum_schedules_and_traced_rates_pass():
    sgd(constant(0.1), momentum=constant(0.5))
    grads = jnp.ones(2)

    def updates(rate):
        optimizer = adam(rate)
        return optimizer.update(grads, optimizer.init(grads))[0]

    assert jax.jit(updates)(-1.0).shape == (2,)
