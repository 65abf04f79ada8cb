import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.populations.chunks import Chunk, compacted, cut, in_rows
from jaxnn.populations.member_memory import choose_chunk, free_memory, size_of, working_size
from jaxnn.populations.member_steps import MemberState
from jaxnn.training import TrainState

GPU = {"memory": 1000, "devices": 1, "platform": "gpu"}


def test_sizes_are_those_of_the_arrays():
    tree = {"a": np.zeros((3, 4), np.float32), "b": jax.ShapeDtypeStruct((5,), jnp.bfloat16), "key": jax.random.key(0)}
    assert size_of(tree) == 48 + 10 + 8
    jaxpr = jax.make_jaxpr(lambda x: jnp.sum(jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x), x)))(jnp.zeros(256))
    assert 1024 <= working_size(jaxpr.jaxpr) <= 4 * 1024 + 100


@pytest.mark.parametrize(
    ("members", "changes", "chunk"),
    [
        (100, {}, 10),
        (7, {}, 7),
        (11, {}, 6),  # two even chunks
        (100, {"devices": 4}, 36),  # 40 would fit
        (3, {"devices": 2}, 4),
        (100, {"one_at_a_time": True, "working": 500}, 25),
        (1000, {"platform": "cpu", "memory": 10**9}, 16),
    ],
)
def test_as_many_members_as_fit_in_even_chunks(members, changes, chunk):
    assert choose_chunk(members, **{"state": 20, "working": 80, **GPU, **changes}) == chunk


def test_one_member_must_fit():
    with pytest.raises(ValueError, match=r"one member needs about 2 MiB \(1 for its state, 1 for a step\); 1\.5 MiB"):
        choose_chunk(1, **GPU | {"state": 2**20, "working": 2**20, "memory": 3 * 2**19})


def test_free_memory_is_a_number_of_bytes():
    assert 2**20 < free_memory(jax.devices()[0]) < 2**50


def _states(members):
    run = TrainState(np.arange(members), {"w": 10.0 * np.arange(members)}, {}, (), *2 * [np.arange(members)])
    return MemberState({}, run)


def test_compaction_keeps_everyone_once_and_in_order():
    chunks = cut(np.arange(7), 3, _states(7))
    assert [chunk.filled.tolist() for chunk in chunks] == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]
    active = np.array([True, True, False, True, True, True, True])
    kept = compacted(chunks, active)
    assert [chunk.positions.tolist() for chunk in kept] == [[0, 1, 3], [4, 5, 6]]
    assert [chunk.states.run.params["w"].tolist() for chunk in kept] == [[0, 10, 30], [40, 50, 60]]
    assert compacted(kept, np.array([True] * 2 + [False] + [True] * 4)) is kept
    assert compacted(kept, np.zeros(7, bool)) == []


def test_fillers_of_an_order_stay_fillers():
    assert in_rows(np.array([[0, 2], [1, -1]]), np.array([5, -8, 9])).tolist() == [[5, 9], [-8, -6]]
    assert Chunk(np.array([4]), 2).filled.tolist() == [4, 4]
