"""Functions that draw labelled points in the plane; the boundary of a classifier can be seen on such small problems.

    sample_blobs     a round cloud for each class; a line separates two of them
    sample_xor       four clouds at the corners of a square, opposite ones of one class: a line has 3/4 right at most
    sample_moons     two half circles, each reaching into the other
    sample_circles   rings around one centre
    sample_spirals   arms that wind around one centre, each arm a class

Each function returns a split (`jaxnn.data`) in random order. The classes are as equal in size as the number of points
allows:

    point   float32 (n, 2)
    label   int32 (n,)     an index into the dataset's `classes`

`load("moons")` is the dataset of 1000 points drawn from seed 0 for training, and 1000 from seed 1 for the test.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import default_rng  # NumPy itself would import it only at the first draw

Split = dict[str, np.ndarray]
POINTS = 1000
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])  # of XOR's square; the classes alternate


class Cloud(NamedTuple):
    """Is a row of the table `POINT_CLOUDS`: the function that draws the points, the class names, and the source."""

    sample: Callable[..., Split]
    classes: tuple[str, ...]
    source: str


def sample_blobs(points: int = POINTS, *, classes: int = 2, noise: float = 0.4, seed: int = 0) -> Split:
    """Draws a normal cloud of standard deviation `noise` for each class, around centres on a circle of radius 2.

    The first centre is at (2, 0). With the default noise the centres of two clouds are ten standard deviations apart,
    and a line through 0 separates the clouds.

    Args:
        points: the number of points in all.
        classes: the number of clouds.
        noise: the standard deviation in the unit of the coordinates.
        seed: the seed of the generator of NumPy.

    Raises:
        ValueError: there are fewer points than classes or fewer than two classes, or `noise` is below 0.

    >>> sample_blobs(4, noise=0.0)["point"].round(1).tolist()
    [[2.0, 0.0], [2.0, 0.0], [-2.0, 0.0], [-2.0, 0.0]]
    """
    label, rng = _begin(points, classes, noise, seed)
    return _finish(2 * _direction(label / classes), label, noise, rng)


def sample_xor(points: int = POINTS, *, noise: float = 0.2, seed: int = 0) -> Split:
    """Draws clouds around the corners (+-1, +-1); class 0 has equal signs of both coordinates, class 1 different signs.

    If the noise is small, four points, one of each cloud, are the corners of a quadrilateral whose diagonals cross and
    join equal classes. So a line is wrong on at least one of the four. If the clouds are of one size, a line has at
    most 3/4 of the points right (Minsky and Papert 1969). Arguments and errors are those of `sample_blobs`.

    >>> split = sample_xor(4, noise=0.0)
    >>> (split["point"].prod(axis=1) < 0).astype(int).tolist() == split["label"].tolist()
    True
    """
    corner, rng = _begin(points, len(CORNERS), noise, seed)
    return _finish(CORNERS[corner], corner % 2, noise, rng)


def sample_moons(points: int = POINTS, *, noise: float = 0.1, seed: int = 0) -> Split:
    """Draws two half circles of radius 1: `(cos t, sin t)` and `(1 - cos t, 1/2 - sin t)`, t uniform from 0 to pi.

    The best line has 88 % of the points right. Arguments and errors are those of `sample_blobs`.

    >>> split = sample_moons(100, noise=0.0)
    >>> bool((split["point"][split["label"] == 0, 1] >= 0).all())
    True
    """
    label, rng = _begin(points, 2, noise, seed)
    upper = _direction(rng.uniform(0, 0.5, points))
    return _finish(np.where(label[:, None] == 0, upper, [1.0, 0.5] - upper), label, noise, rng)


def sample_circles(points: int = POINTS, *, classes: int = 2, noise: float = 0.1, seed: int = 0) -> Split:
    """Draws rings around 0, uniform in their angle; ring k of K has the radius `(k + 1) / K`, with k from 0.

    With two rings the best line has 65 % of the points right; in polar coordinates a threshold between the radii has
    all of them right. Arguments and errors are those of `sample_blobs`.

    >>> split = sample_circles(4, noise=0.0)
    >>> np.linalg.norm(split["point"], axis=1).round(2).tolist() == (0.5 * (split["label"] + 1)).tolist()
    True
    """
    label, rng = _begin(points, classes, noise, seed)
    return _finish((label[:, None] + 1) / classes * _direction(rng.uniform(0, 1, points)), label, noise, rng)


def sample_spirals(
    points: int = POINTS, *, arms: int = 3, turns: float = 0.75, noise: float = 0.02, seed: int = 0
) -> Split:
    """Draws spiral arms around 0; at radius r, uniform from 0.05 to 1, arm k of K has the angle `turns r + k / K`.

    Angles are in revolutions, so that neighbouring arms are `1 / (K turns)` apart. Three arms are the toy problem of
    the notes of CS231n (Neural Networks case study). Two arms of three turns are the problem of Lang and Witbrock
    (1988).

    Args:
        points, noise, seed: as for `sample_blobs`.
        arms: the number of arms, K; each arm is a class.
        turns: the number of revolutions of an arm per unit of radius.

    Raises:
        ValueError: there are fewer points than arms or fewer than two arms, or `noise` is below 0.

    >>> sample_spirals(200, arms=4)["label"][:5].tolist()
    [1, 2, 0, 2, 1]
    """
    label, rng = _begin(points, arms, noise, seed)
    r = rng.uniform(0.05, 1, points)
    return _finish(r[:, None] * _direction(turns * r + label / arms), label, noise, rng)


POINT_CLOUDS = {
    "blobs": Cloud(sample_blobs, ("right", "left"), "jaxnn.data.sample_blobs"),
    "xor": Cloud(sample_xor, ("same signs", "different signs"), "jaxnn.data.sample_xor (Minsky and Papert 1969)"),
    "moons": Cloud(sample_moons, ("upper", "lower"), "jaxnn.data.sample_moons (after scikit-learn's make_moons)"),
    "circles": Cloud(sample_circles, ("inner", "outer"), "jaxnn.data.sample_circles (after make_circles)"),
    "spirals": Cloud(sample_spirals, ("arm 1", "arm 2", "arm 3"), "jaxnn.data.sample_spirals (after CS231n's notes)"),
}


def _begin(points: int, classes: int, noise: float, seed: int):
    """Returns the labels in random order, and the generator for the further draws."""
    if classes < 2 or points < classes:
        raise ValueError(
            f"there must be two classes at least, and a point for each; received {points} points of {classes} classes."
        )
    if not noise >= 0:
        raise ValueError(f"`noise` must be at least 0, a standard deviation; received {noise}.")
    rng = default_rng(seed)
    return rng.permutation(np.arange(points, dtype=np.int32) % classes), rng


def _direction(revolutions):
    """Returns unit vectors (n, 2); angles are counted from the first axis towards the second."""
    angle = 2 * np.pi * np.asarray(revolutions)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _finish(point, label, noise: float, rng) -> Split:
    point = point + noise * rng.standard_normal(point.shape)
    return {"point": point.astype(np.float32), "label": label.astype(np.int32)}
