"""Orders of examples: permutations that are uniform, differ by epoch and can be drawn again."""

import itertools

import jax
import numpy as np
from rings import first_of

from jaxnn.training.batching import permutation, plain_order, shuffled_order, take_batch
from jaxnn.training.compilation import bind


@first_of("n", [100, 1, 2, 3, 65_536, 65_537, 300_000])
def test_every_index_occurs_once(n):
    np.testing.assert_array_equal(np.sort(permutation(jax.random.key(1), n)), np.arange(n))


def test_all_permutations_are_equally_likely():
    draws = 24_000
    orders = np.asarray(jax.vmap(lambda key: permutation(key, 4))(jax.random.split(jax.random.key(2), draws)))
    place = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([place[tuple(order.tolist())] for order in orders], minlength=24)
    chi_squared = ((counts - draws / 24) ** 2 / (draws / 24)).sum()
    assert chi_squared < 49.7  # 23 degrees of freedom, p = 0.001


def test_an_order_depends_on_key_and_epoch_alone():
    shuffle = bind(shuffled_order, 10, 4)
    order = np.asarray(shuffle(jax.random.key(0), 3))
    assert order.shape == (3, 4)
    np.testing.assert_array_equal(np.sort(order.ravel()[:10]), np.arange(10))
    np.testing.assert_array_equal(order.ravel()[10:], -1 - order.ravel()[:2])
    np.testing.assert_array_equal(order, shuffle(jax.random.key(0), 3))
    assert (order != shuffle(jax.random.key(0), 4)).any()
    assert (order != shuffle(jax.random.key(1), 3)).any()


def test_fillers_are_real_examples_and_masked():
    order = plain_order(examples=5, batch_size=3)
    batch = take_batch({"label": np.array([5, 6, 7, 8, 9])}, order[1])
    assert batch["mask"].tolist() == [True, True, False]
    assert batch["label"].tolist() == [8, 9, 5]
