"""These layers convolve and add a bias: each one adds it to the result of its pair (forward, backward)."""

import jax.numpy as jnp

import jaxnn.layers.convolution as convolution
import jaxnn.layers.locally_connected_layer as locally_connected_layer
import jaxnn.layers.transposed_convolution as transposed_convolution
from jaxnn.initializers import fan_in_uniform
from jaxnn.layers.convolution_of_padded_images import of_sequences, with_padding_mode
from jaxnn.layers.hand_written import Layer
from jaxnn.layers.padding_modes import check_mode
from jaxnn.layers.window_geometry import NAMED_PADDINGS, SPACE, axes_of, check_padding, check_sizes

uniform = fan_in_uniform()


def Convolution(
    features: int,
    window: tuple[int, ...],
    *,
    strides=None,
    padding="SAME",
    dilation=None,
    groups: int = 1,
    padding_mode: str = "zeros",
    use_bias: bool = True,
    kernel_init=uniform,
) -> Layer:
    """Returns a layer that computes `convolve` and adds a bias, with `features` outputs at every position.

    `y = conv(x, kernel) + bias` and `dbias = sum_{n, i, j} dy`. The convolution and its gradients use the hand-written
    lowering that is the fastest for the shapes, or `canonical` where `convolve` would use XLA's. Group g of the outputs
    reads only group g of the inputs.

    Args:
      features: the number of outputs at a position.
      window: height and width of the kernel. With one size the layer takes sequences (batch, time, channels), and with
        three it takes volumes (batch, depth, height, width, channels).
      strides: the number of inputs from one window to the next; by default 1.
      padding: "SAME", "SAME_LOWER", "VALID" or two pairs (added before, added after).
      dilation: the number of inputs from one tap of the kernel to the next; by default 1.
      groups: divides `features` and the inputs' channels. With as many groups as channels the layer is depthwise.
      padding_mode: what the padding consists of, a mode of `pad`: "zeros", "reflect", "edge", "wrap" or "symmetric".
      use_bias: adds a bias. Before a batch normalization, which subtracts it again, a bias is useless.
      kernel_init: initializes the kernel (height, width, in / groups, features).

    Raises:
      ValueError: a size is less than 1, the groups do not divide, or the images have another shape.

    >>> import jax
    >>> layer = Convolution(6, (5, 5), padding="VALID")
    >>> params = layer.init(jax.random.key(0), jnp.ones((32, 28, 28, 1)))
    >>> layer.forward(params, jnp.ones((32, 28, 28, 1)))[0].shape
    (32, 24, 24, 6)
    """
    sizes = _sizes(window, strides, padding, dilation)
    check_mode(padding_mode)
    _check_groups(features, groups)
    pair = of_sequences(convolution) if len(window) == 1 else convolution
    pair = pair if padding_mode == "zeros" else with_padding_mode(pair, padding_mode)
    kernel_shape = _kernel_shape(features, window, groups)
    return _with_shared_bias(pair, {**sizes, "groups": groups}, kernel_shape, kernel_init, use_bias=use_bias)


def TransposedConvolution(
    features: int,
    window: tuple[int, ...],
    *,
    strides=None,
    padding="SAME",
    dilation=None,
    groups: int = 1,
    use_bias: bool = True,
    kernel_init=uniform,
) -> Layer:
    """Returns a layer that computes `convolve_transposed` and adds a bias; with strides, it enlarges the image.

    `y = conv_transposed(x, kernel) + bias` and `dbias = sum_{n, i, j} dy`. The arguments are those of `Convolution`,
    except that strides and dilation count outputs and that padding is as in `convolve_transposed`.

    >>> import jax
    >>> layer = TransposedConvolution(3, (4, 4), strides=(2, 2))
    >>> params = layer.init(jax.random.key(0), jnp.ones((1, 7, 7, 16)))
    >>> layer.forward(params, jnp.ones((1, 7, 7, 16)))[0].shape
    (1, 14, 14, 3)
    """
    sizes = _sizes(window, strides, padding, dilation, names=transposed_convolution.PADDINGS)
    _check_groups(features, groups)
    pair = of_sequences(transposed_convolution) if len(window) == 1 else transposed_convolution
    kernel_shape = _kernel_shape(features, window, groups)
    return _with_shared_bias(pair, {**sizes, "groups": groups}, kernel_shape, kernel_init, use_bias=use_bias)


def LocallyConnected(
    features: int,
    window: tuple[int, int],
    *,
    strides=(1, 1),
    padding="VALID",
    use_bias: bool = True,
    kernel_init=uniform,
) -> Layer:
    """Returns a layer that computes `connect_locally` and adds a bias; every position has its own kernel and bias.

    `Y_ij = P_ij K_ij + b_ij` and `db_ij = sum_n dy_nij`. The arguments are those of `Convolution`. `kernel_init` draws
    the kernel of every position like that of a dense layer from the window to `features`. `init` fixes the size of the
    images.

    >>> import jax
    >>> layer = LocallyConnected(4, (3, 3))
    >>> params = layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    >>> layer.forward(params, jnp.ones((5, 8, 8, 2)))[0].shape
    (5, 6, 6, 4)
    """
    check_sizes(window=window, strides=strides)
    check_padding(padding)
    _check_groups(features, 1)
    sizes = {"window": tuple(window), "strides": tuple(strides), "padding": padding}

    def kernel_shape(x_shape):
        return locally_connected_layer.kernel_shape(x_shape, features, **sizes)

    def init(key, x):
        rows, columns, inputs, _ = kernel_shape(x.shape)
        kernel = kernel_init(key, (inputs, rows * columns * features), x.dtype)  # so that the fan-in is the window
        kernel = kernel.reshape(inputs, rows, columns, features).transpose(1, 2, 0, 3)
        return {"kernel": kernel} | _zeros((rows, columns, features), x.dtype, use_bias)

    pair = _with_bias(locally_connected_layer, sizes, kernel_shape, summed=(0,), use_bias=use_bias)
    return Layer(init, *pair)


def _with_shared_bias(pair, sizes, kernel_shape, kernel_init, *, use_bias):
    """Returns the layer whose bias has one number for each feature."""

    def init(key, x):
        shape = kernel_shape(x.shape)
        return {"kernel": kernel_init(key, shape, x.dtype)} | _zeros(shape[-1], x.dtype, use_bias)

    summed = tuple(range(len(sizes["strides"]) + 1))
    return Layer(init, *_with_bias(pair, sizes, kernel_shape, summed=summed, use_bias=use_bias))


def _with_bias(pair, sizes, kernel_shape, *, summed, use_bias):
    """Returns `(forward, backward)` of the pair with a bias added; its gradient is summed over the axes `summed`."""

    def forward(params, x):
        kernel, expected = params["kernel"], kernel_shape(x.shape)
        if kernel.shape != expected:
            raise ValueError(
                f"`kernel` must have shape {expected} for images {x.shape}; received {kernel.shape}. Were the "
                "parameters made for images of another size or number of channels?"
            )
        y, residuals = pair.forward(kernel, x, **sizes)
        return y + jnp.expand_dims(params["bias"], summed) if use_bias else y, residuals

    def backward(residuals, dy):
        dkernel, dx = pair.backward(residuals, dy, **sizes)
        return ({"kernel": dkernel, "bias": dy.sum(axis=summed)} if use_bias else {"kernel": dkernel}), dx

    return forward, backward


def _sizes(window, strides, padding, dilation, *, names=NAMED_PADDINGS):
    """Returns the checked sizes of windows; strides and dilation are by default 1 along each axis of space."""
    axes = axes_of(window)
    strides, dilation = ((1,) * axes if given is None else given for given in (strides, dilation))
    check_sizes(axes=axes, window=window, strides=strides, dilation=dilation)
    check_padding(padding, names=names, axes=axes)
    return {"strides": tuple(strides), "padding": padding, "dilation": tuple(dilation)}


def _zeros(shape, dtype, use_bias):
    return {"bias": jnp.zeros(shape, dtype)} if use_bias else {}


def _kernel_shape(features, window, groups):
    """Returns the function from the shape of the images to that of the kernel."""
    space = SPACE[len(window)]

    def of(x_shape):
        if len(x_shape) != len(window) + 2 or x_shape[-1] % groups:
            raise ValueError(
                f"`x` must have shape (batch, {space}, channels) with channels a multiple of the {groups} group(s); "
                f"received {x_shape}"
            )
        return (*window, x_shape[-1] // groups, features)

    return of


def _check_groups(features, groups):
    if features < 1:
        raise ValueError(f"`features` must be at least 1; received {features}")
    if groups < 1 or features % groups:
        raise ValueError(f"`groups` must divide `features`; received {groups} groups of {features} features")
