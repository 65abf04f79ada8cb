"""Checkpoints: exact round trips, every kind of damage, and writers killed at every point."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxnn.runs import atomic_files, checkpoint_metadata, checkpoints
from jaxnn.runs.checkpoints import describe, restore, rewind, save, steps


class TrainState(NamedTuple):
    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    key: Any


def make_state(step=0, seed=0, features=4):
    key = jax.random.key(seed)
    params = {"dense1": {"kernel": jax.random.normal(key, (3, features)), "bias": jnp.zeros(features, jnp.bfloat16)}}
    model_state = {
        "batch_stats": {"mean": jnp.ones(features), "seen": jnp.uint8(7), "frozen": jnp.array([True, False])}
    }
    return TrainState(jnp.int32(step), params, model_state, optax.adam(1e-3).init(params), key)


def raw(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key_impl(leaf), *raw(jax.random.key_data(leaf))
    array = np.asarray(leaf)
    return str(array.dtype), array.shape, array.tobytes()


def assert_same_bits(received, expected):
    assert jax.tree.structure(received) == jax.tree.structure(expected)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(received))
    assert jax.tree.map(raw, received) == jax.tree.map(raw, expected)


def put(folder, step, accuracy=0.5, **keywords):
    return save(folder, make_state(step), step=step, metrics={"validation/accuracy": accuracy}, **keywords)


def template():
    return jax.eval_shape(make_state)


# Round trips.


@pytest.mark.parametrize("abstract", [True, False])
def test_a_train_state_comes_back_bit_for_bit(tmp_path, abstract):
    state = make_state(469)
    path = save(tmp_path / "new" / "folder", state, step=469, metrics={"validation/accuracy": jnp.float32(0.5)})
    assert path == tmp_path / "new" / "folder" / "00000469.safetensors"
    received, metadata = restore(path.parent, jax.eval_shape(lambda: state) if abstract else make_state(1, seed=9))
    assert_same_bits(received, state)
    assert metadata["step"] == 469
    assert metadata["metrics"] == {"validation/accuracy": 0.5}
    assert metadata["bytes"] == path.stat().st_size
    assert metadata["tree"]["params/dense1/bias"] == {"shape": [4], "dtype": "bfloat16"}
    assert metadata["tree"]["key"] == {"shape": [], "dtype": "key<fry>", "impl": "threefry2x32"}
    assert metadata == describe(path.parent, 469)


def test_other_programs_can_read_the_arrays(tmp_path):
    path = put(tmp_path, 1)
    with safetensors.safe_open(path, framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("params/dense1/kernel"), make_state().params["dense1"]["kernel"])
        assert {"step", "key", "opt_state/0/mu/dense1/kernel"} < set(file.keys())


INTEGERS = ["uint8", "uint16", "uint32", "int8", "int16", "int32"]
DTYPES = ["bool", *INTEGERS, "float16", "bfloat16", "float32", "complex64", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    data=st.data(),
)
def test_every_dtype_and_shape(tmp_path_factory, dtype, shape, data):
    dtype = jnp.dtype(dtype)
    seed = data.draw(st.integers(0, 2**32 - 1))
    count = int(np.prod(shape)) * dtype.itemsize
    noise = np.random.default_rng(seed).integers(0, 2 if dtype.kind == "b" else 256, count, dtype=np.uint8)
    leaf = jnp.array(noise.view(dtype).reshape(shape))  # any bits: NaN payloads, -0, subnormals
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder, {"x": [leaf, None]}, step=0, metrics={})
    assert_same_bits(restore(folder, {"x": [leaf, None]})[0], {"x": [leaf, None]})


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_wide_dtypes_where_they_are_on(tmp_path, dtype):
    with jax.enable_x64(True):
        state = {"x": jnp.array([0, 1, 2**40], dtype)}
        save(tmp_path, state, step=1, metrics={})
        assert_same_bits(restore(tmp_path, state)[0], state)
    with pytest.raises(ValueError, match=rf"differs: x is {dtype}\[3\] in the checkpoint, \w+32\[3\] here"):
        restore(tmp_path, {"x": np.zeros(3, dtype)})
    with pytest.raises(ValueError, match=rf"`x` is {dtype}, and jax runs without 64-bit types"):
        restore(tmp_path, {"x": jax.ShapeDtypeStruct((3,), dtype)})


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_typed_keys(tmp_path, impl):
    state = {"one": jax.random.key(3, impl=impl), "many": jax.random.split(jax.random.key(4, impl=impl), (2, 3))}
    save(tmp_path, state, step=1, metrics={})
    received, _ = restore(tmp_path, jax.eval_shape(lambda: state))
    assert_same_bits(received, state)
    assert jax.random.uniform(received["one"]) == jax.random.uniform(state["one"])


@pytest.mark.parametrize("state", [3, 0.5, True, np.arange(3), jnp.ones(()), (), {"a": ()}, np.float64(2.5), [1, 2.5]])
def test_trees_of_any_form_and_python_numbers(tmp_path, state):
    save(tmp_path, state, step=0, metrics={})
    assert_same_bits(restore(tmp_path, state)[0], jax.tree.map(jnp.asarray, state))


def test_views_are_written_in_their_own_order(tmp_path):
    state = {"transposed": np.arange(6.0, dtype=np.float32).reshape(2, 3).T, "reversed": np.arange(5)[::-1]}
    save(tmp_path, state, step=0, metrics={})
    assert_same_bits(restore(tmp_path, state)[0], jax.tree.map(jnp.asarray, state))


def test_state_may_be_donated_after_save_and_after_restore(tmp_path):
    advance = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    state = {"x": jnp.arange(1000.0)}
    save(tmp_path, state, step=0, metrics={})
    advance(state)
    received, _ = restore(tmp_path, {"x": jax.ShapeDtypeStruct((1000,), jnp.float32)})
    np.testing.assert_array_equal(advance(received)["x"], np.arange(1, 1001))
    again, _ = restore(tmp_path, {"x": jax.ShapeDtypeStruct((1000,), jnp.float32)})
    np.testing.assert_array_equal(again["x"], np.arange(1000))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a/b": 1, "a": {"b": 2}}, "path of its own"),
        ({"__metadata__": 1}, "__metadata__"),
        ({"x": object()}, "`x` must be an array or a number; received a object"),
        ({"x": np.zeros(2, "complex128").view("V16")}, "`x` must be|cannot hold"),
        ({"x": jnp.zeros(2, jnp.int4)}, 'cannot hold.*"int4"'),
    ],
)
def test_what_cannot_be_saved_says_so_and_writes_nothing(tmp_path, state, message):
    with pytest.raises(ValueError, match=message):
        save(tmp_path, state, step=1, metrics={})
    assert list(tmp_path.iterdir()) == []


def test_numbers_out_of_range(tmp_path):
    for keywords in ({"step": -1}, {"step": 1, "keep": 0}):
        with pytest.raises(ValueError, match="`step` must be at least 0 and `keep` at least 1"):
            save(tmp_path, {}, metrics={}, **keywords)


# Which are kept, and which is restored.


@pytest.mark.parametrize(
    ("accuracies", "keep", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], 3, [3, 4, 5]),
        ([0.1, 0.9, 0.3, 0.4, 0.5, 0.6], 3, [2, 4, 5, 6]),
        ([0.9, 0.9, 0.3], 1, [2, 3]),
        ([0.9, 0.1, 0.1], 1, [1, 3]),
        ([float("nan"), float("inf"), 0.3, 0.2, 0.1], 1, [3, 5]),
    ],
)
def test_keeps_the_newest_and_the_best(tmp_path, accuracies, keep, expected):
    for step, accuracy in enumerate(accuracies, start=1):
        put(tmp_path, step, accuracy, keep=keep)
    assert steps(tmp_path) == expected
    files = {f"{step:08d}.{ending}" for step in expected for ending in ("json", "safetensors")}
    assert {path.name for path in tmp_path.iterdir()} == files
    finite = [(accuracy, step) for step, accuracy in enumerate(accuracies, start=1) if np.isfinite(accuracy)]
    assert restore(tmp_path, template(), which="best")[0].step == max(finite)[1]
    assert restore(tmp_path, template())[0].step == len(accuracies)


def test_best_needs_a_metric(tmp_path):
    put(tmp_path, 1, keep=1, best=None)
    put(tmp_path, 2, 0.1, keep=1, best=None)
    assert steps(tmp_path) == [2]
    with pytest.raises(ValueError, match=r"finite metric None .* Use which='last' or a step of \[2\]"):
        restore(tmp_path, template(), which="best")
    put(tmp_path, 3, keep=5, best="validation/loss")
    with pytest.raises(ValueError, match="finite metric 'validation/loss'"):
        restore(tmp_path, template(), which="best")


def test_a_step_saved_again_is_replaced(tmp_path):
    put(tmp_path, 1, 0.1)
    save(tmp_path, make_state(1, seed=5), step=1, metrics={"validation/accuracy": 0.2})
    received, metadata = restore(tmp_path, template())
    assert_same_bits(received, make_state(1, seed=5))
    assert metadata["metrics"] == {"validation/accuracy": 0.2}


def test_going_back_never_prunes_what_was_just_written(tmp_path):
    for step in (10, 20, 30):
        put(tmp_path, step, keep=3)
    put(tmp_path, 5, 0.4, keep=3)
    assert steps(tmp_path) == [5, 10, 20, 30]
    rewind(tmp_path, 10)
    assert steps(tmp_path) == [5, 10]
    assert len(list(tmp_path.iterdir())) == 4
    rewind(tmp_path / "nowhere", 10)


def test_only_checkpoints_are_listed(tmp_path):
    put(tmp_path, 7)
    put(tmp_path, 123_456_789)
    for name in [
        "config.json",
        "7.json",
        "000000007.json",
        "00000008.json.jaxnn-tmp",
        "x00000009.json",
        "٠٠٠٠٠٠٠٩.json",
    ]:
        (tmp_path / name).write_text("{}")
    assert steps(tmp_path) == [7, 123_456_789]
    assert steps(tmp_path / "nowhere") == []


def test_nothing_to_restore(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"holds no checkpoint\. Check the folder, or train first"):
            restore(folder, template())
    put(tmp_path, 469)
    put(tmp_path, 938)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 500. Those it holds: \[469, 938\]"):
        restore(tmp_path, template(), which=500)
    for which in ("first", True):
        with pytest.raises(ValueError, match='`which` must be "last", "best" or a step'):
            restore(tmp_path, template(), which=which)
    assert restore(tmp_path, template(), which=469)[0].step == 469


# Damage.


@pytest.fixture
def pair(tmp_path):
    """A whole checkpoint of step 469, and one of step 938 to be damaged."""
    put(tmp_path, 469)
    return put(tmp_path, 938, 0.9)


ADVICE = r".*Step 469 is whole: use which=469 / --step 469\."


@pytest.mark.parametrize("which", ["last", "best", 938])
@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_every_flipped_byte_is_found(pair, ending, which):
    file = pair.with_suffix(ending)
    whole = file.read_bytes()
    for position in range(0, len(whole), 97 if which == "last" else 397):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :])
        with pytest.raises(ValueError, match=r"00000938\." + ADVICE):
            restore(pair.parent, template(), which=which)
    file.write_bytes(whole)
    assert_same_bits(restore(pair.parent, template())[0], make_state(938))


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_every_truncation_is_found(pair, ending):
    file = pair.with_suffix(ending)
    whole = file.read_bytes()
    for length in [0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"00000938\." + ending[1:] + " is damaged: expected" + ADVICE):
            restore(pair.parent, template())
    file.write_bytes(whole + b"x")
    with pytest.raises(ValueError, match=r"00000938\." + ending[1:] + " is damaged" + ADVICE):
        restore(pair.parent, template())


def test_arrays_gone_and_nothing_else_whole(pair):
    pair.unlink()
    with pytest.raises(ValueError, match=r"00000938\.safetensors is missing, though its JSON is there\." + ADVICE):
        restore(pair.parent, template())
    (pair.parent / "00000469.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="No other checkpoint there is whole"):
        restore(pair.parent, template())


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"3", b"[" * 100_000, b"\xff", b"{}", b'{"digest": null}'])
def test_json_of_another_kind(pair, text):
    pair.with_suffix(".json").write_bytes(text)
    with pytest.raises(ValueError, match=r"00000938\.json (is|was edited or) damaged" + ADVICE):
        restore(pair.parent, template())


def edit(path, **changes):
    """Edits the metadata as one who knows the digest would."""
    file = path.with_suffix(".json")
    metadata = json.loads(file.read_text()) | changes
    metadata = {field: value for field, value in metadata.items() if value != "gone"}
    file.write_text(json.dumps(metadata | {"digest": checkpoint_metadata.digest(metadata)}))


def test_edited_metadata_is_found(pair):
    file = pair.with_suffix(".json")
    file.write_text(file.read_text().replace('"validation/accuracy": 0.9', '"validation/accuracy": 0.99'))
    with pytest.raises(ValueError, match=r"00000938\.json was edited or damaged" + ADVICE):
        restore(pair.parent, template(), which="best")
    with pytest.raises(ValueError, match="was edited or damaged"):
        describe(pair.parent, 938)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 469},
        {"format": 2},
        {"bytes": "1"},
        {"sha256": None},
        {"best": "gone"},
        {"metrics": {"validation/accuracy": "high"}},
        {"tree": {"a": {"shape": "()", "dtype": "float32"}}},
        {"tree": {"a": {"shape": [-1], "dtype": "float32"}}},
        {"tree": []},
    ],
)
def test_metadata_edited_together_with_its_digest(pair, changes):
    edit(pair, **changes)
    with pytest.raises(ValueError, match="does not describe step 938 in format 1" + ADVICE):
        restore(pair.parent, template())


@pytest.mark.parametrize(
    "changes",
    [
        {"bytes": -1},
        {"metrics": {"validation/accuracy": float("nan")}},
        {"tree": {"key": {"shape": [], "dtype": "key<fry>"}}},
        {"tree": {"a": {"shape": [], "dtype": "float32", "impl": "rbg"}}},
        {"totals": [1.0]},
        {"totals": {"loss": [1.0]}},
        {"totals": {"loss": [1.0, "many"]}},
        {"totals": {"loss": [1.0, True]}},
    ],
)
def test_a_field_with_a_value_that_no_save_writes_is_refused(pair, changes):
    edit(pair, **changes)
    with pytest.raises(ValueError, match="does not describe step 938 in format 1" + ADVICE):
        restore(pair.parent, template())


def test_totals_come_back_to_the_same_bits_and_older_checkpoints_have_none(tmp_path):
    totals = {"loss": (0.1 + 0.2, 3.0), "accuracy": (float("inf"), 1e-320)}
    path = put(tmp_path, 1, totals=totals)
    assert describe(tmp_path, 1)["totals"] == totals
    save(tmp_path, {}, step=2, metrics={}, totals={"loss": (float("nan"), 1.0)})
    assert str(describe(tmp_path, 2)["totals"]) == "{'loss': (nan, 1.0)}"
    edit(path, totals="gone")
    assert restore(tmp_path, template(), which=1)[1]["totals"] == {}


def test_more_leaves_than_can_be_read_again_are_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_metadata, "MOST_BYTES", 2000)
    with pytest.raises(ValueError, match="`state` must have fewer leaves; the JSON of 40 is longer than 2000 bytes"):
        save(tmp_path, {str(i): 1.0 for i in range(40)}, step=1, metrics={})
    assert list(tmp_path.iterdir()) == []


# What stands in the place of a file.


def test_files_of_30_gib_are_refused_before_they_are_read(pair):
    arrays, record = pair, pair.with_suffix(".json")
    for file, message in ((arrays, r"expected \d+ bytes, received 32212254720"), (record, "at most 67108864 bytes")):
        whole = file.read_bytes()
        os.truncate(file, 30 * 2**30)
        with pytest.raises(ValueError, match=rf"{file.name} .*{message}.*" + ADVICE):
            restore(pair.parent, template())
        file.write_bytes(whole)
    os.truncate(arrays, 30 * 2**30)
    edit(pair, bytes=30 * 2**30)
    with pytest.raises(ValueError, match=r"safetensors must have at most \d{4} bytes; its JSON says 322.*" + ADVICE):
        restore(pair.parent, template())
    (pair.parent / "00000469.json").write_text("{}")
    with pytest.raises(ValueError, match="No other checkpoint there is whole"):
        restore(pair.parent, template(), which=469)  # that of 30 GiB is not read to be advised


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_pipe_and_a_folder_in_the_place_of_a_file(pair, ending):
    file = pair.with_suffix(ending)
    file.unlink()
    for make, kind in ((os.mkfifo, "a pipe"), (os.mkdir, "a folder")):
        make(file)
        with pytest.raises(ValueError, match=rf"{file.name} must be a regular file; found {kind}\..*" + ADVICE):
            restore(pair.parent, template())
        file.unlink() if kind == "a pipe" else file.rmdir()


def test_a_folder_that_cannot_be_read_is_not_one_without_checkpoints(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("moved")
    for name, reason in (("file", "Not a dir"), ("loop", "Too many levels"), ("gone", "No such file")):
        for read in (steps, lambda folder: restore(folder, template()), lambda folder: rewind(folder, 0)):
            with pytest.raises(OSError, match=rf"^cannot read the checkpoints in .*{name}: {reason}.* is not known"):
                read(tmp_path / name)

    def refuse(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)  # root, who runs the tests in a container, may read anything
    with pytest.raises(PermissionError, match="Permission denied"):
        steps(tmp_path)


# Readers beside a writer.


@pytest.mark.parametrize("which", ["last", "best"])
@pytest.mark.parametrize("moment", ["describe", "_open_arrays"])
def test_a_reader_chooses_again_when_its_choice_is_removed_meanwhile(tmp_path, monkeypatch, which, moment):
    put(tmp_path, 1, 0.1, keep=1)
    real, left = getattr(checkpoints, moment), [1]

    def overtaken(*arguments):
        if left:
            left.pop()
            put(tmp_path, 2, 0.9, keep=1)
        return real(*arguments)

    monkeypatch.setattr(checkpoints, moment, overtaken)
    assert restore(tmp_path, template(), which=which)[1]["step"] == 2


def test_a_reader_reads_again_when_its_step_is_replaced_meanwhile(tmp_path, monkeypatch):
    put(tmp_path, 1)
    real, left = checkpoints._open_arrays, [1]

    def overtaken(*arguments):
        if left:
            left.pop()
            save(tmp_path, make_state(1, seed=5), step=1, metrics={})
        return real(*arguments)

    monkeypatch.setattr(checkpoints, "_open_arrays", overtaken)
    assert_same_bits(restore(tmp_path, template(), which=1)[0], make_state(1, seed=5))


def test_a_reader_of_damage_gives_up_though_the_writer_never_rests(tmp_path):
    readings = []

    def read():
        readings.append(None)
        (tmp_path / f"{len(readings)}").touch()
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        checkpoints.read_again(tmp_path, read)
    assert len(readings) == 10


@pytest.mark.parametrize("data", [b"", b"no safetensors", b"\xff" * 100])
def test_arrays_replaced_together_with_their_sum(pair, data):
    pair.write_bytes(data)
    edit(pair, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ValueError, match="no safetensors file"):
        restore(pair.parent, template())


def test_arrays_of_another_checkpoint_under_this_ones_tree(tmp_path):
    path = save(tmp_path, {"x": jnp.ones(3), "y": jnp.ones(2)}, step=1, metrics={})
    state = {"x": jnp.ones(3), "y": jnp.ones((2, 1)), "z": jnp.ones(1)}
    tree = {name: {"shape": list(leaf.shape), "dtype": "float32"} for name, leaf in state.items()}
    for names in ("xy", "xz"):
        edit(path, tree={name: tree[name] for name in names})
        with pytest.raises(ValueError, match=f"does not hold `{names[1]}` as its JSON describes it"):
            restore(tmp_path, {name: state[name] for name in names})


def test_arrays_of_another_dtype_of_the_same_size_and_arrays_beyond_the_tree_are_refused(tmp_path):
    state = {"x": np.arange(3, dtype=np.float32)}
    others = {"x": np.arange(3, dtype=np.int32)}, state | {"y": np.zeros(1, np.float32)}
    for other, message in zip(others, ("does not hold `x` as", "holds `y`, of which its JSON says"), strict=True):
        data = safetensors.numpy.save(other)
        path = save(tmp_path, state, step=1, metrics={})
        path.write_bytes(data)
        edit(path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        with pytest.raises(ValueError, match=message):
            restore(tmp_path, state)


def test_an_unknown_key_generator_is_refused(tmp_path):
    state = {"key": jax.random.key(0)}
    path = save(tmp_path, state, step=1, metrics={})
    edit(path, tree={"key": {"shape": [], "dtype": "key<fry>", "impl": "mersenne"}})
    with pytest.raises(ValueError, match="`key` must be a key of dtype key<fry>; that of 'mersenne' is another"):
        restore(tmp_path, state)


# A checkpoint of another model.


def test_the_difference_is_listed(tmp_path):
    save(
        tmp_path, {"a": jnp.ones((10, 84)), "b": jnp.ones(3), "same": jnp.ones(2), "k": jnp.ones(2)}, step=1, metrics={}
    )
    here = {"a": jnp.ones((10, 120)), "c": jnp.ones(3, jnp.int32), "same": jnp.ones(2), "k": jax.random.key(0)}
    with pytest.raises(ValueError, match="is of another model or optimizer") as caught:
        restore(tmp_path, here)
    assert str(caught.value).splitlines()[1:] == [
        "  missing in the checkpoint: c int32[3]",
        "  not expected here: b float32[3]",
        "  differs: a is float32[10, 84] in the checkpoint, float32[10, 120] here",
        "  differs: k is float32[2] in the checkpoint, key<fry>[] here",
    ]


@pytest.mark.parametrize(
    ("count", "last"), [(10, "  missing in the checkpoint: n9"), (11, "  and 2 more"), (99, "  and 90 more")]
)
def test_the_list_of_differences_stays_short(tmp_path, count, last):
    save(tmp_path, {}, step=1, metrics={})
    with pytest.raises(ValueError, match="another model") as caught:
        restore(tmp_path, {f"n{i}": jnp.ones(1) for i in range(count)})
    assert len(str(caught.value).splitlines()) == 11
    assert str(caught.value).splitlines()[-1].startswith(last)


def test_the_same_shapes_under_another_generator_differ(tmp_path):
    save(tmp_path, jax.random.key(0, impl="rbg"), step=1, metrics={})
    with pytest.raises(ValueError, match=r"is key<rbg>\[\] in the checkpoint, key<urbg>\[\] here"):
        restore(tmp_path, jax.random.key(0, impl="unsafe_rbg"))


# Writers that die.


class Killed(BaseException):
    """Stands for kill -9: nothing of the writer runs any more."""


@pytest.mark.full
def test_killed_before_any_single_file_operation(tmp_path, monkeypatch):
    real = {(Path, name): getattr(Path, name) for name in ("replace", "unlink")}
    real[atomic_files.os, "fsync"] = atomic_files.os.fsync
    survived = False
    for fatal in range(100):
        folder = tmp_path / str(fatal)
        put(folder, 1, 0.9, keep=1)
        put(folder, 2, 0.1, keep=1)
        left = [fatal]

        def mortal(operation, left=left):
            def run(*arguments, **keywords):
                if left[0] <= 0:
                    raise Killed
                left[0] -= 1
                return operation(*arguments, **keywords)

            return run

        for (owner, name), operation in real.items():
            monkeypatch.setattr(owner, name, mortal(operation))
        try:
            save(folder, make_state(2, seed=1), step=2, metrics={"validation/accuracy": 0.2}, keep=1)  # replaces
            save(folder, make_state(3), step=3, metrics={"validation/accuracy": 0.95}, keep=1)  # prunes 1 and 2
            survived = True
        except Killed:
            pass
        finally:
            monkeypatch.undo()
        assert steps(folder), f"nothing was left after operation {fatal}"
        for step in steps(folder):
            assert restore(folder, template(), which=step)[0].step == step
        put(folder, 4, 0.1, keep=1)
        assert {path.stem for path in folder.iterdir()} == {f"{step:08d}" for step in steps(folder)}
        if survived:
            break
    assert survived
    assert fatal > 15


SAVE_FOREVER = """
import os, random, signal, sys, time, warnings
import numpy as np
from jaxnn.runs import checkpoints

warnings.simplefilter("ignore")  # jax warns of the fork; its backend has not started
folder = sys.argv[1]
chance = random.Random(0)
for line in sys.stdin:
    before = step = max(checkpoints.steps(folder), default=0)
    child = os.fork()
    if not child:
        while True:
            step += 1
            for version in range(2):
                state = {"x": np.full(50_000, step, np.int32), "version": version}
                checkpoints.save(folder, state, step=step, metrics={"validation/accuracy": chance.random()}, keep=2)
    # A kill may lose the step that is being replaced. When the next is there too, one that is whole has come
    while max(checkpoints.steps(folder), default=0) <= before + 1:
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""


@pytest.mark.full
def test_killed_at_random_moments(tmp_path):
    arguments = [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)]
    shapes = {"x": jax.ShapeDtypeStruct((50_000,), jnp.int32), "version": jnp.int32(0)}
    litter = 0
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        for _ in range(40):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            assert nursery.stdout.readline() == "killed\n"
            for step in steps(tmp_path):
                assert (restore(tmp_path, shapes, which=step)[0]["x"] == step).all()
            litter += any(path.suffix == ".jaxnn-tmp" for path in tmp_path.iterdir())
        nursery.stdin.close()
    assert steps(tmp_path)[-1] >= 40
    assert litter > 0  # some were killed in the middle of a write
    save(tmp_path, {"x": np.zeros(50_000, np.int32), "version": 0}, step=10**6, metrics={}, keep=1)
    assert not any(path.suffix == ".jaxnn-tmp" for path in tmp_path.iterdir())


FULL_DISK = """
import resource, signal, sys
import numpy as np
from jaxnn.runs import checkpoints

folder = sys.argv[1]
checkpoints.save(folder, {"x": np.arange(100)}, step=1, metrics={})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save(folder, {"x": np.zeros(100_000, np.float32)}, step=2, metrics={})
except OSError as error:
    print(error.errno, error)
"""


def test_full_disk(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert re.fullmatch(
        rf"{errno.EFBIG} .*could not write the checkpoint of step 2 \(400\d\d\d bytes\) to {tmp_path}: File too large; "
        r"\d+ bytes are free on that disk\. Step 1 is whole: use which=1 / --step 1\. Make room .*, then resume\.\n",
        result.stdout,
    ), result.stdout + result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"00000001.json", "00000001.safetensors"}
    assert_same_bits(restore(tmp_path, {"x": np.arange(100)})[0], {"x": jnp.arange(100)})


@pytest.mark.parametrize("ending", ["safetensors", "json"])
@pytest.mark.parametrize("step", [1, 2])
def test_full_disk_at_either_file_leaves_everything_as_it_was(tmp_path, monkeypatch, ending, step):
    put(tmp_path, 1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def stage(path, data, real=atomic_files.stage):
        if path.suffix == f".{ending}":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(atomic_files, "stage", stage)
    with pytest.raises(OSError, match=r"No space left on device; .* Step 1 is whole") as caught:
        save(tmp_path, make_state(step, seed=1), step=step, metrics={})
    assert caught.value.errno == errno.ENOSPC
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_folders_place(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match=r"could not write the checkpoint of step 1 .* No other checkpoint there"):
        put(tmp_path / "file", 1)


def test_interrupt_in_mid_write_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupt(_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(atomic_files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        put(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []
