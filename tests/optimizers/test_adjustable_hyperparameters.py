import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnn.optimizers import adam, adjustable, sgd
from jaxnn.schedules import one_cycle


def test_two_optimizers_of_one_factory_share_their_update():
    assert adjustable(sgd)(learning_rate=0.1).update is adjustable(sgd)(learning_rate=0.2).update
    assert adjustable(sgd)(learning_rate=0.1).update is not adjustable(adam)(learning_rate=0.1).update
    plain, nesterov = (adjustable(sgd)(learning_rate=0.1, momentum=0.9, nesterov=n) for n in (False, True))
    assert plain.update is not nesterov.update


def test_none_booleans_and_strings_stay_static():
    state = adjustable(sgd)(learning_rate=0.1, momentum=None, nesterov=False).init(jnp.zeros(2))
    assert set(state.hyperparameters) == {"learning_rate"}
    assert state.inner.v is None


def test_numbers_are_float32_arrays_whatever_the_parameters():
    state = adjustable(adam)(learning_rate=1, b2=0.999).init(jnp.zeros(2, jnp.bfloat16))
    assert {k: str(v.dtype) for k, v in state.hyperparameters.items()} == {"learning_rate": "float32", "b2": "float32"}
    np.testing.assert_allclose(state.hyperparameters["b2"], 0.999)  # in bfloat16 it would be 1


def test_a_new_schedule_is_a_new_state_not_a_new_program():
    traces, params = [], jnp.ones(2)
    update = jax.jit(lambda state: (traces.append(1), adjustable(sgd)(learning_rate=0.1).update(params, state))[1])
    for peak in (0.1, 0.7):
        schedule = one_cycle(peak, steps=10)
        updates, state = update(adjustable(sgd)(learning_rate=schedule).init(params))
        np.testing.assert_allclose(updates, -schedule(0) * params, rtol=1e-6)
        for _ in range(3):
            updates, state = update(state)
        np.testing.assert_allclose(updates, -peak * params, rtol=1e-6)  # step 3 of 10 is the peak
    assert len(traces) == 1


def test_takes_an_optax_factory_too():
    ours, theirs = adjustable(optax.sgd)(learning_rate=0.5), optax.sgd(0.5)
    np.testing.assert_array_equal(
        ours.update(jnp.ones(2), ours.init(jnp.ones(2)))[0], theirs.update(jnp.ones(2), theirs.init(jnp.ones(2)))[0]
    )


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match=r"`nesterov=True` .* received momentum=None. Give a momentum"):
        sgd(0.1, nesterov=True)


def test_a_misspelt_hyperparameter_is_refused():
    with pytest.raises(TypeError, match="learning_rat"):
        adjustable(sgd)(learning_rat=0.1).init(jnp.zeros(1))


def test_states_are_independent_so_that_one_may_be_donated():
    optimizer = adjustable(sgd)(learning_rate=0.5, momentum=0.9)
    first = optimizer.init(jnp.zeros(2))
    jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(first)
    assert first.hyperparameters["momentum"].is_deleted()
    second = optimizer.init(jnp.zeros(2))
    assert float(second.hyperparameters["momentum"]) == np.float32(0.9)
