"""A model summary lists shapes, parameters and multiply-adds of each layer, without computing any values.

The model is traced on the shape of one example. Flax puts every call of a module into a named scope, so the scope of
each matrix product and convolution in the program shows to which layer it belongs.
"""

import inspect
import math
import re
from collections import Counter
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.diagnostics.multiply_adds import count_multiply_adds, has_while
from jaxnn.layers import convolve

LONGEST_NAME = 36  # of a layer in the table; it leaves room for the numbers in 100 columns

NOTHING_LEFT = "a layer is larger than what is left of the input there"

Path = tuple[str, ...]


class Row(NamedTuple):
    """Describes a layer; the numbers are its own, without those of its children.

    `output` has no batch axis, and is None where Flax does not report it.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int
    multiply_adds: int


class Summary(NamedTuple):
    """Holds the layers in the order of their calls, and the totals; `state` counts numbers that are not trained."""

    model: str
    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    state: int
    multiply_adds: int
    parameter_bytes: int
    has_while: bool
    """Is True if there is a loop of unknown length, whose body was counted once."""


def summarize(model, input_shape: tuple[int, ...], *, dtype=jnp.float32) -> Summary:
    """Summarizes a Flax linen module; multiply-adds are those of the forward pass for one example.

    A module has a row if it has parameters or products of its own, or contains no other module. Multiply-adds are
    defined in `jaxnn.diagnostics.multiply_adds`. A model with jaxnn's convolution is counted with XLA's plain
    convolution, without the zeros that the lowering for CPU multiplies.

    Args:
      model: an instance, such as `jaxnn.models.LeNet5()`.
      input_shape: the shape of one example, without the batch axis; images are (height, width, channels).
      dtype: the dtype of the input.

    Raises:
      ValueError: if `model` is not a module, or cannot take inputs of this shape.

    >>> from jaxnn.models import MLP
    >>> summary = summarize(MLP(features=(128,)), (28, 28, 1))
    >>> summary.parameters, summary.multiply_adds
    (101770, 101632)
    >>> summary.rows[0]
    Row(name='hidden1', kind='Dense', output=(128,), parameters=100480, multiply_adds=100352)
    """
    name, input_shape = _checked(model, input_shape)
    try:
        variables, kinds, jaxpr, outputs = _trace(_with_plain_convolution(model), input_shape, dtype)
    except Exception as error:
        raise ValueError(_refusal(name, input_shape, _reason(error))) from None
    rows = _rows(variables.get("params", {}), kinds, count_multiply_adds(jaxpr), outputs)
    if any(0 in (row.output or ()) for row in rows):
        raise ValueError(_refusal(name, input_shape, NOTHING_LEFT))
    params, everything = jax.tree.leaves(variables.get("params", {})), jax.tree.leaves(variables)
    return Summary(
        model=name,
        input_shape=input_shape,
        rows=rows,
        parameters=_size(params),
        state=_size(everything) - _size(params),
        multiply_adds=sum(row.multiply_adds for row in rows),
        parameter_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in params),
        has_while=has_while(jaxpr),
    )


def format_summary(summary: Summary) -> str:
    """Formats the summary as a table for a terminal.

    >>> from jaxnn.models import SoftmaxRegression
    >>> print(format_summary(summarize(SoftmaxRegression(), (28, 28, 1))))
    SoftmaxRegression on 28 x 28 x 1
    <BLANKLINE>
    layer   kind   output  parameters  multiply-adds
    ------------------------------------------------
    logits  Dense      10       7 850          7 840
    ------------------------------------------------
    total                       7 850          7 840
    <BLANKLINE>
    parameters take 30.7 KiB; multiply-adds are of one example, forward
    """
    header = ("layer", "kind", "output", "parameters", "multiply-adds")
    total = ("total", "", "", _grouped(summary.parameters), _grouped(summary.multiply_adds))
    cells = [header, *map(_cells, summary.rows), total]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(_align, row, widths, "<<>>>")).rstrip() for row in cells]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    table = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    return "\n".join([f"{summary.model} on {_shape(summary.input_shape)}", "", *table, "", *_notes(summary)])


def _checked(model, input_shape) -> tuple[str, tuple[int, ...]]:
    if isinstance(model, type) or not (hasattr(model, "init") and hasattr(model, "clone")):
        raise ValueError(f"`model` must be a Flax linen module; received {model!r}. Pass an instance of one.")
    name, input_shape = type(model).__name__, tuple(input_shape)
    if not all(isinstance(size, int) and size > 0 for size in input_shape):
        raise ValueError(_refusal(name, input_shape, "sizes must be positive integers"))
    return name, input_shape


def _trace(model, input_shape, dtype):
    """Returns `(variables, kinds, jaxpr, outputs)`, traced on shapes only.

    `kinds` has the class of every module that was called.
    """
    train = {"train": False} if "train" in inspect.signature(type(model).__call__).parameters else {}
    kinds: dict[Path, str] = {(): type(model).__name__}

    def capture(module, _method) -> bool:
        kinds.setdefault(module.path, type(module).__name__)
        return True

    x = jax.ShapeDtypeStruct((1, *input_shape), dtype)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, **train), x)
    apply = partial(model.apply, capture_intermediates=capture, mutable=["intermediates"], **train)
    jaxpr, (_, captured) = jax.make_jaxpr(apply, return_shape=True)(variables, x)
    outputs = {path: _output(captured.get("intermediates", {}), path) for path in kinds}
    return variables, kinds, jaxpr.jaxpr, outputs


def _with_plain_convolution(model):
    convolution = getattr(model, "convolution", None)
    is_ours = getattr(convolution, "func", convolution) is convolve
    return model.clone(convolution=partial(convolve, lowering="xla")) if is_ours else model


def _output(captured, path: Path) -> tuple[int, ...] | None:
    """Returns the shape of a module's output; None inside lifted transformations.

    If there are several outputs (a carry and an output), it is the shape of the last.
    """
    for name in (*path, "__call__"):
        captured = captured.get(name, {})
    leaves = jax.tree.leaves(captured)
    return leaves[-1].shape[1:] if leaves else None


def _rows(params, kinds, multiply_adds, outputs) -> tuple[Row, ...]:
    sizes, products = Counter(), Counter()
    for keys, leaf in jax.tree.leaves_with_path(params):
        sizes[_owner([str(getattr(key, "key", key)) for key in keys], kinds)] += leaf.size
    for scope, count in multiply_adds.items():
        products[_owner([word.split(".")[0] for word in re.split("[/()]", scope)], kinds)] += count
    parents = {path[:depth] for path in kinds for depth in range(len(path))}
    return tuple(
        Row("/".join(path) or kind, kind, outputs[path], sizes[path], products[path])
        for path, kind in kinds.items()
        if sizes[path] or products[path] or path not in parents
    )


def _owner(words: list[str], paths) -> Path:
    """Returns the module with the longest path found in order among the words; of equally long ones, the last to end.

    A scope has more words than its module's path has: the model itself, transformations ("vmap"), equations of einsum.

    >>> _owner(["LSTM", "rnn", "cell", "dense"], [(), ("rnn",), ("cell",), ("cell", "dense"), ("dense",)])
    ('cell', 'dense')
    >>> _owner(["LSTM", "rnn", "cell"], [(), ("rnn",), ("cell",)])
    ('cell',)
    """
    ends = {path: _end(path, words) for path in paths}
    return max((path for path in paths if ends[path] is not None), key=lambda path: (len(path), ends[path]))


def _end(path: Path, words: list[str]) -> int | None:
    """Returns where the path ends in the words if each name is matched as early as possible; None if it is absent."""
    end = 0
    for name in path:
        if name not in words[end:]:
            return None
        end = words.index(name, end) + 1
    return end


def _reason(error: Exception) -> str:
    """Returns the first line of the error's message.

    A ZeroDivisionError means that the input is empty: initializers divide by its size.
    """
    if isinstance(error, ZeroDivisionError):
        return NOTHING_LEFT
    return (str(error).strip().split("\n")[0] or type(error).__name__).rstrip(".")


def _refusal(name, input_shape, reason) -> str:
    return (
        f"{name} cannot take inputs of `input_shape` {input_shape}: {reason}. "
        "Give the shape of one example, without the batch axis; images are (height, width, channels)."
    )


def _size(leaves) -> int:
    return sum(math.prod(leaf.shape) for leaf in leaves)


def _cells(row: Row) -> Path:
    name = row.name if len(row.name) <= LONGEST_NAME else "..." + row.name[3 - LONGEST_NAME :]
    return name, row.kind, _shape(row.output), _grouped(row.parameters), _grouped(row.multiply_adds)


def _shape(shape) -> str:
    return "" if shape is None else " x ".join(map(str, shape)) or "scalar"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ") if number else "-"


def _align(cell: str, width: int, side: str) -> str:
    return f"{cell:{side}{width}}"


def _notes(summary: Summary) -> list[str]:
    notes = [f"parameters take {_bytes(summary.parameter_bytes)}; multiply-adds are of one example, forward"]
    if summary.state:
        notes.append(f"{_grouped(summary.state)} numbers more are kept but not trained (running statistics)")
    if summary.has_while:
        notes.append("a loop whose length depends on the data was counted as one turn")
    return notes


def _bytes(count: float) -> str:
    """Formats a size so that people can read it.

    >>> _bytes(61706 * 4), _bytes(500), _bytes(0)
    ('241 KiB', '500 B', '0 B')
    """
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1024, units[1:]
    return f"{count:.3g} {units[0]}"
