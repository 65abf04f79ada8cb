"""Leaves are divided as the rules say, and moments as their parameters; bad rules are refused with a remedy."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from jaxnn.optimizers import adam, parameter_groups, sgd
from jaxnn.parallel.sharding_rules import (
    Divide,
    Largest,
    ShardingRules,
    explain_sharding,
    follow,
    fully_sharded,
    partition,
    tensor_parallel,
)

SIZES = {"data": 2, "model": 4}


def leaf(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


PARAMS = {
    "tokens": {"embedding": leaf(64, 12)},
    "conv": {"kernel": leaf(3, 3, 8, 16), "bias": leaf(16)},
    "hidden1": {"kernel": leaf(12, 32), "bias": leaf(32)},
    "hidden2": {"kernel": leaf(32, 9), "bias": leaf(9)},
}


def test_fully_sharded_divides_the_largest_axis_that_can_be_of_every_large_leaf():
    params = {"wide": leaf(6, 100), "odd": leaf(101, 10), "tie": leaf(8, 8), "prime": leaf(7, 11), "small": leaf(8)}
    specs = partition(fully_sharded(at_least=20), params, SIZES)
    assert specs == {"wide": P(None, "data"), "odd": P(None, "data"), "tie": P("data"), "prime": P(), "small": P()}


def test_tensor_parallel_divides_outputs_then_inputs_of_dense_convolution_and_embedding_layers():
    rules = tensor_parallel(columns=["conv", "hidden1"], rows=["hidden2"], embeddings=["tokens"])
    assert partition(rules, PARAMS, SIZES) == {
        "tokens": {"embedding": P("model")},
        "conv": {"kernel": P(None, None, None, "model"), "bias": P("model")},
        "hidden1": {"kernel": P(None, "model"), "bias": P("model")},
        "hidden2": {"kernel": P("model"), "bias": P()},
    }
    rows = partition(tensor_parallel(rows=["conv"]), PARAMS, SIZES)["conv"]
    assert rows == {"kernel": P(None, None, "model"), "bias": P()}


def test_both_divide_the_largest_axis_that_is_left():
    rules = tensor_parallel(columns=["hidden1"], rows=["hidden2"], largest=Largest(at_least=32))
    specs = partition(rules, PARAMS, SIZES)
    assert specs["hidden1"] == {"kernel": P("data", "model"), "bias": P("model")}
    assert specs["hidden2"] == {"kernel": P("model"), "bias": P()}  # neither 9 nor its bias can be halved
    assert specs["tokens"] == {"embedding": P("data")}


def test_the_first_rule_that_fits_decides_and_one_device_divides_nothing():
    rules = ShardingRules({"hidden1/bias": (), "hidden1/*": Divide(-1, "model")})
    assert partition(rules, PARAMS, SIZES)["hidden1"] == {"kernel": P(None, "model"), "bias": P()}
    assert set(jax.tree.leaves(partition(rules, PARAMS, {"data": 8, "model": 1}))) == {P()}
    assert rules == ShardingRules({"hidden1/bias": [], "hidden1/*": [Divide(-1, "model")]})
    assert hash(rules) == hash(ShardingRules(rules.rules))


@pytest.mark.parametrize(
    "optimizer",
    [sgd(0.1, momentum=0.9), adam(1e-3), parameter_groups({"conv/*": adam(1e-3)}, rest=sgd(0.1, momentum=0.9))],
    ids=["momentum", "adam", "groups"],
)
def test_moments_follow_their_parameters(optimizer):
    params = jax.tree.map(lambda like: jnp.zeros(like.shape), PARAMS)
    specs = partition(tensor_parallel(columns=["hidden1"], embeddings=["tokens"]), params, SIZES)
    state = jax.eval_shape(optimizer.init, params)
    moments = follow(state, params, specs)
    found = dict(zip(map(jax.tree_util.keystr, paths(state)), jax.tree.leaves(moments), strict=True))
    for path, spec in found.items():
        divided = {"['embedding']": P("model"), "['hidden1']['kernel']": P(None, "model")}
        divided["['hidden1']['bias']"] = P("model")
        assert spec == next((spec for end, spec in divided.items() if path.endswith(end)), P()), path
    assert sum(spec == P("model") for spec in found.values()) >= 2


def paths(tree):
    return [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def test_what_is_not_shaped_as_a_parameter_is_whole_and_the_longest_path_decides():
    params = {"kernel": leaf(8, 8), "a": {"kernel": leaf(8, 8)}}
    specs = {"kernel": P("data"), "a": {"kernel": P("model")}}
    state = {"m": params, "rows": {"kernel": leaf(8)}, "count": leaf()}
    assert follow(state, params, specs) == {"m": specs, "rows": {"kernel": P()}, "count": P()}
    assert follow({"m": leaf(4)}, leaf(4), P("data")) == {"m": P("data")}  # a bare array has no name


def test_the_table_says_which_rule_divided_what():
    rules = tensor_parallel(columns=["hidden1"], largest=Largest(at_least=100))
    lines = explain_sharding(rules, PARAMS, SIZES).splitlines()
    assert lines[0].split("  ")[0] == "path"
    by_path = {line.split()[0]: line for line in lines}
    assert "hidden1/* + largest" in by_path["hidden1/kernel"]
    assert "axis 0 over data, axis 1 over model  6x8" in by_path["hidden1/kernel"]
    assert by_path["conv/bias"].split() == ["conv/bias", "16", "-", "whole", "16"]
    assert by_path["tokens/embedding"].split()[1:] == ["64x12", "largest", "axis", "0", "over", "data", "32x12"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"hiden1/kernel": Divide(-1, "model")}, r"received 'hiden1/kernel'\. Did you mean 'hidden1/kernel'\?"),
        ({"hidden1/kernel": Divide(-1, "modle")}, r"unknown axis of the mesh 'modle'; did you mean 'model'\?"),
        (
            {"hidden2/kernel": Divide(1, "model")},
            r"multiple of the 4 devices .* received shape \(32, 9\)\. Divide axis 0",
        ),
        ({"hidden2/bias": Divide(0, "model")}, r"received shape \(9,\)\. Take fewer devices, or leave it whole"),
        ({"bias": Divide(1, "model")}, r"must have the axis .* received axis 1 for shape \(16,\)\. Narrow the pattern"),
        ({"conv/kernel": [Divide(2, "model"), Divide(3, "model")]}, r"divided once; received \[\(2, 'model'\), \(3,"),
        ({"hidden1/*": (), "hidden1/bias": ()}, r"received 'hidden1/bias', whose leaves all fit an earlier pattern"),
    ],
    ids=["pattern", "mesh axis", "divisible", "fewer devices", "no such axis", "twice", "shadowed"],
)
def test_bad_rules_are_refused_with_a_remedy(rules, message):
    with pytest.raises(ValueError, match=message):
        partition(ShardingRules(rules), PARAMS, SIZES)


def test_bad_presets_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"received hidden1 in two of them\. Take columns and rows in turn"):
        tensor_parallel(columns=["hidden1"], rows=["hidden1"])
    with pytest.raises(ValueError, match=r"several or \(\); received 'model'\. Write Divide\(axis, 'model'\)"):
        ShardingRules({"kernel": "model"})
    with pytest.raises(ValueError, match=r"unknown axis of the mesh 'batch'\. Known: data, model"):
        partition(fully_sharded(over="batch"), PARAMS, SIZES)
