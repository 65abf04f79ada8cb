"""Names of leaves in every kind of tree, and what patterns select."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import pytest

from jaxnn.parameter_paths import WEIGHTS, path_names, select


class Cell(NamedTuple):
    kernel: float
    bias: float


@functools.partial(jax.tree_util.register_dataclass, data_fields=["kernel", "scale"], meta_fields=[])
@dataclass
class Norm:
    kernel: float
    scale: float


TREE = {
    "conv1": {"kernel": 1.0, "bias": 2.0},
    "blocks": [Cell(3.0, 4.0), (Norm(5.0, 6.0), {"subkernel": 7.0})],
    "word_embedding": 8.0,
    "nothing": None,
}
PATHS = {
    "conv1/kernel",
    "conv1/bias",
    "blocks/0/kernel",
    "blocks/0/bias",
    "blocks/1/0/kernel",
    "blocks/1/0/scale",
    "blocks/1/1/subkernel",
    "word_embedding",
}


def chosen(pattern):
    """The paths that a pattern selects."""
    pairs = zip(jax.tree.leaves(path_names(TREE)), jax.tree.leaves(select(TREE, pattern)), strict=True)
    return {path for path, taken in pairs if taken}


def test_names_of_dicts_sequences_named_tuples_and_dataclasses():
    names = path_names(TREE)
    assert set(jax.tree.leaves(names)) == PATHS
    assert names["blocks"][1][0] == Norm("blocks/1/0/kernel", "blocks/1/0/scale")
    assert jax.tree.structure(names) == jax.tree.structure(TREE)
    assert path_names(1.0) == ""


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("kernel", {"conv1/kernel", "blocks/0/kernel", "blocks/1/0/kernel"}),
        ("*/kernel", {"conv1/kernel", "blocks/0/kernel", "blocks/1/0/kernel"}),
        ("0/kernel", {"blocks/0/kernel", "blocks/1/0/kernel"}),
        ("/blocks/0/*", {"blocks/0/kernel", "blocks/0/bias"}),
        ("conv?/*", {"conv1/kernel", "conv1/bias"}),
        ("*", PATHS),
        ("/*", PATHS),
        (("bias", "no such"), {"conv1/bias", "blocks/0/bias"}),
        (lambda path: path.startswith("blocks") and path.endswith("bias"), {"blocks/0/bias"}),
        (
            WEIGHTS,
            {"conv1/kernel", "blocks/0/kernel", "blocks/1/0/kernel", "blocks/1/1/subkernel", "word_embedding"},
        ),
    ],
)
def test_patterns(pattern, expected):
    assert chosen(pattern) == expected


def test_a_mask_is_of_pythons_own_bools_and_of_the_same_tree():
    mask = select(TREE, "kernel")
    assert jax.tree.structure(mask) == jax.tree.structure(TREE)
    assert {type(leaf) for leaf in jax.tree.leaves(mask)} == {bool}


def test_selects_while_tracing():
    doubled = jax.jit(lambda tree: jax.tree.map(lambda x, take: 2 * x if take else x, tree, select(tree, "bias")))
    assert jax.tree.map(float, doubled(TREE)["blocks"][0]) == Cell(3.0, 8.0)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("kernal", r"received 'kernal'. Did you mean 'kernel'\? Paths: blocks/0/kernel, "),
        ("cnov1/*", r"received 'cnov1/\*'. Did you mean 'conv1'\?"),
        ("/kernel", r"received '/kernel'. Did you mean 'kernel'\?"),
        (lambda path: False, r"received <lambda>. Paths: "),
        (("gain", "shift"), r"received \('gain', 'shift'\)"),
    ],
)
def test_a_pattern_that_fits_nothing_names_the_nearest(pattern, message):
    with pytest.raises(ValueError, match=message):
        select(TREE, pattern)


def test_a_long_tree_is_not_listed_whole_nor_an_empty_one():
    with pytest.raises(ValueError, match=r"29/kernel, and 70 more\.$"):
        select([{"kernel": 1.0} for _ in range(100)], "bias")
    with pytest.raises(ValueError, match="Paths: none, the tree is empty"):
        select({}, "bias")
