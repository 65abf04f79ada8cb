"""Where the axes of an image batch lie in memory."""

import jax
from jax.experimental.layout import Layout, with_layout_constraint


def batch_minor(x):
    """The same NHWC array, kept on CPU with the batch as the fastest-varying axis; elsewhere XLA knows better.

    Between convolutions this turns every copy and every elementwise operation into long contiguous runs, whatever the
    number of channels.
    """
    return with_layout_constraint(x, Layout((3, 1, 2, 0))) if jax.default_backend() == "cpu" else x
