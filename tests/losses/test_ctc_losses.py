"""CTC against PyTorch's numbers and against the sum over every alignment, one by one."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn.losses import ctc

full = pytest.mark.full

# PyTorch 2.13: F.ctc_loss(F.log_softmax(LOGITS, 2).transpose(0, 1), LABELS, lengths, spellings, reduction="none")
LOGITS = 3 * np.sin(1.7 * np.arange(72.0)).reshape(3, 6, 4)
LABELS = np.array([[1, 2, 2], [3, 1, 0], [1, 1, 1]])
GRADIENT = [  # of the loss of lengths 6, 5, 4 and spellings 3, 2, 2 in the second sequence's logits
    [-0.0077251, 0.0025326, 0.0961091, -0.0909167],
    [0.0107044, 0.0046024, 0.5037174, -0.5190242],
    [-0.0274804, -0.0892878, 0.8907389, -0.7739707],
    [-0.0247123, -0.7159904, 0.9195116, -0.1788089],
    [-0.0054440, -0.6421689, 0.6405507, 0.0070621],
    [0.0, 0.0, 0.0, 0.0],
]


def of_lengths(lengths, spellings):
    return jnp.arange(6)[None] < jnp.array(lengths)[:, None], jnp.arange(3)[None] < jnp.array(spellings)[:, None]


@jax.jit
def with_gradient(logits, labels, mask, label_mask):
    value, pull = jax.vjp(lambda z: ctc(z, labels, mask=mask, label_mask=label_mask), logits)
    return value, pull(jnp.ones_like(value))[0]


def test_the_numbers_are_those_of_pytorch():
    compute = lambda *lengths: with_gradient(jnp.asarray(LOGITS, "float32"), jnp.asarray(LABELS), *of_lengths(*lengths))
    value, gradient = compute([6, 5, 4], [3, 2, 2])
    np.testing.assert_allclose(value, [9.2317005, 6.6667113, 2.6230376], rtol=1e-6)
    np.testing.assert_allclose(gradient[1], GRADIENT, atol=1e-6)
    value, _ = compute([6, 6, 6], [0, 0, 1])  # nothing but blanks
    np.testing.assert_allclose(value, [6.9268154, 28.3933489, 2.1609631], rtol=1e-6)
    value, gradient = compute([3, 6, 4], [3, 1, 3])  # the first and the last do not fit
    np.testing.assert_allclose(value, [np.inf, 16.0387747, np.inf], rtol=1e-6)
    assert [bool(g.any()) for g in gradient] == [False, True, False]
    assert jnp.isfinite(gradient).all()


@full
def test_it_is_the_sum_over_all_alignments(x64):
    """Every one of 4^5 alignments is read: repeats are merged, blanks (the last class) dropped."""
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(4, 5, 4))), [[0, 0, 1], [2], [], [0, 1, 0]]
    log_p = np.asarray(jax.nn.log_softmax(logits))
    padded = np.array([[*label, *[3] * (3 - len(label))] for label in labels])
    label_mask = np.array([[i < len(label) for i in range(3)] for label in labels])
    ours = ctc(logits, padded, label_mask=label_mask, blank=3)
    for i, label in enumerate(labels):
        ways = [way for way in itertools.product(range(4), repeat=5) if read(way) == label]
        probability = sum(np.exp(sum(log_p[i, t, k] for t, k in enumerate(way))) for way in ways)
        assert_close(ours[i], jnp.asarray(-np.log(probability)))


def read(way, blank=3):
    return [symbol for symbol, _ in itertools.groupby(way) if symbol != blank]


@full
def test_long_sequences_and_excluded_classes_do_not_underflow():
    logits = jnp.zeros((2, 500, 4)).at[0, :, 3].set(-jnp.inf).at[1, :, 1].set(-jnp.inf)
    labels = jnp.full((2, 20), 1).at[:, ::2].set(2)
    value, gradient = with_gradient(logits, labels, None, None)
    assert (bool(jnp.isfinite(value[0])), float(value[1])) == (True, np.inf)
    assert jnp.isfinite(gradient).all()


@full
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_extreme_logits_have_numbers_and_gradients(dtype):
    z = jnp.array([0.0, 1e4, -1e4, 1e30, -1e30], dtype)
    logits, labels = jnp.stack([z, -z, 0 * z], axis=1)[:, None], jnp.ones((5, 1), int)
    value, gradient = with_gradient(logits, labels, None, None)
    assert not jnp.isnan(value).any()
    assert jnp.isfinite(gradient).all()


@full
def test_masked_steps_are_left_out_wherever_they_are():
    logits = jnp.asarray(LOGITS[:1], "float32")
    mask = jnp.array([[True, False, True, True, False, True]])
    assert_close(ctc(logits, jnp.array([[1, 2]]), mask=mask), ctc(logits[:, mask[0]], jnp.array([[1, 2]])))


@full
def test_labels_that_are_none_give_nan_and_no_gradient():
    labels = jnp.array([[1, 4, 1], [1, 0, 1], [1, 2, 3], [-1, 1, 1]])
    mask = jnp.ones((4, 6), bool)
    ordered = jnp.array([[True] * 3, [True] * 3, [True, False, True], [True] * 3])
    value, gradient = with_gradient(jnp.zeros((4, 6, 4)), labels, mask, ordered)
    assert jnp.isnan(value).all()
    assert not gradient.any()
    padding = jnp.array([[True, False, False]] * 3 + [[False] * 3])
    value, _ = with_gradient(jnp.zeros((4, 6, 4)), labels, mask, padding)  # what is masked may be anything
    assert jnp.isfinite(value).all()


@full
def test_what_cannot_be_is_refused():
    loss, logits, labels = inspect.unwrap(ctc), jnp.zeros((2, 6, 4)), np.array([[1, 2], [3, -1]])
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 3\]; received -1 to 3. There are 4 classes"):
        loss(logits, labels)
    assert loss(logits, labels, label_mask=labels > 0).shape == (2,)
    with pytest.raises(ValueError, match=r"`blank` must lie in \[0, 3\]; received 4"):
        loss(logits, labels, blank=4)
    with pytest.raises(
        ValueError, match=r"`mask` must be boolean, of shape \(2, 6\); received int32 of shape \(2, 6\)"
    ):
        loss(logits, jnp.ones((2, 2), int), mask=jnp.ones((2, 6), int))
    with pytest.raises(
        ValueError, match=r"`label_mask` must be boolean, of shape \(2, 2\); received bool of shape \(2,\)"
    ):
        loss(logits, jnp.ones((2, 2), int), label_mask=jnp.ones(2, bool))
    with pytest.raises(ValueError, match=r"`labels` must be integers of shape \(batch, symbols\), .* of 2 sequences"):
        loss(logits, jnp.ones(2, int))
