"""A convolution of sequences, and one of images that are padded by more than zeros, are made from one of images.

Each function takes a pair (forward, backward) and returns another.
"""

from types import SimpleNamespace

import jaxnn.layers.padding_modes as padding_modes
from jaxnn.layers.window_geometry import explicit_padding


def of_sequences(pair):
    """Returns the pair for sequences (batch, time, in): a sequence is an image of height 1."""

    def as_images(sizes):
        padding = sizes["padding"] if isinstance(sizes["padding"], str) else ((0, 0), *sizes["padding"])
        spread = {name: (1, *sizes[name]) for name in ("strides", "dilation")}
        return {**sizes, **spread, "padding": padding}

    def forward(kernel, x, **sizes):
        y, residuals = pair.forward(kernel[None], x[:, None], **as_images(sizes))
        return y[:, 0], residuals

    def backward(residuals, dy, **sizes):
        dkernel, dx = pair.backward(residuals, dy[:, None], **as_images(sizes))
        return dkernel[0], dx[:, 0]

    return SimpleNamespace(forward=forward, backward=backward)


def with_padding_mode(pair, mode):
    """Returns the pair that pads by a mode of `pad`, and then convolves what is padded."""

    def forward(kernel, x, *, strides, padding, dilation, groups):
        window = kernel.shape[:-2]
        widths = explicit_padding(x.shape[1:-1], window, strides=strides, padding=padding, dilation=dilation)
        wide, edges = padding_modes.forward((), x, widths=widths, mode=mode)
        y, residuals = pair.forward(kernel, wide, strides=strides, padding="VALID", dilation=dilation, groups=groups)
        return y, (residuals, edges)

    def backward(residuals, dy, *, padding, **sizes):
        residuals, edges = residuals
        dkernel, dwide = pair.backward(residuals, dy, padding="VALID", **sizes)
        return dkernel, padding_modes.backward(edges, dwide)[1]

    return SimpleNamespace(forward=forward, backward=backward)
