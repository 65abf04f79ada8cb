import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import apply_updates
from jaxnn.optimizers.momentum_and_nesterov import nesterov_point, sgd
from jaxnn.schedules import linear
from jaxnn.verification.optimizer_references import descend

COVERS = {"optimizers.nesterov_point"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

CURVATURE = np.array([10.0, 1.0, 0.1])


def slope(w):
    return CURVATURE * (w - 1)


def valley(w):
    return jnp.sum(jnp.asarray(CURVATURE, w.dtype) * (w - 1) ** 2) / 2


@pytest.mark.parametrize("rate_inside", [False, True])
def test_momentum_is_annealed_from_a_half_to_almost_one(rate_inside, x64):
    """0.5 -> 0.99 in 40 steps, then 0.99, beside a loop in NumPy."""
    anneal = linear(0.5, 0.99, steps=40)
    path = jax.jit(lambda w: descend(sgd(0.05, anneal, rate_inside=rate_inside), valley, w, steps=60))(jnp.zeros(3))
    w, v = np.zeros(3), np.zeros(3)
    for t in range(60):
        mu = 0.5 + 0.49 * min(t / 40, 1)
        if rate_inside:
            v = mu * v - 0.05 * slope(w)
            w = w + v
        else:
            v = mu * v + slope(w)
            w = w - 0.05 * v
        np.testing.assert_allclose(path[t], w, rtol=1e-12)
    slower = jax.jit(lambda w: descend(sgd(0.05, 0.5), valley, w, steps=60))(jnp.zeros(3))
    assert valley(path[-1]) < valley(slower[-1])


@pytest.mark.parametrize("others", [{}, {"momentum": 0.9, "nesterov": True}])
def test_dampening_without_a_plain_velocity_is_refused(others):
    with pytest.raises(ValueError, match="`dampening` needs a momentum and nesterov=False"):
        sgd(0.1, dampening=0.5, **others)
    with pytest.raises(ValueError, match=r"`dampening` must be at most 1; received 1\.5"):
        sgd(0.1, 0.9, dampening=1.5)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_both_forms_of_nesterov_walk_one_path(momentum, x64):
    """The parameters of the change of variables are the points at which the look-ahead form takes its gradients."""
    lr = 0.05
    changed = jax.jit(lambda w: descend(sgd(lr, momentum, nesterov=True), valley, w, steps=50))(jnp.zeros(3))
    heavy_ball = sgd(lr, momentum)

    @jax.jit
    def step(w, state):
        point = nesterov_point(w, state, learning_rate=lr, momentum=momentum)
        updates, state = heavy_ball.update(jax.grad(valley)(point), state)
        w = apply_updates(w, updates)
        return w, state, nesterov_point(w, state, learning_rate=lr, momentum=momentum)

    w, state = jnp.zeros(3), heavy_ball.init(jnp.zeros(3))
    for t in range(50):
        w, state, point = step(w, state)
        assert_close(point, changed[t])
    if momentum:
        assert not np.allclose(w, changed[-1], rtol=1e-3, atol=0)  # the parameters themselves lag behind


def test_the_look_ahead_of_the_lectures_is_the_same_point():
    """w + mu v of a velocity of steps is w - lr mu v of a velocity of gradients."""
    w = {"a": jnp.asarray([1.0, -2.0]), "frozen": None}
    state = sgd(0.1, 0.5).update({"a": jnp.asarray([3.0, 4.0]), "frozen": None}, sgd(0.1, 0.5).init(w))[1]
    point = nesterov_point(w, state, learning_rate=linear(0.0, 0.1, steps=1), momentum=0.5)  # at step 1
    np.testing.assert_allclose(point["a"], [1.0 - 0.1 * 0.5 * 3, -2 - 0.1 * 0.5 * 4], rtol=1e-6)
    assert point["frozen"] is None
    half = nesterov_point(jnp.ones(2, jnp.bfloat16), state._replace(v=jnp.ones(2)), learning_rate=0.1, momentum=0.5)
    assert half.dtype == jnp.bfloat16


def test_a_changing_rate_tells_the_two_velocities_apart():
    rate = linear(0.05, 0.01, steps=10)
    walk = lambda inside: descend(sgd(rate, 0.9, rate_inside=inside), valley, jnp.zeros(3), steps=12)
    paths = walk(False), walk(True)
    np.testing.assert_allclose(paths[0][0], paths[1][0], rtol=1e-6)
    assert np.abs(paths[0] - paths[1]).max() > 1e-2


def test_full_batch_gradient_descent_converges_at_its_known_rate(x64):
    """On a quadratic each coordinate shrinks by 1 - lr curvature in every step."""
    path = descend(sgd(0.05), valley, jnp.zeros(3), steps=20)
    np.testing.assert_allclose(1 - path[-1], (1 - 0.05 * CURVATURE) ** 20, rtol=1e-12)


def test_accumulator_dtype_is_that_of_optax():
    grads, params = jnp.asarray([1.0, 1e-3], jnp.bfloat16), jnp.zeros(2, jnp.bfloat16)
    ours, theirs = (f(0.1, momentum=0.9, accumulator_dtype="float32") for f in (sgd, optax.sgd))
    state, their_state = ours.init(params), theirs.init(params)
    for _ in range(3):
        _, state = ours.update(grads, state)
        _, their_state = theirs.update(grads, their_state)
    assert state.v.dtype == jnp.float32
    assert_close(state.v, their_state[0].trace)
