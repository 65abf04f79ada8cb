"""The gradient check compares a gradient with central differences in float64, coordinate by coordinate.

    n = (f(x + h e) - f(x - h e)) / 2h        relative error |a - n| / max(|a|, |n|)        of the analytic slope a

The function is also evaluated at half the step. Where it is smooth, the slopes of both steps agree, and the second
difference halves with the step. Where a kink (of ReLU, of a maximum) lies within the step, one of these two fails by an
amount of the order of the jump in the slope. There the difference is wrong, not the gradient, so the coordinate is not
judged.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

EPS, TINY = float(np.finfo(np.float64).eps), float(np.finfo(np.float64).tiny)
ROUNDING = 100 * EPS  # relative to the function's value; a difference cannot resolve less
KINK = 1e-6  # a jump of the slope below this share of the slope is not a kink
EXPLAINED = 3.0  # a kink causes an error of at most 2.5 times the measured jump, wherever in the step it lies
NUMBERS = 2**22  # numbers in the shifted copies of the arguments that are held at once
MOST_AT_ONCE = 256

VERDICTS = ((1e-7, "good"), (1e-4, "okay with kinks"), (1e-2, "uncomfortable"), (math.inf, "wrong"))


class LeafCheck(NamedTuple):
    """Describes one array: how many coordinates were checked, and the worst of those that could be judged."""

    name: str
    """Is the path of the array, such as `layers/0/kernel`."""
    size: int
    checked: int
    kinks: tuple[tuple[int, ...], ...]
    """Lists the coordinates that were checked but not judged, because a kink lies within the step."""
    error: float
    """Is the largest relative error; it is inf if a slope is not finite."""
    worst: str
    """Is the coordinate of the largest error, such as `layers/0/kernel[3, 2]`."""
    analytic: float
    numeric: float

    @property
    def verdict(self) -> str:
        """Returns the word of CS231n for the error, or "not judged" if no coordinate could be judged."""
        if self.checked == len(self.kinks):
            return "not judged"
        return next((word for limit, word in VERDICTS if self.error < limit), "wrong")


class GradientCheck(NamedTuple):
    """Holds the result of `check_gradient`, with one entry for each array."""

    leaves: tuple[LeafCheck, ...]
    limit: float

    @property
    def worst(self) -> LeafCheck:
        """Returns the entry of the array with the largest error."""
        return max(self.leaves, key=lambda leaf: leaf.error)

    @property
    def passed(self) -> bool:
        """Returns whether every judged coordinate is below the limit and at least half could be judged."""
        kinks, checked = sum(len(leaf.kinks) for leaf in self.leaves), sum(leaf.checked for leaf in self.leaves)
        return self.worst.error < self.limit and 2 * kinks <= checked


def check_gradient(
    function: Callable, arguments, *, gradient=None, step: float = EPS ** (1 / 3), samples=None, key=None, limit=1e-4
) -> GradientCheck:
    """Compares a gradient with central differences, in float64, in one compiled program.

    The relative errors are named as in CS231n: above 1e-2 wrong; above 1e-4 uncomfortable; below 1e-4 okay for
    functions with kinks; below 1e-7 good. Slopes that differ by less than the rounding error of a difference,
    100 eps |f| / h, count as equal, because a difference cannot tell such slopes apart.

    Args:
      function: `function(arguments) -> scalar`, traceable; it is evaluated 4 times for each coordinate.
      arguments: a pytree; floating arrays are cast to float64 and differentiated, the others stay as they are.
      gradient: the gradient to check: a pytree like the arguments, or a function of them that returns one (it then runs
        in float64); the default is `jax.grad(function)`.
      step: h; it is multiplied by max(1, |x|) for each coordinate x.
      samples: the number of coordinates of each array, drawn with `key` and spread evenly over it; default all.
      limit: the relative error below which the check has `passed`.

    Raises:
      ValueError: if the function does not return one finite float64 number, the gradient has other shapes, no array is
        floating, `step` is not positive, or `samples` is below 1.

    >>> params = {"w": jnp.array([1.0, 2.0])}
    >>> checked = check_gradient(lambda p: jnp.sum(p["w"] ** 3), params, gradient={"w": jnp.array([3.0, 12.1])})
    >>> checked.passed, checked.worst.worst, round(checked.worst.numeric, 6)
    (False, 'w[1]', 12.0)
    """
    if not step > 0:
        raise ValueError(f"`step` must be greater than 0; received {step}.")
    with jax.enable_x64(True):
        x, shapes, rebuild = _as_vector(arguments)
        f = lambda x: function(rebuild(x))
        _check_output(jax.eval_shape(f, x))
        to_check = gradient(rebuild(x)) if callable(gradient) else gradient
        a = jax.jit(jax.grad(f))(x) if gradient is None else _given(to_check, shapes)
        chosen = _choose(shapes, samples, jax.random.key(0) if key is None else key)
        starts = np.cumsum([0, *map(math.prod, shapes.values())])
        positions = np.concatenate([start + indices for start, indices in zip(starts, chosen, strict=False)])
        slopes = _compare(f, x, np.asarray(a)[positions], positions, step)
    columns = [np.split(column, np.cumsum([*map(len, chosen)])[:-1]) for column in slopes]
    leaves = map(_leaf, shapes.items(), chosen, map(_Slopes._make, zip(*columns, strict=True)))
    return GradientCheck(tuple(leaves), limit)


def format_gradient_check(checked: GradientCheck) -> str:
    """Formats the check as a table for a terminal, with the worst coordinate and both its slopes below it.

    >>> params = {"b": jnp.array(3.0), "w": jnp.array([1.0, 2.0])}
    >>> wrong = {"b": jnp.array(1.0), "w": jnp.array([3.0, 12.1])}
    >>> print(format_gradient_check(check_gradient(lambda p: jnp.sum(p["w"] ** 3) + p["b"], params, gradient=wrong)))
    array  checked  kinks  relative error  worst  verdict
    -----------------------------------------------------------
    b       1 of 1      0               0  b      good
    w       2 of 2      0          0.0083  w[1]   uncomfortable
    -----------------------------------------------------------
    FAILED at w[1]: analytic 12.1, by differences 12
    """
    header = ("array", "checked", "kinks", "relative error", "worst", "verdict")
    cells = [header, *map(_cells, checked.leaves)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{c:{side}{w}}" for c, side, w in zip(row, "<>>><<", widths, strict=True)) for row in cells]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    worst, outcome = checked.worst, "passed; worst" if checked.passed else "FAILED"
    last = f"{outcome} at {worst.worst}: analytic {worst.analytic:.6g}, by differences {worst.numeric:.6g}"
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, last])


def _cells(leaf: LeafCheck) -> tuple[str, ...]:
    of = f"{leaf.checked} of {leaf.size}"
    return leaf.name, of, str(len(leaf.kinks)), f"{leaf.error:.2g}", leaf.worst, leaf.verdict


# ---------------------------------------------------------------------------------------------------- the differences


class _Slopes(NamedTuple):
    """Holds arrays over the chosen coordinates."""

    analytic: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    is_kink: np.ndarray


@np.errstate(invalid="ignore")  # slopes that are not finite get the error inf at the end
def _compare(f, x, a, positions, step) -> _Slopes:
    """Returns both slopes at the positions, the relative error, and whether a kink explains it."""
    h = step * np.maximum(1, np.abs(np.asarray(x)[positions]))
    here, (ahead, behind, half_ahead, half_behind) = _evaluate(f, x, positions, h)
    n, n_half = (ahead - behind) / (2 * h), (half_ahead - half_behind) / h
    bend, bend_half = (ahead - 2 * here + behind) / h, (half_ahead - 2 * here + half_behind) / (h / 2)
    jump = np.maximum(np.abs(n - n_half), np.abs(2 * bend_half - bend))  # 0 where f is smooth
    difference, size = np.abs(a - n), np.maximum(np.abs(a), np.abs(n))
    rounding = ROUNDING * np.abs(here) / h
    is_kink = (jump > np.maximum(rounding, KINK * size)) & (difference > rounding) & (difference <= EXPLAINED * jump)
    error = np.where(difference <= rounding, 0.0, difference / np.maximum(size, TINY))
    return _Slopes(a, n, np.where(np.isfinite(a) & np.isfinite(n), error, np.inf), is_kink)


def _evaluate(f, x, positions, h):
    """Returns f(x), and f at +h, -h, +h/2 and -h/2 from x along each position, (4, positions)."""

    def around(moved):
        position, h = moved
        return jnp.stack([f(x.at[position].add(share * h)) for share in (1, -1, 0.5, -0.5)])

    at_once = max(1, min(MOST_AT_ONCE, NUMBERS // (4 * x.size)))
    program = jax.jit(lambda x, moves: (f(x), jax.lax.map(around, moves, batch_size=at_once).T))
    here, around_it = jax.device_get(program(x, (jnp.asarray(positions), jnp.asarray(h))))
    if not np.isfinite(here):
        raise ValueError(f"`function` must be finite at `arguments`; received {here}. Is it nan before any step?")
    return here, around_it


def _leaf(named_shape, indices, slopes: _Slopes) -> LeafCheck:
    name, shape = named_shape
    coordinate = lambda index: tuple(int(i) for i in np.unravel_index(index, shape))
    errors = np.where(slopes.is_kink, 0.0, slopes.error)
    worst = int(errors.argmax()) if len(errors) else None
    where = "" if worst is None else f"{name}{list(coordinate(indices[worst])) or ''}"
    at_worst = [0.0] * 3 if worst is None else [float(c[worst]) for c in (errors, slopes.analytic, slopes.numeric)]
    kinks = tuple(coordinate(index) for index in indices[slopes.is_kink])
    return LeafCheck(name, math.prod(shape), len(indices), kinks, at_worst[0], where, *at_worst[1:])


# ------------------------------------------------------------------------------------------ the arguments as one vector


def _as_vector(arguments):
    """Returns the floating arrays as one float64 vector, their shapes by name, and a function back to the arguments."""
    paths, structure = jax.tree.flatten_with_path(arguments)
    is_floating = [jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for _, leaf in paths]
    floating = {_name(path): leaf for (path, leaf), yes in zip(paths, is_floating, strict=True) if yes}
    shapes = {name: np.shape(leaf) for name, leaf in floating.items()}
    ends = np.cumsum([*map(math.prod, shapes.values())])
    if not ends.size or not ends[-1]:
        raise ValueError("`arguments` must have a floating array to differentiate by; received none.")

    def rebuild(x):
        moved = map(jnp.reshape, jnp.split(x, ends[:-1]), shapes.values())
        return structure.unflatten(
            [next(moved) if yes else leaf for (_, leaf), yes in zip(paths, is_floating, strict=True)]
        )

    x = np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in floating.values()])
    return jnp.asarray(x), shapes, rebuild


def _given(gradient, shapes) -> np.ndarray:
    """Returns the gradient to check as a vector; entries for arrays that are not differentiated are ignored."""
    given = {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(gradient)}
    for name, shape in shapes.items():
        if name not in given or np.shape(given[name]) != shape:
            received = (
                f"shape {np.shape(given[name])}" if name in given else f"arrays at {', '.join(given) or 'no path'}"
            )
            raise ValueError(
                f"`gradient` must have an array of shape {shape} at {name}, like `arguments`; received {received}."
            )
    return np.concatenate([np.ravel(np.asarray(given[name], np.float64)) for name in shapes])


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "arguments"


def _choose(shapes, samples, key) -> list[np.ndarray]:
    """Returns the flat indices of the coordinates to check, for each array.

    These are all coordinates, or one drawn from each of `samples` equal stretches.
    """
    if samples is not None and samples < 1:
        raise ValueError(f"`samples` must be at least 1; received {samples}.")

    def of_array(i, size):
        if samples is None or samples >= size:
            return np.arange(size)
        edges = np.arange(samples + 1) * size // samples
        share = jax.random.uniform(jax.random.fold_in(key, i), (samples,))
        return edges[:-1] + np.floor(share * np.diff(edges)).astype(int)

    return [of_array(i, math.prod(shape)) for i, shape in enumerate(shapes.values())]


def _check_output(output) -> None:
    shape = getattr(output, "shape", jax.tree.structure(output))
    if shape != () or not hasattr(output, "dtype"):
        raise ValueError(
            f"`function` must return one number; received {shape}. Project it by fixed random weights c: "
            "lambda p: jnp.sum(c * function(p))."
        )
    if output.dtype != jnp.float64:
        raise ValueError(
            f"`function` must return float64 for float64 arguments; received {output.dtype}, too coarse for "
            "differences. Does it cast inside, such as by a model's `dtype`?"
        )
