import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, adjustable, sgd
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters
from jaxnn.optimizers.chaining import chain
from jaxnn.optimizers.gradient_clipping import clip_by_global_norm
from jaxnn.optimizers.weight_decay import add_decayed_weights
from jaxnn.schedules import one_cycle
from jaxnn.training import init_state

COVERS = {"optimizers.adjustable", "optimizers.with_hyperparameters"}


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


def test_a_new_schedule_is_a_new_state_not_a_new_program(traced_once):
    params = jnp.ones(2)
    update = jax.jit(traced_once(lambda state: adjustable(sgd)(learning_rate=0.1).update(params, state)))
    for peak in (0.1, 0.7):
        schedule = one_cycle(peak, steps=10)
        updates, state = update(adjustable(sgd)(learning_rate=schedule).init(params))
        np.testing.assert_allclose(updates, -schedule(0) * params, rtol=1e-6)
        for _ in range(3):
            updates, state = update(state)
        np.testing.assert_allclose(updates, -peak * params, rtol=1e-6)  # step 3 of 10 is the peak


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


def clipped_sgd(learning_rate, max_norm, weight_decay=0.0, mask=None):
    return chain(clip_by_global_norm(max_norm), add_decayed_weights(weight_decay, mask), sgd(learning_rate))


def test_a_factory_of_ones_own_makes_a_chain_adjustable(traced_once):
    params = {"w": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
    numbers = {"learning_rate": 0.1, "max_norm": 0.5, "weight_decay": 0.01}
    make = adjustable(clipped_sgd)
    update = jax.jit(traced_once(lambda state: make(**numbers, mask="w").update(params, state, params)))
    for factor in (1.0, 0.5, 2.0):
        changed = {name: float(np.float32(factor * value)) for name, value in numbers.items()}
        plain = clipped_sgd(**changed, mask="w")
        expected, _ = plain.update(params, plain.init(params), params)
        assert_close(update(make(**changed, mask="w").init(params))[0], expected)
    state = make(**numbers, mask="w").init(params)
    assert {k: str(v.dtype) for k, v in state.hyperparameters.items()} == dict.fromkeys(numbers, "float32")


def test_plain_optax_links_take_no_extra_arguments_and_get_none():
    optimizer = adjustable(optax.scale)(step_size=2.0)
    assert float(optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)), value=1.0)[0][0]) == 2.0


def test_a_number_is_set_wherever_it_stands_without_compiling_again(traced_once):
    """In a chain, beside an optimizer that lacks it, inside another adjustable one, and in the state of a run."""
    model = (lambda key, x: {"w": jnp.ones(2)}, lambda params, x: x * params["w"].sum())
    inner = adjustable(sgd)(learning_rate=1.0)
    outer = adjustable(lambda max_norm: chain(clip_by_global_norm(max_norm), inner))(max_norm=9.0)
    optimizer = chain(adjustable(add_decayed_weights)(weight_decay=0.0), outer)
    state = init_state(model, optimizer, jnp.ones((1, 1)), key=0)
    step = jax.jit(traced_once(lambda state: optimizer.update(state.params, state.opt_state, state.params)))
    for learning_rate in (1.0, 0.5, jnp.float32(0.25)):
        changed = with_hyperparameters(state, learning_rate=learning_rate)
        assert jax.tree.structure(changed) == jax.tree.structure(state)
        np.testing.assert_allclose(step(changed)[0]["w"], -learning_rate, rtol=1e-6)
    both = with_hyperparameters(state, weight_decay=1.0, max_norm=2**0.5)
    np.testing.assert_allclose(step(both)[0]["w"], -1.0, rtol=1e-6)
    assert float(state.opt_state[0].hyperparameters["weight_decay"]) == 0.0  # the old state is as it was


def test_a_schedule_is_set_as_a_whole():
    state = adjustable(sgd)(learning_rate=one_cycle(0.1, steps=10)).init(jnp.ones(1))
    changed = with_hyperparameters(state, learning_rate=one_cycle(0.7, steps=20))
    assert float(changed.hyperparameters["learning_rate"](6)) == pytest.approx(0.7)
    with pytest.raises(ValueError, match=r"`learning_rate` must be of the kind that it was, .* another program"):
        with_hyperparameters(state, learning_rate=0.1)


def test_members_of_a_population_are_set_together_or_each_by_itself():
    make = lambda rate: adjustable(sgd)(learning_rate=rate).init(jnp.ones(1))
    population = jax.vmap(lambda rate: with_hyperparameters(make(1.0), learning_rate=rate))(jnp.arange(3.0))
    rates = lambda **changes: with_hyperparameters(population, **changes).hyperparameters["learning_rate"].tolist()
    assert rates() == [0.0, 1.0, 2.0]
    assert rates(learning_rate=5.0) == [5.0, 5.0, 5.0]
    assert rates(learning_rate=np.array([3.0, 4.0, 5.0])) == [3.0, 4.0, 5.0]
    with pytest.raises(ValueError, match=r"`learning_rate` must be a scalar or of shape \(3,\); received \(2,\)"):
        rates(learning_rate=np.ones(2))


def test_unknown_names_are_refused_with_the_nearest():
    state = {"a": adjustable(adam)(learning_rate=0.1, b1=0.9).init(jnp.ones(1))}
    with pytest.raises(
        ValueError, match=r"unknown hyperparameter 'lr_rate'; did you mean 'learning_rate'. Known: b1, lea"
    ):
        with_hyperparameters(state, b1=0.8, lr_rate=0.1)
    with pytest.raises(ValueError, match="must contain the state of an `adjustable` optimizer"):
        with_hyperparameters(adam(0.1).init(jnp.ones(1)), learning_rate=0.1)
