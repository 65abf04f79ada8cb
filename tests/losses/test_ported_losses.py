"""The losses of other frameworks give their numbers, which are computed by PyTorch 2.13 where nothing else is said."""

import inspect
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tolerances import assert_close

from jaxnn import losses
from jaxnn.training.objectives import Measures, Weighted, means_of

full = pytest.mark.full  # ring 1 has the numbers and the limits

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.5, 1.0, 3.0], [0.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
LABELS = jnp.array([0, 1, -100, 2])
WEIGHTS = jnp.array([0.5, 2.0, 1.5])
OTHERS = jnp.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-5.0, 5.0, 0.0]])
PREDICTED, TRUE = jnp.array([0.0, 1.0, 0.25, 1.0, 0.0]), jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])
ANCHOR = jnp.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.5]])
POSITIVE = jnp.array([[1.5, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
NEGATIVE = jnp.array([[0.0, 0.0, 1.0], [0.5, 0.0, 0.0], [1.0, 1.0, 1.0]])
LEFT = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [0.0, 0.0]])
RIGHT = jnp.array([[2.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [1.0, 1.0]])
ERRORS = jnp.array([-3.0, -0.4, 0.0, 0.2, 5.0])
MEANS, TARGETS, VARIANCES = jnp.array([0.5, -1.0, 2.0]), jnp.array([0.0, 1.0, 5.0]), jnp.array([0.25, 4.0, 0.0])

EXPECTED = {  # F is torch.nn.functional, reduction="none"
    "cross_entropy": [0.1698460, 2.1967342, 0.0, 1.0986123],  # F.cross_entropy(z, y), whose ignore_index is -100
    "binary, logarithm": [100.0, 100.0, 1.3862944, 0.0, 0.0],  # F.binary_cross_entropy(p, t)
    # Keras: -log(clip(p, 1e-7, 1 - 1e-7)) and -log(1 - clip(...)) in float32, where 1 - 1e-7 is 1 - 2^-23
    "binary, probability": [16.118095, 15.942385, 1.3862944, 0.0, 0.0],
    "squared_weston_watkins": [0.0, 3 * 3.0833333, 0.0, 3 * 0.6666667],  # 3 F.multi_margin_loss(z, [0, 1, 2, 0], p=2)
    "triplet": [0.0, 0.5000028, 1.6310298],  # F.triplet_margin_loss(a, p, n)
    "triplet, p = 1": [0.0, 0.5000020, 3.0],
    "triplet, swap": [0.0564809, 0.5000028, 2.2783680],
    "triplet, p = 3": [1.2883426, 1.5000024, 3.0531106],  # p=3.0, margin=2.0, swap=True
    "triplet, p = inf": [0.0, 0.5000020, 1.0],
    "triplet, eps = 0.1": [0.0, 0.7489411, 1.6596212],
    "cosine": [0.2, 0.2472136, 0.0, 1.0],  # F.cosine_embedding_loss(x, y, [1, -1, -1, 1], margin=0.2)
    "ranking": [0.8, 1.8, 0.3],  # F.margin_ranking_loss([1, 2, -1], [1.5, 0.5, -1], [1, -1, 1], margin=0.3)
    "smooth_l1": [2.75, 0.16, 0.0, 0.04, 4.75],  # F.smooth_l1_loss(e, 0, beta=0.5)
    "smooth_l1, beta = 0": [3.0, 0.4, 0.0, 0.2, 5.0],
    "poisson": [1.6487212, 1.3678794, -2.6109438],  # F.poisson_nll_loss(mean, t)
    "gaussian": [-0.1931472, 1.1931472, 447.6974182],  # F.gaussian_nll_loss(mean, t, variance, eps=1e-2)
    "gaussian, full": [0.7257913, 2.1120858, 448.6163635],
    "kl": [1.8226304, 2.1943047, 0.5837333, 1.0579381],  # F.kl_div(log_softmax(z), log_softmax(o), log_target=True)
}


@jax.jit
def computed():
    binary = partial(losses.binary_cross_entropy_of_probabilities, PREDICTED, TRUE)
    triplet = partial(losses.triplet_margin, ANCHOR, POSITIVE, negative=NEGATIVE)
    gaussian = partial(losses.gaussian_nll, MEANS, TARGETS, variance=VARIANCES, smallest=1e-2)
    log_p, log_t = jax.nn.log_softmax(LOGITS), jax.nn.log_softmax(OTHERS)
    scores, signs = (jnp.array([1.0, 2.0, -1.0]), jnp.array([1.5, 0.5, -1.0])), jnp.array([1, -1, 1])
    return {
        "cross_entropy": losses.cross_entropy(LOGITS, LABELS, ignored_label=-100),
        "binary, logarithm": binary(clip="logarithm"),
        "binary, probability": binary(clip="probability"),
        "squared_weston_watkins": losses.squared_weston_watkins(LOGITS, jnp.array([0, 1, 2, 0])),
        "triplet": triplet(),
        "triplet, p = 1": triplet(p=1.0),
        "triplet, swap": triplet(swap=True),
        "triplet, p = 3": triplet(p=3.0, margin=2.0, swap=True),
        "triplet, p = inf": triplet(p=math.inf),
        "triplet, eps = 0.1": triplet(eps=0.1),
        "cosine": losses.cosine_embedding(LEFT, RIGHT, same=jnp.array([True, False, False, True]), margin=0.2),
        "ranking": losses.margin_ranking(*scores, signs=signs, margin=0.3),
        "smooth_l1": losses.smooth_l1(ERRORS, jnp.zeros(5), beta=0.5),
        "smooth_l1, beta = 0": losses.smooth_l1(ERRORS, jnp.zeros(5), beta=0.0),
        "poisson": losses.poisson_nll(MEANS, TARGETS),
        "gaussian": gaussian(),
        "gaussian, full": gaussian(full=True),
        "kl": losses.kl_divergence(log_p, log_t, log_targets=True),
    }


def test_the_numbers_are_those_of_pytorch_and_keras():
    ours = computed()
    assert ours.keys() == EXPECTED.keys()
    for name, numbers in EXPECTED.items():
        np.testing.assert_allclose(ours[name], numbers, rtol=2e-6, atol=5e-7, err_msg=name)


def test_weights_of_labels_give_the_mean_of_pytorch():
    """The batch is divided into two, whose sums are merged; padding and ignored labels count for nothing."""

    @jax.jit
    def means(logits, labels, mask):
        weights = losses.label_weights(labels, class_weights=WEIGHTS, ignored_label=-100)
        plain = losses.cross_entropy(logits, labels, ignored_label=-100)
        weighted = losses.cross_entropy(logits, labels, ignored_label=-100, class_weights=WEIGHTS, label_smoothing=0.1)
        counted = losses.label_weights(labels, ignored_label=-100)
        measures = {"weighted": Weighted(plain, weights), "smoothed": Weighted(weighted / weights, weights)}
        return means_of(Measures(Weighted(plain, counted), measures), mask)

    first = means(LOGITS[:2], LABELS[:2], jnp.ones(2, bool))
    second = means(LOGITS[jnp.array([2, 3, 0])], LABELS[jnp.array([2, 3, 0])], jnp.array([True, True, False]))
    total = {name: [a + b for a, b in zip(first[name], second[name], strict=True)] for name in first}
    mean = {name: float(total / count) for name, (total, count) in total.items()}
    assert mean["loss"] == pytest.approx(1.1550642, rel=1e-6)  # F.cross_entropy(z, y)
    assert mean["weighted"] == pytest.approx(1.5315773, rel=1e-6)  # F.cross_entropy(z, y, weight=w)
    assert mean["smoothed"] == pytest.approx(1.5418426, rel=1e-6)  # ..., label_smoothing=0.1)


EXTREME = {  # the loss of one output, whose limits at -inf and inf are finite or infinite, but numbers
    "binary_focal, 1": lambda z: losses.binary_focal(z, jnp.ones(len(z))),
    "binary_focal, gamma 0.5": lambda z: losses.binary_focal(z, jnp.zeros(len(z)), gamma=0.5),
    "focal": lambda z: losses.focal(jnp.stack([z, -z], axis=1), jnp.zeros(len(z), int), gamma=0.5),
    "log_cosh": lambda z: losses.log_cosh(z, jnp.ones(len(z))),
    "smooth_l1": lambda z: losses.smooth_l1(z, jnp.ones(len(z)), beta=0.0),
    "pinball": lambda z: losses.pinball(z, jnp.ones(len(z)), quantile=0.3),
    "triplet_margin": lambda z: losses.triplet_margin(z[:, None], z[:, None], negative=2 * z[:, None], eps=0.0),
    "poisson_nll": lambda z: losses.poisson_nll(jnp.where(z == 0, -jnp.inf, -abs(z)), jnp.zeros(len(z))),
    "cosine": lambda z: losses.cosine_distance(jnp.stack([z, z], axis=1), jnp.stack([z, -z], axis=1)),
    "cross_entropy": lambda z: losses.cross_entropy(jnp.stack([z, -z], axis=1), jnp.full(len(z), 9), ignored_label=9),
}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=full)])
def test_extreme_outputs_have_numbers_and_gradients(dtype):
    z = jnp.array([0.0, 1e-30, 30.0, 1e4, -1e4, 1e30, -1e30], dtype)
    both = jax.jit(lambda z: {name: jax.vjp(loss, z) for name, loss in EXTREME.items()})(z)
    for name, (value, pull) in both.items():
        assert not jnp.isnan(value).any(), name
        assert jnp.isfinite(pull(jnp.ones_like(value))[0]).all(), name


PROBABILITIES = {
    "clip probability": lambda p: losses.binary_cross_entropy_of_probabilities(p, jnp.array([0, 1, 1, 0])),
    "clip logarithm": lambda p: losses.binary_cross_entropy_of_probabilities(
        p, jnp.array([0, 1, 1, 0]), clip="logarithm"
    ),
    "classes": lambda p: losses.cross_entropy_of_probabilities(jnp.stack([p, 1 - p], axis=1), jnp.array([0, 1, 1, 0])),
    "logarithm": lambda p: losses.cross_entropy_of_probabilities(
        jnp.stack([p, 1 - p], axis=1), jnp.array([0, 1, 1, 0]), clip="logarithm"
    ),
    "dice": lambda p: losses.dice(p[None], jnp.zeros((1, 4)), smoothing=0.0),
    "jaccard": lambda p: losses.jaccard(0 * p[None], jnp.zeros((1, 4)), smoothing=0.0),
}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=full)])
def test_probabilities_of_0_and_1_have_numbers_and_gradients(dtype):
    p = jnp.array([0.0, 1.0, 0.0, 1.0], dtype)
    both = jax.jit(lambda p: {name: jax.vjp(loss, p) for name, loss in PROBABILITIES.items()})(p)
    for name, (value, pull) in both.items():
        assert jnp.isfinite(value).all(), name
        assert jnp.isfinite(pull(jnp.ones_like(value))[0]).all(), name
    assert both["jaccard"][0] == 0  # of two empty regions


def test_what_is_no_probability_and_no_label_gives_nan():
    p, labels = jnp.array([[0.5, 0.5], [2.0, -1.0], [1.0 + 1e-6, 0.0]]), jnp.array([0, 0, 0])

    @jax.jit
    def found():
        of_p = [losses.cross_entropy_of_probabilities(p, labels, clip=clip) for clip in ("probability", "logarithm")]
        weights = losses.label_weights(jnp.array([0, 2, -1]), class_weights=jnp.ones(2))
        one_ignored = losses.cross_entropy(LOGITS, jnp.array([-1, -100, 3, 0]), ignored_label=-100)
        return [jnp.isnan(x) for x in (*of_p, weights, one_ignored)]

    *of_p, weights, one_ignored = (x.tolist() for x in found())
    assert of_p == [[False, True, False]] * 2
    assert weights == [False, True, True]
    assert one_ignored == [True, False, True, False]


@full
def test_numpy_labels_are_checked_but_the_ignored_one():
    logits = LOGITS[:2]
    assert losses.cross_entropy(logits, np.array([1, -100]), ignored_label=-100)[1] == 0
    assert losses.cross_entropy(logits, np.array([1, 255], np.uint8), ignored_label=255)[1] == 0
    assert not jax.grad(lambda z: losses.cross_entropy(z, np.array([0, 3]), ignored_label=3)[1])(logits).any()
    refused = {
        r"`labels` must lie in \[0, 2\]; received -1 to 0": partial(
            losses.cross_entropy, logits, np.array([-1, -100]), ignored_label=-100
        ),
        "`ignored_label` must be None beside probabilities; received -100": partial(
            losses.cross_entropy, logits, jnp.ones((2, 3)), ignored_label=-100
        ),
        "unknown clip 'probabilitie'; did you mean 'probability'": partial(
            losses.cross_entropy_of_probabilities, logits, jnp.array([0, 1]), clip="probabilitie"
        ),
        r"`gamma` must lie in \[0, inf\]; received -1": partial(losses.focal, logits, jnp.array([0, 1]), gamma=-1.0),
        r"`alpha` must lie in \[0, 1\]": partial(losses.binary_focal, ERRORS, jnp.zeros(5), alpha=25.0),
        r"`quantile` must lie in \[0, 1\].* The median is 0.5": partial(losses.pinball, ERRORS, ERRORS, quantile=50.0),
        r"`p` must lie in \[1, inf\]": partial(losses.triplet_margin, LEFT, RIGHT, negative=RIGHT, p=0.5),
        "`targets` must lie in .* one_hot": partial(losses.dice, LEFT, np.full((4, 2), 2)),
        r"`counts` must lie in": partial(losses.poisson_nll, MEANS, np.array([-1.0, 0.0, 1.0])),
        "`same` must be boolean": partial(inspect.unwrap(losses.cosine_embedding), LEFT, RIGHT, same=jnp.ones(4)),
    }
    for message, call in refused.items():
        with pytest.raises(ValueError, match=message):
            call()


@full
def test_special_cases_are_the_losses_that_they_extend(x64):
    rng = np.random.default_rng(0)
    z, labels = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.integers(3, size=5))
    bits, y = jnp.asarray(rng.integers(2, size=(5, 3))), jnp.asarray(rng.normal(size=(5, 3)))
    w = jnp.array([1.0, 2.0, 3.0])
    log_variance = jnp.broadcast_to(w, (5, 3))
    assert_close(losses.focal(z, labels, gamma=0.0, class_weights=w), losses.cross_entropy(z, labels, class_weights=w))
    assert_close(losses.binary_focal(z, bits, gamma=0.0), losses.binary_cross_entropy(z, bits))
    assert_close(losses.smooth_l1(z, y, beta=0.3), losses.huber(z, y, delta=0.3) / 0.3)
    assert_close(losses.pinball(z, y, quantile=0.5), losses.absolute_error(z, y) / 2)
    assert_close(
        losses.gaussian_nll(z, y, variance=jnp.exp(log_variance), full=True),
        -losses.gaussian_log_likelihood(z, y, log_variance=log_variance),
    )
    assert_close(
        losses.cross_entropy_of_probabilities(jax.nn.softmax(z), labels, clip="logarithm"),
        losses.cross_entropy(z, labels),
    )
    assert_close(
        losses.kl_divergence(jax.nn.log_softmax(z), jax.nn.log_softmax(y), log_targets=True),
        losses.kl_divergence(jax.nn.log_softmax(z), jax.nn.softmax(y)),
    )
    assert_close(losses.label_weights(bits, class_weights=w), 1.0 + bits)


@full
def test_the_gradient_of_kl_with_log_targets_is_a_number_where_a_target_is_0():
    log_t = jnp.array([[0.0, -jnp.inf]])
    value, gradient = jax.value_and_grad(
        lambda z: losses.kl_divergence(jax.nn.log_softmax(z), log_t, log_targets=True)[0]
    )(jnp.zeros((1, 2)))
    assert float(value) == pytest.approx(math.log(2))
    assert_close(gradient, jnp.array([[-0.5, 0.5]]))
