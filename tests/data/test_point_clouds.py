"""Points in the plane: on their curves, in their classes, the same from the same seed, and loaded by name."""

import numpy as np
import pytest

from jaxnn.data import load, sample_blobs, sample_circles, sample_moons, sample_spirals, sample_xor
from jaxnn.data.point_clouds import POINT_CLOUDS

SAMPLES = {name: cloud.sample for name, cloud in POINT_CLOUDS.items()}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_split_keeps_the_contract(name):
    split, again, other = (SAMPLES[name](101, seed=seed) for seed in (3, 3, 4))
    assert {field: (array.dtype, array.shape) for field, array in split.items()} == {
        "point": (np.float32, (101, 2)),
        "label": (np.int32, (101,)),
    }
    counts = np.bincount(split["label"])
    assert len(counts) == len(POINT_CLOUDS[name].classes)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(split["point"], again["point"])
    np.testing.assert_array_equal(split["label"], again["label"])
    assert not np.array_equal(split["point"], other["point"])
    assert 0 < (np.diff(split["label"]) != 0).mean() < 1  # neither by class nor in turn


@pytest.mark.parametrize("name", SAMPLES)
def test_loads_by_name_with_other_points_for_the_test(name):
    dataset = load(name)
    assert (dataset.name, len(dataset.train["label"]), len(dataset.test["label"])) == (name, 1000, 1000)
    assert not np.array_equal(dataset.train["point"], dataset.test["point"])
    np.testing.assert_allclose(dataset.mean, dataset.train["point"].mean(axis=0))
    np.testing.assert_allclose(dataset.std, dataset.train["point"].std(axis=0))
    assert dataset.source.startswith(f"jaxnn.data.sample_{name}")
    assert not dataset.train["point"].flags.writeable


def test_a_cloud_has_no_folder(tmp_path):
    with pytest.raises(ValueError, match="'moons' is drawn"):
        load("moons", folder=tmp_path)


def radius_and_revolutions(point):
    return np.hypot(*point.T), np.arctan2(point[:, 1], point[:, 0]) / (2 * np.pi)


def test_points_without_noise_lie_on_their_curves():
    moons = sample_moons(200, noise=0.0)
    upper, lower = (moons["point"][moons["label"] == k] for k in (0, 1))
    np.testing.assert_allclose(np.hypot(*upper.T), 1, atol=1e-6)
    np.testing.assert_allclose(np.hypot(*(lower - [1, 0.5]).T), 1, atol=1e-6)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5
    circles = sample_circles(200, classes=4, noise=0.0)
    np.testing.assert_allclose(np.hypot(*circles["point"].T), (circles["label"] + 1) / 4, atol=1e-6)
    spirals = sample_spirals(200, arms=3, turns=2.0, noise=0.0)
    r, angle = radius_and_revolutions(spirals["point"])
    turned = (2 * r + spirals["label"] / 3 - angle) % 1
    np.testing.assert_allclose(np.minimum(turned, 1 - turned), 0, atol=1e-5)
    blobs = sample_blobs(200, classes=5, noise=0.0)
    _, angle = radius_and_revolutions(blobs["point"])
    np.testing.assert_allclose(angle % 1, blobs["label"] / 5, atol=1e-6)


def test_noise_is_a_standard_deviation():
    calm, noisy = (sample_xor(4000, noise=noise, seed=1)["point"] for noise in (0.0, 0.3))
    np.testing.assert_allclose((noisy - calm).std(axis=0), 0.3, rtol=0.05)


def best_line(split):
    """The share that the best of 120 directions and 121 thresholds has right."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    along = split["point"] @ np.stack([np.cos(angle), np.sin(angle)])
    right = [(along > threshold) == split["label"][:, None] for threshold in np.linspace(-3, 3, 121)]
    return np.mean(right, axis=1).max()


def test_what_a_line_can_do():
    blobs = load("blobs").train
    np.testing.assert_array_equal(blobs["label"], blobs["point"][:, 0] < 0)
    assert best_line(sample_xor(200)) == 0.75
    assert best_line(sample_moons()) == pytest.approx(0.88, abs=0.02)
    assert best_line(sample_circles()) == pytest.approx(0.65, abs=0.03)
    assert best_line(sample_spirals(arms=2, turns=1.0)) == pytest.approx(0.70, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 1}, "received 1 points of 2 classes"),
        ({"classes": 1}, "received 1000 points of 1 classes"),
        ({"noise": -0.1}, "`noise` must be at least 0, a standard deviation; received -0.1"),
        ({"noise": float("nan")}, "received nan"),
    ],
)
def test_refuses_what_is_no_cloud(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_blobs(**arguments)
