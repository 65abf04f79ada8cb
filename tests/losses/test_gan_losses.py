"""Two players: where the games end, which gradients vanish, and what no logit breaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.losses import (
    least_squares_discriminator,
    least_squares_generator,
    minimax_discriminator,
    minimax_generator,
    non_saturating_generator,
)

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

DISCRIMINATORS = (minimax_discriminator, least_squares_discriminator)
GENERATORS = (minimax_generator, non_saturating_generator, least_squares_generator)


def slope(loss, *logits):
    return jax.grad(lambda *logits: loss(*logits).sum(), tuple(range(len(logits))))(*logits)


def test_every_generator_wants_its_fakes_scored_higher_and_the_discriminator_lower():
    below = jnp.array([-3.0, -1.0, 0.0, 0.5])
    assert all((slope(loss, below)[0] < 0).all() for loss in GENERATORS)
    for loss in DISCRIMINATORS:
        real, fake = slope(loss, below, below + 4)
        assert (real < 0).all()
        assert (fake > 0).all()


def test_only_the_minimax_generator_stalls_against_a_sure_discriminator():
    sure = jnp.array([-20.0])
    assert abs(slope(minimax_generator, sure)[0]) < 1e-8
    assert_close(slope(non_saturating_generator, sure)[0], jnp.array([-1.0]))
    assert_close(slope(least_squares_generator, sure)[0], jnp.array([-21.0]))


def test_minimax_is_a_game_of_zero_sum_in_the_fakes():
    real, fake = jnp.array([0.3, -2.0]), jnp.array([1.0, -4.0])
    total = minimax_discriminator(real, fake) + minimax_generator(fake)
    assert_close(total, jax.nn.softplus(-real))


def test_against_a_perfect_generator_undecided_is_best():
    logits = jnp.linspace(-2, 2, 401)
    assert logits[minimax_discriminator(logits, logits).argmin()] == pytest.approx(0, abs=0.01)
    assert minimax_discriminator(logits, logits).min() == pytest.approx(np.log(4))
    assert logits[least_squares_discriminator(logits, logits).argmin()] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("loss", [minimax_discriminator, minimax_generator, non_saturating_generator])
def test_finite_for_any_logits(loss):
    logits = (jnp.array([1e30, -1e30, 1e4, -1e4]),) * (2 if loss is minimax_discriminator else 1)
    assert np.isfinite(loss(*logits)).all()
    assert np.isfinite(slope(loss, *logits)).all()
