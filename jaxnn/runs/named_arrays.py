"""Functions that convert a pytree to named arrays in the bytes of a safetensors file, and back.

A name is the path of a leaf, such as `params/conv1/kernel`. The *tree* describes the arrays in values that JSON can
hold: name -> {"shape", "dtype"}. A typed key is stored as its key data. Its entry in the tree has the shape and dtype
of the key itself (`key<fry>`), and "impl", the name of its generator.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

_ENTRY, _DIGITS = 256, 24  # bytes of the header: bounds for a leaf without its name, and for a number


def serialize(state: Any) -> tuple[dict[str, dict], bytes]:
    """Copies a pytree to the host and converts it to the bytes of a safetensors file.

    Args:
        state: a pytree of arrays, typed keys and Python numbers (stored in the dtype jax gives them).

    Returns:
        The tree and the bytes.

    Raises:
        ValueError: a leaf is not an array, has a dtype that safetensors lacks (int4, complex128), or has the same name
            as another leaf.
    """
    leaves = _named_leaves(state)
    tree = {name: _spec(leaf, name) | _generator(leaf) for name, leaf in leaves.items()}
    raw = {name: jax.random.key_data(leaf) if _is_key(leaf) else leaf for name, leaf in leaves.items()}
    arrays = {name: _in_row_order(host, _dtype(raw[name])) for name, host in jax.device_get(raw).items()}
    try:
        return tree, safetensors.numpy.save(arrays)
    except safetensors.SafetensorError as error:
        raise ValueError(f"`state` has a leaf that safetensors cannot hold: {error}. Convert it first.") from error


def deserialize(data: bytes, tree: dict[str, dict], template: Any) -> Any:
    """Builds the pytree again, bit for bit; call `check_same_tree` first.

    Args:
        data: the bytes that `serialize` returned.
        tree: the tree that `serialize` returned with them.
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s of the same structure, shapes and dtypes.

    Returns:
        The structure of `template` with jax arrays as leaves, on the default device.

    Raises:
        ValueError: the bytes are not safetensors, do not agree with `tree`, or hold a key whose generator is unknown to
            this version of jax.
    """
    try:
        stored = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"the arrays are no safetensors file: {error}.") from error
    leaves = [_build(name, stored.get(name), tree[name], leaf) for name, leaf in _named_leaves(template).items()]
    if foreign := sorted(stored.keys() - tree.keys()):
        raise ValueError(f"the arrays' file holds `{foreign[0]}`, of which its JSON says nothing.")
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def check_same_tree(tree: dict[str, dict], template: Any, *, where: str) -> None:
    """Checks that a tree and a template have the same names, shapes and dtypes.

    Args:
        tree: the tree that `serialize` returned.
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s.
        where: the name of the owner of `tree` in the message.

    Raises:
        ValueError: they differ; the message lists the differences in at most ten lines.
    """
    here = {name: _spec(leaf, name) for name, leaf in _named_leaves(template).items()}
    lines = [f"  missing in the checkpoint: {name} {_told(here[name])}" for name in here if name not in tree]
    lines += [f"  not expected here: {name} {_told(tree[name])}" for name in tree if name not in here]
    for name in (name for name in here if name in tree):
        saved, expected = _told(tree[name]), _told(here[name])
        lines += [f"  differs: {name} is {saved} in the checkpoint, {expected} here"] if saved != expected else []
    if len(lines) > 10:
        lines[9:] = [f"  and {len(lines) - 9} more"]
    if lines:
        remedy = "Build the model and the optimizer as the run's config.json says:"
        raise ValueError("\n".join([f"{where} is of another model or optimizer. {remedy}", *lines]))


def names_of(template: Any) -> set[str]:
    """Returns the names of the leaves of a pytree."""
    return set(_named_leaves(template))


def is_spec(entry: Any) -> bool:
    """Returns whether a value from JSON has the form of an entry of a tree; only the entry of a key has "impl"."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("shape"), list)
        and all(type(size) is int and size >= 0 for size in entry["shape"])
        and isinstance(entry.get("dtype"), str)
        and isinstance(entry.get("impl"), str if entry["dtype"].startswith("key<") else type(None))
    )


def most_bytes(template: Any) -> int:
    """Returns an upper bound for the bytes of the file of a tree of these shapes and dtypes, including its header.

    Args:
        template: a pytree of arrays or `jax.ShapeDtypeStruct`s.
    """
    leaves = _named_leaves(template)
    data = sum(math.prod(raw.shape) * raw.dtype.itemsize for raw in map(_raw, leaves.values()))
    header = sum(_ENTRY + 6 * len(name) + _DIGITS * np.ndim(leaf) for name, leaf in leaves.items())  # 6: \u0000
    return data + header + _ENTRY


def _named_leaves(tree: Any) -> dict[str, Any]:
    paths_and_leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths_and_leaves}
    if len(named) < len(paths_and_leaves) or "__metadata__" in named:
        raise ValueError(
            "each leaf needs a path of its own in the form 'a/b/c', and not '__metadata__'; received a tree where two "
            "leaves meet in one. Rename the dict key that holds a '/'."
        )
    return named


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _spec(leaf: Any, name: str) -> dict[str, Any]:
    try:
        dtype = _dtype(leaf)
    except TypeError as error:
        raise ValueError(f"`{name}` must be an array or a number; received a {type(leaf).__name__}.") from error
    return {"shape": list(np.shape(leaf)), "dtype": str(dtype)}


def _dtype(leaf: Any) -> Any:
    """Returns the dtype of a leaf in jax: a default one for a Python number, float32 for float64 if 64 bits are off."""
    return leaf.dtype if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else jnp.result_type(leaf)


def _told(spec: dict[str, Any]) -> str:
    return f"{spec['dtype']}{spec['shape']}"


def _generator(leaf: Any) -> dict[str, str]:
    return {"impl": str(jax.random.key_impl(leaf))} if _is_key(leaf) else {}


def _in_row_order(leaf: Any, dtype: Any) -> np.ndarray:
    # safetensors copies memory as it is: it would write the elements of a transposed view in the wrong order.
    return np.asarray(leaf, dtype=dtype, order="C")


def _raw(leaf: Any) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype in which a leaf is stored; for a key these are those of its key data."""
    abstract = jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf))
    return jax.eval_shape(jax.random.key_data, abstract) if _is_key(leaf) else abstract


@functools.cache
def _code(dtype: np.dtype) -> str:
    """Returns the name of a dtype in a safetensors header, as the library writes it, such as "F32"."""
    ((_, entry),) = safetensors.deserialize(safetensors.numpy.save({"x": np.zeros(0, dtype)}))
    return entry["dtype"]


def _build(name: str, stored: dict[str, Any] | None, entry: dict[str, Any], leaf: Any) -> jax.Array:
    raw = _raw(leaf)
    found = None if stored is None else (tuple(stored["shape"]), stored["dtype"], len(stored["data"]))
    if found != (raw.shape, _code(raw.dtype), math.prod(raw.shape) * raw.dtype.itemsize):
        raise ValueError(f"the arrays' file does not hold `{name}` as its JSON describes it.")
    # A copy: an array that may be donated must not share its memory with anything else.
    array = jnp.array(np.frombuffer(stored["data"], dtype=raw.dtype).reshape(raw.shape))
    if array.dtype != raw.dtype:
        raise ValueError(f"`{name}` is {raw.dtype}, and jax runs without 64-bit types. Set JAX_ENABLE_X64=1.")
    return _key(name, array, entry, leaf) if _is_key(leaf) else array


def _key(name: str, data: jax.Array, entry: dict[str, Any], leaf: Any) -> jax.Array:
    try:
        key = jax.random.wrap_key_data(data, impl=entry["impl"])
    except (TypeError, ValueError):
        key = None
    if key is None or key.dtype != leaf.dtype:
        raise ValueError(f"`{name}` must be a key of dtype {leaf.dtype}; that of {entry['impl']!r} is another.")
    return key
