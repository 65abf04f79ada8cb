"""What the rows do not say of batch, layer, group and local response normalization."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from tolerances import assert_close

from jaxnn.layers import batch_normalization
from jaxnn.layers.batch_normalization import BatchNorm, BatchStatistics, batch_norm, moving_average
from jaxnn.layers.hand_written import run
from jaxnn.layers.layer_normalization import GroupNorm, group_norm, layer_norm
from jaxnn.layers.local_response_normalization import local_response_norm
from jaxnn.layers.repetition import repeat

COVERS = {"layers.BatchStatistics", "layers.CountedStatistics"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog


def example(*shape, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    params = {name: jnp.asarray(rng.normal(size=shape[-1]), dtype) for name in ("scale", "bias")}
    return params, *(jnp.asarray(rng.normal(size=shape), dtype) for _ in range(2))


@pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3), (3, 2, 4, 3), (20, 2, 2, 3)], ids=str)
def test_the_closed_form_is_the_step_by_step_derivation(shape, x64):
    params, x, dy = example(*shape)
    _, residuals = batch_normalization.forward(params, 3 * x + 5)
    closed = batch_normalization.backward(residuals, dy)
    assert_close(batch_normalization.backward_step_by_step(residuals, dy), closed, rtol=1e-12)


def test_step_by_step_keeps_half_precision():
    params, x, dy = example(6, 3, dtype="bfloat16")
    dparams, dx = batch_normalization.backward_step_by_step(batch_normalization.forward(params, x)[1], dy)
    assert {dx.dtype, dparams["scale"].dtype, dparams["bias"].dtype} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("shape", [(50, 3), (30, 4, 5, 3)], ids=str)
def test_the_output_has_mean_bias_and_deviation_scale(shape, x64):
    params, x, _ = example(*shape)
    y, statistics = batch_norm(params, 4 * x - 7, eps=0.0)
    rows = y.reshape(-1, 3)
    assert_close(rows.mean(axis=0), params["bias"])
    assert_close(rows.std(axis=0), jnp.abs(params["scale"]))
    assert_close(statistics, BatchStatistics(*(f((4 * x - 7).reshape(-1, 3), axis=0) for f in (jnp.mean, jnp.var))))


def test_gradient_is_blind_to_what_normalization_removes(x64):
    """Shifting or stretching a channel changes nothing, so dx is orthogonal to 1 and to x_hat."""
    params, x, dy = example(40, 3)
    (dx,) = jax.vjp(lambda x: batch_norm(params, x, eps=0.0)[0], x)[1](dy)
    assert abs(dx.sum(axis=0)).max() < 1e-12
    assert abs((dx * x).sum(axis=0)).max() < 1e-12


def test_statistics_carry_no_gradient():
    params, x, _ = example(6, 3, dtype="float32")
    assert not jax.grad(lambda x: sum(s.sum() for s in batch_norm(params, x)[1]))(x).any()


def test_a_large_mean_does_not_drown_the_variance():
    """E[x^2] - E[x]^2 in float32 would be off by more than the variance itself."""
    params, x, _ = example(64, 3, dtype="float32")
    _, statistics = batch_norm(params, x + 10_000)
    np.testing.assert_allclose(
        statistics.var, np.var(np.asarray(x + 10_000, np.float64), axis=0), rtol=1e-4
    )  # rounding of x + 10 000


def test_half_precision_accumulates_in_single():
    params = {"scale": jnp.ones(1, jnp.bfloat16), "bias": jnp.zeros(1, jnp.bfloat16)}
    x = jnp.tile(jnp.array([[0.0], [1.0]], jnp.bfloat16), (5000, 1))
    y, statistics = batch_norm(params, x)
    assert y.dtype == jnp.bfloat16
    assert statistics.mean.dtype == jnp.float32
    assert_close(statistics, BatchStatistics(jnp.array([0.5]), jnp.array([0.25])))


def test_constant_channels_stay_finite():
    params, _, _ = example(4, 3, dtype="float32")
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(batch_norm(params, x)[0] ** 3))(jnp.ones((4, 3)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def across_devices(driver, params, x, dy):
    """(y, statistics, dx, summed dparams) of a batch that lies on four devices."""

    def on_a_device(params, x, dy):
        (y, statistics), pull = jax.vjp(lambda p, x: batch_norm(p, x, axis_name="data"), params, x)
        dparams, dx = pull((dy, jax.tree.map(jnp.zeros_like, statistics)))
        return y, statistics, dx, jax.lax.psum(dparams, "data")

    split = lambda a: a.reshape(4, -1, *a.shape[1:])
    join = lambda a: a.reshape(-1, *a.shape[2:])
    if driver == "shard_map":
        data, whole = PartitionSpec("data"), PartitionSpec()
        mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
        specs = {"in_specs": (whole, data, data), "out_specs": (data, whole, data, whole), "check_vma": False}
        return jax.jit(jax.shard_map(on_a_device, mesh=mesh, **specs))(params, x, dy)
    mapped = jax.pmap if driver == "pmap" else jax.vmap
    axes = {"in_axes": (None, 0, 0), "out_axes": (0, None, 0, None)}
    y, statistics, dx, dparams = mapped(on_a_device, axis_name="data", **axes)(params, split(x), split(dy))
    return join(y), statistics, join(dx), dparams


@pytest.mark.parametrize("driver", ["pmap", "shard_map", "vmap"])
def test_across_devices_is_the_whole_batch_on_one(driver, x64):
    params, x, dy = example(8, 2, 3, 5)
    (y, statistics), pull = jax.vjp(lambda p, x: batch_norm(p, x), params, x)
    dparams, dx = pull((dy, jax.tree.map(jnp.zeros_like, statistics)))
    assert_close(across_devices(driver, params, x, dy), (y, statistics, dx, dparams))


@pytest.mark.parametrize("decay", [0.75, None])
def test_the_unbiased_variance_counts_the_examples_of_all_devices(decay, x64):
    params, x, _ = example(8, 3)

    def trained(layer, x):
        state = layer.init_state(x)
        return layer.advance(state, run(layer, params, x, state=state, train=True)[1])

    alone = BatchNorm(decay=decay, unbiased=True)
    together = BatchNorm(decay=decay, unbiased=True, axis_name="data")
    on_four = jax.vmap(partial(trained, together), axis_name="data", out_axes=None)(x.reshape(4, 2, 3))
    assert_close(on_four, trained(alone, x))
    weight = 1 if decay is None else 1 - decay
    assert_close(on_four.var, (1 - weight) + weight * x.var(axis=0, ddof=1))


def test_cumulative_statistics_of_a_repeated_layer(x64):
    layer, (params, x, _) = repeat(BatchNorm(decay=None), 2), example(6, 3)
    params = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    state = layer.init_state(x)
    for batch in (x, 3 * x):
        state = layer.advance(state, run(layer, params, batch, state=state, train=True)[1])
    assert_close(state.count, jnp.array([2.0, 2.0]))
    assert_close(state.mean[0], 2 * x.mean(axis=0))
    assert run(layer, params, x, state=state)[0].shape == x.shape


def test_the_state_follows_the_batches_in_training_alone(x64):
    layer, (params, x, _) = BatchNorm(decay=0.75), example(6, 3)
    state = layer.init_state(x)
    assert_close(state, BatchStatistics(jnp.zeros(3), jnp.ones(3)))
    _, residuals = run(layer, params, x, state=state, train=True)
    expected = BatchStatistics(0.25 * x.mean(axis=0), 0.75 + 0.25 * x.var(axis=0))
    assert_close(layer.advance(state, residuals), expected)
    _, residuals = run(layer, params, x, state=state, train=False)
    assert layer.advance(state, residuals) is state


def test_the_running_statistics_approach_those_of_the_data(x64):
    layer, (params, x, _) = BatchNorm(decay=0.9), example(30, 3)
    state = layer.init_state(x)
    for _ in range(400):
        state = layer.advance(state, run(layer, params, x, state=state, train=True)[1])
    train, test = (run(layer, params, x, state=state, train=train)[0] for train in (True, False))
    assert_close(test, train, rtol=1e-10)


def test_decay_is_the_weight_of_the_past():
    assert moving_average(jnp.array(1.0), jnp.array(3.0), decay=1.0) == 1
    assert moving_average(jnp.array(1.0), jnp.array(3.0), decay=0.0) == 3


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_decay_is_a_share(decay):
    with pytest.raises(ValueError, match="`decay` must be from 0 to 1; received"):
        BatchNorm(decay=decay)


def test_one_group_of_one_position_is_layer_normalization(x64):
    params, x, _ = example(4, 6)
    assert_close(group_norm(params, x, groups=1), layer_norm(params, x))


@pytest.mark.parametrize("groups", [0, 4])
def test_groups_must_divide_the_features(groups):
    params, x, _ = example(4, 6, dtype="float32")
    for normalize in (lambda: group_norm(params, x, groups=groups), lambda: GroupNorm(groups).forward(params, x)):
        with pytest.raises(ValueError, match=f"`groups` must divide the 6 features; received {groups}"):
            normalize()


@pytest.mark.parametrize("size", [0, 2, -1])
def test_response_normalization_wants_an_odd_size(size):
    with pytest.raises(ValueError, match=f"`size` must be odd.*received {size}"):
        local_response_norm(jnp.ones((1, 4)), size=size)


def test_response_normalization_with_alpha_zero_only_scales():
    x = jnp.array([[1.0, -2.0, 3.0]])
    assert_close(local_response_norm(x, k=16.0, alpha=0.0), x / 8)
