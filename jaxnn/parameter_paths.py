"""Every leaf of a parameter tree has a path such as "conv1/kernel", and patterns select leaves by their paths."""

import difflib
from collections.abc import Callable
from fnmatch import fnmatchcase

import jax

Pattern = str | tuple[str, ...] | Callable[[str], bool]

WEIGHTS = ("*kernel", "*embedding")
"""Selects the leaves that usually get weight decay: weights that multiply inputs, not biases or norm scales."""

_LISTED = 30


def path_names(tree):
    """Returns the tree with each leaf replaced by its path: keys, indices and field names, joined by "/".

    >>> path_names({"encoder": [{"kernel": 1.0, "bias": 2.0}]})
    {'encoder': [{'bias': 'encoder/0/bias', 'kernel': 'encoder/0/kernel'}]}
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), tree
    )


def select(tree, pattern: Pattern):
    """Returns the tree with True at each leaf whose path fits the pattern, else False, as Python's own bools.

    A pattern is a glob for a whole path or for its last names: "kernel" fits "kernel" and "conv1/kernel", but not
    "subkernel". A `*` matches "/" too, so "conv1/*" fits everything below any conv1. With a leading "/" the pattern
    must fit the whole path from the root.

    Args:
      tree: a pytree of dicts, sequences, NamedTuples or dataclasses.
      pattern: a glob, a tuple of globs (any may fit), or a function `path -> bool`.

    Raises:
      ValueError: no leaf fits; the message gives the nearest name and lists the paths.

    >>> select({"conv1": {"kernel": 1.0, "bias": 2.0}, "kernel": 3.0}, "conv1/*")
    {'conv1': {'bias': True, 'kernel': True}, 'kernel': False}
    >>> select({"scale": 1.0, "shift": 2.0}, lambda path: path != "scale")
    {'scale': False, 'shift': True}
    """
    names = path_names(tree)
    fits = pattern if callable(pattern) else lambda path: any(_matches(path, glob) for glob in _globs(pattern))
    selected = jax.tree.map(lambda path: bool(fits(path)), names)
    if not any(jax.tree.leaves(selected)):
        raise _nothing_fits(pattern, jax.tree.leaves(names))
    return selected


def _globs(pattern):
    return (pattern,) if isinstance(pattern, str) else tuple(pattern)


def _matches(path, glob):
    return fnmatchcase("/" + path, glob if glob.startswith("/") else "*/" + glob)


def _nothing_fits(pattern, paths):
    names = [path.split("/") for path in paths]
    runs = {"/".join(path[i:j]) for path in names for i in range(len(path)) for j in range(i + 1, len(path) + 1)}
    wanted = [] if callable(pattern) else _globs(pattern)
    near = [run for glob in wanted for run in difflib.get_close_matches(glob.strip("/*"), sorted(runs), n=1)]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    more = f", and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    received = getattr(pattern, "__name__", "a function") if callable(pattern) else repr(pattern)
    return ValueError(
        f"the pattern must fit at least one path; received {received}.{hint} "
        f"Paths: {', '.join(paths[:_LISTED]) or 'none, the tree is empty'}{more}."
    )
