"""Datasets are loaded as NumPy arrays on the host. No module of this package imports jax.

A `Dataset` has two splits, `train` and `test`. A split is a dict of arrays of one length n:

    image   uint8 (n, height, width, channels)    NHWC, the pixels as published, 0 to 255
    label   int32 (n,)                            an index into `classes`

The dataset also has `classes`, `mean` and `std` (per channel, over the training pixels scaled to [0, 1]), `licence` and
`source`. So `(image / 255 - mean) / std` is standardized. Loaded arrays are read-only: several users may share them,
and must not change them.

    load("mnist")           packaged, 60 000 + 10 000 handwritten digits, needs no network
    load("fashion_mnist")   60 000 + 10 000 images of clothes in the same layout; from a local folder or downloaded
    load("cifar10")         50 000 + 10 000 colour photographs, 32 x 32; from a local folder or downloaded
    load("moons")           1 000 + 1 000 points in the plane: `point` float32 (n, 2) in place of `image`; also "blobs",
                            "xor", "circles", "spirals"; `sample_moons` and similar functions draw a split from any seed

A file is used only if its sha256 is the expected one. A damaged file is refused as a whole and never read in part.
"""

from jaxnn.data.cifar import read_cifar10 as read_cifar10
from jaxnn.data.datasets import Dataset as Dataset
from jaxnn.data.datasets import find as find
from jaxnn.data.datasets import load as load
from jaxnn.data.datasets import subset as subset
from jaxnn.data.download import fetch as fetch
from jaxnn.data.held_out import hold_out as hold_out
from jaxnn.data.idx import read_idx as read_idx
from jaxnn.data.point_clouds import sample_blobs as sample_blobs
from jaxnn.data.point_clouds import sample_circles as sample_circles
from jaxnn.data.point_clouds import sample_moons as sample_moons
from jaxnn.data.point_clouds import sample_spirals as sample_spirals
from jaxnn.data.point_clouds import sample_xor as sample_xor
