"""What is put is gathered again, divided or not. What several processes do, test_multihost.py shows."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxnn.parallel import placement
from jaxnn.parallel.process_arrays import gather, largest, put
from jaxnn.training.placement_contract import ONE_DEVICE


def test_what_is_put_is_gathered_again_keys_too():
    devices = jax.devices()[:4]
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    tree = {"divided": np.arange(8.0, dtype=np.float32), "whole": np.ones(3, np.float32), "key": jax.random.key(7)}
    specs = {"divided": P("data"), "whole": P(), "key": P()}
    there = put(tree, jax.tree.map(lambda spec: jax.sharding.NamedSharding(mesh, spec), specs))
    assert [part.data.shape for part in there["divided"].addressable_shards] == [(2,)] * 4
    back = gather(there | {"numpy": tree["whole"]})
    np.testing.assert_array_equal(back["divided"], tree["divided"])
    assert back["whole"].devices() == {devices[0]}
    assert back["key"] == tree["key"]
    assert back["numpy"] is tree["whole"]


def test_one_process_agrees_with_itself():
    assert largest(2**53 + 1, -3, devices=jax.devices()) == (2**53 + 1, -3)


@pytest.mark.parametrize("name", ["single", "shard_map", "fully_sharded"])
def test_a_state_is_whole_for_files(name):
    """On the one device where it lies, a copy of the first device, or gathered to the host."""
    place = placement(name, jax.devices()[:1] if name == "single" else jax.devices()[:2])
    state = {"kernel": np.arange(12, dtype=np.float32).reshape(4, 3)}
    whole = place.gather(place.put(state))["kernel"]
    np.testing.assert_array_equal(whole, state["kernel"])
    assert ONE_DEVICE.gather(state) is state
