"""This module counts the multiply-adds of a traced program by named scope; papers call them FLOPs.

Only matrix products and convolutions count. With `K` the number of elements of a kernel, a convolution has
`(batch x output pixels) K` multiply-adds, and a convolution with a dilated input (a transposed convolution) has
`(batch x input pixels) K`. Every tap counts, including those that fall on padding; the zeros that are put between the
pixels do not. The body of a `scan` counts once for each iteration. Of the branches of a condition, the most expensive
one counts. The body of a `while` counts once, because its number of iterations is unknown.
"""

import math
from collections import Counter

from jax.extend.core import jaxprs_in_params


def count_multiply_adds(jaxpr, scope: str = "") -> Counter[str]:
    """Counts the multiply-adds of a jaxpr: scope (such as "LeNet5/conv1") -> count.

    >>> import jax
    >>> count_multiply_adds(jax.make_jaxpr(lambda a: a @ a.T)(jax.ShapeDtypeStruct((2, 3), "float32")).jaxpr)
    Counter({'': 12})
    """
    counts = Counter()
    for equation in jaxpr.eqns:
        counts.update(_of_equation(equation, f"{scope}/{equation.source_info.name_stack}".strip("/")))
    return counts


def has_while(jaxpr) -> bool:
    """Returns whether the program has a loop of unknown length."""
    return any(
        equation.primitive.name == "while" or any(map(has_while, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
    )


def _of_equation(equation, scope) -> Counter[str]:
    name, params = equation.primitive.name, equation.params
    if name in _COUNTS:
        shapes = [variable.aval.shape for variable in (*equation.invars[:2], equation.outvars[0])]
        return Counter({scope: _COUNTS[name](*shapes, params)})
    bodies = [count_multiply_adds(inner, scope) for inner in jaxprs_in_params(params)]
    if name == "cond":
        return max(bodies, key=Counter.total)
    turns = params["length"] if name == "scan" else 1
    return Counter({scope: turns * n for scope, n in sum(bodies, Counter()).items()})


def _of_product(left, right, out, params):
    (contracted, _), _ = params["dimension_numbers"]
    return math.prod(out) * math.prod(left[axis] for axis in contracted)


def _of_convolution(left, kernel, out, params):
    numbers, is_transposed = params["dimension_numbers"], max(params["lhs_dilation"], default=1) > 1
    image, (batch, _, *pixels) = (left, numbers.lhs_spec) if is_transposed else (out, numbers.out_spec)
    return math.prod(image[axis] for axis in (batch, *pixels)) * math.prod(kernel)


_COUNTS = {"dot_general": _of_product, "conv_general_dilated": _of_convolution}
