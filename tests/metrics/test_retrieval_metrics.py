"""Retrieval: the query is not its own neighbour, what similarity means, and errors."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.metrics import average_precision, masked_mean, recall_at_k

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

ON_A_CIRCLE = jnp.asarray(np.stack([np.cos(a := np.array([0.0, 0.1, 0.3, 1.5, 1.55])), np.sin(a)], axis=1), jnp.float32)


def test_no_query_finds_itself():
    alone = jnp.arange(5)  # every label once
    assert not recall_at_k(ON_A_CIRCLE, alone, k=4).any()
    assert not average_precision(ON_A_CIRCLE, alone).any()
    itself = recall_at_k(ON_A_CIRCLE, alone, k=1, gallery=ON_A_CIRCLE, gallery_labels=alone)
    assert itself.all()  # a gallery that is given is one of other things


def test_recall_grows_with_k():
    labels = jnp.array([0, 1, 0, 1, 1])
    recalls = [recall_at_k(ON_A_CIRCLE, labels, k=k).tolist() for k in (1, 2, 3, 4)]
    assert recalls == [[0, 0, 0, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    mask = jnp.array([True, True, True, True, False])
    assert masked_mean(jnp.array(recalls[0]), mask) == (1.0, 4.0)


def test_average_precision_by_hand():
    labels = jnp.array([0, 1, 0, 1, 1])
    found = average_precision(ON_A_CIRCLE, labels)  # right at ranks (2), (3, 4), (2), (1, 3), (1, 3)
    expected = [1 / 2, (1 / 3 + 2 / 4) / 2, 1 / 2, (1 / 1 + 2 / 3) / 2, (1 / 1 + 2 / 3) / 2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("metric", [partial(recall_at_k, k=1), average_precision])
def test_the_cosine_knows_no_length_and_the_dot_product_does(metric):
    query, label = jnp.array([[1.0, 0.0]]), jnp.array([0])
    gallery = {"gallery": jnp.array([[0.5, 0.0], [9.0, 9.0]]), "gallery_labels": jnp.array([0, 1])}
    assert metric(query, label, **gallery) == 1
    assert metric(query, label, similarity="dot", **gallery) < 1


def test_the_zero_vector_is_like_nothing_and_no_nan():
    x = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.9, 0.1]])
    assert recall_at_k(x, jnp.array([1, 0, 0]), k=1).tolist() == [0, 1, 1]
    assert average_precision(x, jnp.array([0, 0, 1])).tolist() == [1, 0.5, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, r"`k` must lie in 1\.\.4, the size of the gallery \(less the query\); received 0"),
        ({"k": 5}, r"1\.\.4.*; received 5"),
        ({"k": 1, "similarity": "cosin"}, "unknown similarity 'cosin'; did you mean 'cosine'"),
        ({"k": 1, "gallery": ON_A_CIRCLE}, "must be given together; received no `gallery_labels`"),
        ({"k": 1, "gallery_labels": jnp.arange(5)}, "must be given together; received no `gallery`"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        recall_at_k(ON_A_CIRCLE, jnp.arange(5), **options)
