import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.layers import dropout
from jaxnn.models import MLP
from jaxnn.optimizers import sgd
from jaxnn.populations.ensembles import average_probabilities
from jaxnn.populations.monte_carlo_sampling import monte_carlo_dropout
from jaxnn.training import init_state

RATE = 0.25
THINNED = (
    lambda key, x: jax.random.normal(key, (x.shape[-1], 2)),
    lambda w, x, *, key: dropout(key, x, rate=RATE) @ w,
)


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x, *, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train, use_bias=False, use_scale=False)(x)
        return nn.Dropout(0.5, deterministic=not train)(x)


def inputs(n=6, features=5):
    return np.random.default_rng(0).normal(size=(n, features)).astype(np.float32)


def state_of(model, x):
    return init_state(model, sgd(0.1), x[:1], key=0)


def test_mean_and_variance_over_the_masks():
    """y = sum_i w_i x_i m_i / q has the mean sum w_i x_i and the variance sum (w_i x_i)^2 (1 - q) / q."""
    x, samples = inputs(), 4000
    state = state_of(THINNED, x)
    outputs = monte_carlo_dropout(THINNED, state, x, samples=samples, key=1)
    terms = x[:, :, None].astype(np.float64) * np.asarray(state.params, np.float64)[None]
    variance = (terms**2).sum(axis=1) * RATE / (1 - RATE)
    assert outputs.shape == (samples, 6, 2)
    z = (outputs.mean(axis=0) - terms.sum(axis=1)) / np.sqrt(variance / samples)
    assert np.abs(z).max() < 4
    np.testing.assert_allclose(outputs.var(axis=0), variance, rtol=0.15)


def test_every_sample_and_every_example_has_a_mask_of_its_own():
    x = np.ones((9, 8), np.float32)
    masks = (lambda key, x: {}, lambda params, x, *, key: dropout(key, x, rate=0.5))
    outputs = monte_carlo_dropout(masks, state_of(masks, x), x, samples=20, key=0, batch_size=4)
    assert set(np.unique(outputs)) == {0.0, 2.0}
    rows = {row.tobytes() for row in outputs.reshape(-1, 8)}
    assert len(rows) > 100  # of 180 drawn from 256
    assert (outputs[:, :4] != outputs[:, 4:8]).any(axis=(1, 2)).all()  # nor does a batch repeat the one before


def test_the_key_decides_and_the_first_samples_do_not_depend_on_their_number():
    x = inputs()
    state = state_of(THINNED, x)
    run = lambda samples, key: monte_carlo_dropout(THINNED, state, x, samples=samples, key=key)
    assert_close(run(5, 3), run(9, 3)[:5], rtol=1e-6)
    assert_close(run(5, 3), run(5, jax.random.key(3)), rtol=0)
    assert np.abs(run(5, 3) - run(5, 4)).max() > 0.1


def test_the_model_state_stays_and_batches_are_normalized_by_themselves():
    x = inputs(8)
    model = Normalized()
    state = state_of(model, x)
    before = jax.tree.map(np.asarray, state.model_state)
    outputs = monte_carlo_dropout(model, state, x, samples=10, key=0)
    assert_close(state.model_state, before, rtol=0)
    normalized = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
    kept = outputs != 0
    np.testing.assert_allclose(outputs[kept], np.broadcast_to(2 * normalized, outputs.shape)[kept], rtol=1e-4)
    assert 0.4 < kept.mean() < 0.6


def test_samples_can_be_averaged_as_members_are():
    x = inputs()
    outputs = monte_carlo_dropout(THINNED, state_of(THINNED, x), x, samples=7, key=0, batch_size=4)
    averaged = average_probabilities(outputs)
    assert averaged.shape == (6, 2)
    np.testing.assert_allclose(averaged.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.full
def test_refuses_a_model_that_draws_nothing():
    x = inputs()
    model = MLP(features=(3,), classes=2)
    with pytest.raises(ValueError, match=r"`model` must draw at random in train mode; received one whose 3 samples"):
        monte_carlo_dropout(model, state_of(model, x), x, samples=3, key=0)
    assert monte_carlo_dropout(model, state_of(model, x), x, samples=1, key=0).shape == (1, 6, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "`samples` must be at least 1; received 0"),
        ({"batch_size": 0}, "`batch_size` must be between 1"),
        ({"inputs": inputs()[:0]}, "positive length"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    x = inputs()
    arguments = {"inputs": x, "samples": 2, "key": jnp.int32(0)} | changes
    with pytest.raises(ValueError, match=message):
        monte_carlo_dropout(THINNED, state_of(THINNED, x), arguments.pop("inputs"), **arguments)
