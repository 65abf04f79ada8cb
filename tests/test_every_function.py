"""Properties of every activation, loss, metric, preprocessing and layer in the catalog."""

from functools import partial

import catalog
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import FUNCTIONS, over
from tolerances import assert_close, directional_error

from jaxnn.activations import scaled_tanh
from jaxnn.losses import cross_entropy, cross_entropy_with_rejection
from jaxnn.metrics import Mean, accuracy, confusion_matrix, masked_mean, top_k
from jaxnn.verification.comparison import float_part, pullback

DTYPES = ("bfloat16", "float32", "float64")
GRADED = (*catalog.ACTIVATIONS, *catalog.LOSSES, *catalog.CONVOLUTIONS, *catalog.LAYERS)
SMOOTH = [row for row in GRADED if row.smooth]


def arguments_of(row, *, batch=5, dtype="float32", seed=0):
    arrays = row.arguments(np.random.default_rng(seed), batch)
    return tuple(jnp.asarray(a, dtype if a.dtype.kind == "f" else None) for a in arrays)


@over(FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_agrees_with_its_oracle_and_keeps_dtype(row, dtype, x64):
    arguments = arguments_of(row, dtype=dtype)
    ours, theirs = row.ours(*arguments), row.oracle(*arguments)
    assert ours.dtype == (dtype if row.keeps_dtype else "float32")
    assert_close(ours, theirs)


@over(FUNCTIONS)
def test_compiles_once(row):
    traces = []
    counted = jax.jit(lambda *arguments: (traces.append(1), row.ours(*arguments))[1])
    for seed in range(3):
        arguments = arguments_of(row, seed=seed)
        assert_close(counted(*arguments), row.ours(*arguments))
    assert len(traces) == 1


@over(FUNCTIONS)
def test_works_under_vmap(row):
    members = [arguments_of(row, seed=seed) for seed in range(3)]
    mapped = jax.jit(jax.vmap(row.ours))(*(jnp.stack(column) for column in zip(*members, strict=True)))
    assert_close(mapped, jnp.stack([row.ours(*arguments) for arguments in members]))


@over([row for row in FUNCTIONS if row.batched])
def test_a_batch_of_one_is_a_row_of_a_batch(row):
    arguments = arguments_of(row, batch=4)
    alone = [a[2:3] if batched else a for a, batched in zip(arguments, row.batched, strict=True)]
    assert_close(row.ours(*alone), row.ours(*arguments)[2:3])


@over([row for row in FUNCTIONS if row.rejects])
def test_rejects_bad_shapes(row):
    arguments, message = row.rejects
    with pytest.raises((ValueError, TypeError), match=message):  # jaxtyping's errors are TypeErrors
        row.ours(*(jnp.asarray(a, jnp.float32 if a.dtype.kind == "f" else jnp.int32) for a in arguments))


@over(SMOOTH)
def test_gradient_is_that_of_central_differences(row, x64):
    arguments = arguments_of(row, dtype="float64")
    of_floats, floats = float_part(row.ours, arguments)
    assert directional_error(of_floats, floats) < 1e-6


@over([row for row in FUNCTIONS if row.twin_gradient])
def test_gradient_is_that_of_its_oracle(row, x64):
    """For any cotangent: what `jax.vjp` makes of ours, hand-written or not, and of theirs."""
    arguments = arguments_of(row, dtype="float64")
    assert_close(pullback(row.ours, arguments), pullback(row.oracle, arguments), rtol=1e-10)


@over([row for row in FUNCTIONS if row.extremes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_inputs_never_give_nan(row, dtype, x64):
    arguments = arguments_of(row, dtype=dtype)
    for extreme in (1e4, -1e4, np.inf, -np.inf):
        x = jnp.full_like(arguments[0], extreme).at[0].set(arguments[0][0])
        value, pull = jax.vjp(row.ours, x, *arguments[1:])
        assert not jnp.isnan(value).any(), f"value at {extreme}"
        assert not jnp.isnan(pull(jnp.ones_like(value))[0]).any(), f"gradient at {extreme}"


# ---------------------------------------------------------------------------------- what the rows do not say


def test_scaled_tanh_is_one_at_one_and_bends_most_there(x64):
    x = jnp.linspace(0.5, 1.5, 2001)
    np.testing.assert_allclose(scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)  # 1.7159 is a rounded number
    curvature = -jax.vmap(jax.grad(jax.grad(scaled_tanh)))(x)
    assert abs(x[curvature.argmax()] - 1) < 0.02


def test_cross_entropy_gradient_is_softmax_minus_target(x64):
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.integers(4, size=6))
    gradient = jax.grad(lambda z: cross_entropy(z, labels).sum())(logits)
    assert_close(gradient, jax.nn.softmax(logits) - jax.nn.one_hot(labels, 4))


@pytest.mark.parametrize("loss", [cross_entropy, partial(cross_entropy_with_rejection, rejection_logit=0.0)])
def test_losses_are_finite_for_any_logits(loss):
    logits = jnp.array([[1e30, -1e30, 0.0], [-1e30, 1e30, 0.0], [1e4, -1e4, 0.0]])
    value, gradient = jax.value_and_grad(lambda z: loss(z, jnp.array([0, 0, 1])).sum())(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_label_smoothing_may_be_traced():
    losses = jax.vmap(lambda s: cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]), label_smoothing=s))
    smoothed = losses(jnp.array([0.0, 0.2]))
    assert_close(smoothed[1], cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]), label_smoothing=0.2))
    assert smoothed[0, 0] < smoothed[1, 0]


def test_ties():
    logits = jnp.array([[1.0, 1.0, 0.0]])
    first, second = jnp.array([0]), jnp.array([1])
    assert (accuracy(logits, first)[0], accuracy(logits, second)[0]) == (1, 0)  # to the lowest class
    assert (top_k(1)(logits, first)[0], top_k(1)(logits, second)[0]) == (1, 1)  # with the k-th counts as within


def test_top_k_is_one_value_for_one_k_and_refuses_none():
    assert top_k(5) is top_k(5)  # equal steps share what is compiled
    with pytest.raises(ValueError, match="`k` must be at least 1; received 0"):
        top_k(0)


def test_masked_mean_counts_only_what_the_mask_keeps():
    values, mask = jnp.array([1.0, np.nan, 3.0, np.inf]), jnp.array([True, False, True, False])
    assert masked_mean(values, mask) == Mean(4.0, 2.0)
    assert masked_mean(jnp.array([np.nan]), jnp.array([False])) == Mean(0.0, 0.0)


def test_masked_mean_sums_in_float32_whatever_the_values():
    total = masked_mean(jnp.full(1000, 1.0, jnp.bfloat16), jnp.ones(1000, bool))
    assert total == Mean(1000.0, 1000.0)


def test_confusion_matrix_adds_up():
    rng = np.random.default_rng(0)
    predicted, labels = rng.integers(5, size=(2, 300))
    whole = confusion_matrix(jnp.asarray(predicted), jnp.asarray(labels), classes=5)
    expected = [[((labels == t) & (predicted == p)).sum() for p in range(5)] for t in range(5)]
    np.testing.assert_array_equal(whole, expected)
    halves = [
        confusion_matrix(jnp.asarray(predicted[s]), jnp.asarray(labels[s]), classes=5) for s in (np.s_[:99], np.s_[99:])
    ]
    np.testing.assert_array_equal(whole, sum(halves))
