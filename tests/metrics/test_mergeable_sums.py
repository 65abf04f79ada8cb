"""Sums over any split of the data merge to the sums over all of it."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn.metrics import (
    Mean,
    Moments,
    bleu,
    bleu_counts,
    confusion_matrix,
    masked_mean,
    masked_moments,
    merge,
    perplexity,
)

COVERS = {"metrics.Mean", "metrics.Moments", "metrics.masked_mean", "metrics.masked_moments", "metrics.merge"}

splits = st.lists(st.integers(0, 40), max_size=4).map(lambda cuts: [0, *sorted(cuts), 40])


def parts_of(arrays, cuts, size=40):
    """The parts between the cuts, each padded to one size with what must not count, and its mask."""
    for low, high in pairwise(cuts):
        pad = (0, size - (high - low))
        padded = [np.pad(a[low:high], pad, constant_values=np.nan if a.dtype.kind == "f" else 0) for a in arrays]
        yield (*map(jnp.asarray, padded), jnp.arange(size) < high - low)


@given(cuts=splits, seed=st.integers(0, 99))
def test_means_of_counts_merge_bit_by_bit(cuts, seed):
    values = np.random.default_rng(seed).integers(2, size=40).astype(np.float32)
    merged = merge(*(masked_mean(part, mask) for part, mask in parts_of([values], cuts)))
    assert merged == Mean(values.sum(), 40)


@given(cuts=splits, seed=st.integers(0, 99))
def test_moments_merge_to_those_of_all(cuts, seed):
    values = np.random.default_rng(seed).normal(size=40).astype(np.float32) + 2
    merged = merge(*(masked_moments(part, mask) for part, mask in parts_of([values], cuts)))
    assert merged.count == 40
    np.testing.assert_allclose(merged.mean, values.mean(dtype=float), rtol=1e-5)
    np.testing.assert_allclose(merged.variance, values.var(ddof=1, dtype=float), rtol=1e-4)  # a difference of sums
    integers = np.round(values)
    merged = merge(*(masked_moments(part, mask) for part, mask in parts_of([integers], cuts)))
    assert merged == Moments(integers.sum(), (integers**2).sum(), 40)


@given(cuts=splits, seed=st.integers(0, 99))
def test_perplexity_is_that_of_all_tokens_together(cuts, seed):
    losses = np.random.default_rng(seed).uniform(0, 6, size=40).astype(np.float32)
    merged = merge(*(masked_mean(part, mask) for part, mask in parts_of([losses], cuts)))
    np.testing.assert_allclose(perplexity(merged), np.exp(losses.mean(dtype=float)), rtol=1e-5)


def test_perplexity_of_a_fair_guess_is_the_number_of_words():
    np.testing.assert_allclose(perplexity(Mean(7 * np.log(5000), 7)), 5000, rtol=1e-5)


@given(cuts=st.sampled_from([[0, 40], [0, 20, 40], [0, 20, 20, 40], [0, 0, 40]]), seed=st.integers(0, 99))
def test_confusion_matrices_merge_bit_by_bit(cuts, seed):
    predicted, labels = np.random.default_rng(seed).integers(5, size=(2, 40))
    whole = np.zeros((5, 5), int)
    np.add.at(whole, (labels, predicted), 1)
    parts = [
        confusion_matrix(jnp.asarray(predicted[a:b]), jnp.asarray(labels[a:b]), classes=5) for a, b in pairwise(cuts)
    ]
    np.testing.assert_array_equal(merge(*parts), whole)


@given(cuts=splits, seed=st.integers(0, 99))
def test_bleu_counts_merge_bit_by_bit_and_sentences_scores_do_not(cuts, seed):
    rng = np.random.default_rng(seed)
    pairs = [(rng.integers(3, size=9).tolist(), [rng.integers(3, size=n).tolist() for n in (8, 11)]) for _ in range(40)]
    whole = merge(*(bleu_counts(*pair) for pair in pairs))
    parts = [[bleu_counts(*pair) for pair in pairs[a:b]] for a, b in pairwise(cuts) if b > a]
    merged = merge(*(merge(*part) for part in parts))
    jax.tree.map(np.testing.assert_array_equal, merged, whole)
    assert bleu(merged) == bleu(whole)
    assert bleu(whole) != np.mean([bleu(bleu_counts(*pair)) for pair in pairs])


def test_merges_trees_of_parts_and_refuses_none_or_others():
    parts = {"loss": Mean(1.0, 2.0), "table": np.ones((2, 2))}
    merged = merge(parts, parts, parts)
    assert merged["loss"] == Mean(3.0, 6.0)
    assert merged["table"].tolist() == [[3, 3], [3, 3]]
    with pytest.raises(ValueError, match="`parts` must be one or more; received none"):
        merge()
    with pytest.raises(ValueError, match="Mean"):
        merge(Mean(1.0, 2.0), Moments(1.0, 2.0, 3.0))


def test_masked_mean_counts_only_what_the_mask_keeps():
    values, mask = jnp.array([1.0, np.nan, 3.0, np.inf]), jnp.array([True, False, True, False])
    assert masked_mean(values, mask) == Mean(4.0, 2.0)
    assert masked_mean(jnp.array([np.nan]), jnp.array([False])) == Mean(0.0, 0.0)
    assert masked_moments(values, mask) == Moments(4.0, 10.0, 2.0)


@pytest.mark.parametrize("reduce", [masked_mean, masked_moments])
def test_sums_in_float32_whatever_the_values(reduce):
    total = reduce(jnp.full(1000, 1.0, jnp.bfloat16), jnp.ones(1000, bool))
    assert set(map(float, total)) == {1000.0}
    assert all(leaf.dtype == jnp.float32 for leaf in total)


def test_masked_mean_passes_no_gradient_to_padding():
    gradient = jax.grad(lambda x: masked_moments(x, jnp.array([True, False])).variance + x[0])(jnp.array([1.0, np.nan]))
    assert gradient[1] == 0
