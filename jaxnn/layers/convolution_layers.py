"""These layers convolve and add a bias: each one adds it to the result of its pair (forward, backward)."""

import jax.numpy as jnp

import jaxnn.layers.convolution as convolution
import jaxnn.layers.locally_connected_layer as locally_connected_layer
import jaxnn.layers.transposed_convolution as transposed_convolution
from jaxnn.initializers import fan_in_uniform
from jaxnn.layers.hand_written import Layer
from jaxnn.layers.window_geometry import check_padding, check_sizes

uniform = fan_in_uniform()


def Convolution(
    features: int,
    window: tuple[int, int],
    *,
    strides=(1, 1),
    padding="SAME",
    dilation=(1, 1),
    groups: int = 1,
    kernel_init=uniform,
) -> Layer:
    """Returns a layer that computes `convolve` and adds a bias, with `features` outputs at every position.

    `y = conv(x, kernel) + bias` and `dbias = sum_{n, i, j} dy`. The convolution and its gradients use the hand-written
    lowering that is the fastest for the shapes, or `canonical` where `convolve` would use XLA's. Group g of the outputs
    reads only group g of the inputs.

    Args:
      features: the number of outputs at a position.
      window: height and width of the kernel.
      strides: the number of inputs from one window to the next.
      padding: "SAME", "SAME_LOWER", "VALID" or two pairs (zeros before, zeros after).
      dilation: the number of inputs from one tap of the kernel to the next.
      groups: divides `features` and the inputs' channels. With as many groups as channels the layer is depthwise.
      kernel_init: initializes the kernel (height, width, in / groups, features).

    Raises:
      ValueError: a size is less than 1, the groups do not divide, or the images have another shape.

    >>> import jax
    >>> layer = Convolution(6, (5, 5), padding="VALID")
    >>> params = layer.init(jax.random.key(0), jnp.ones((32, 28, 28, 1)))
    >>> layer.forward(params, jnp.ones((32, 28, 28, 1)))[0].shape
    (32, 24, 24, 6)
    """
    check_sizes(window=window, strides=strides, dilation=dilation)
    check_padding(padding)
    if features < 1 or groups < 1 or features % groups:
        raise ValueError(f"`groups` must divide `features`; received {groups} groups of {features} features")
    sizes = {"strides": tuple(strides), "padding": padding, "dilation": tuple(dilation), "groups": groups}

    def kernel_shape(x_shape):
        if len(x_shape) != 4 or x_shape[3] % groups:
            raise ValueError(
                f"`x` must have shape (batch, height, width, channels) with channels a multiple of the {groups} "
                f"group(s); received {x_shape}"
            )
        return (*window, x_shape[3] // groups, features)

    return _with_shared_bias(convolution, sizes, kernel_shape, kernel_init)


def TransposedConvolution(
    features: int, window: tuple[int, int], *, strides=(1, 1), padding="SAME", kernel_init=uniform
) -> Layer:
    """Returns a layer that computes `convolve_transposed` and adds a bias; with strides, it enlarges the image.

    `y = conv_transposed(x, kernel) + bias` and `dbias = sum_{n, i, j} dy`. The arguments are those of `Convolution`,
    except that strides count outputs and that padding is as in `convolve_transposed`.

    >>> import jax
    >>> layer = TransposedConvolution(3, (4, 4), strides=(2, 2))
    >>> params = layer.init(jax.random.key(0), jnp.ones((1, 7, 7, 16)))
    >>> layer.forward(params, jnp.ones((1, 7, 7, 16)))[0].shape
    (1, 14, 14, 3)
    """
    check_sizes(window=window, strides=strides)
    check_padding(padding, names=transposed_convolution.PADDINGS)
    _check_features(features)

    def kernel_shape(x_shape):
        if len(x_shape) != 4:
            raise ValueError(f"`x` must have shape (batch, height, width, channels); received {x_shape}")
        return (*window, x_shape[3], features)

    sizes = {"strides": tuple(strides), "padding": padding}
    return _with_shared_bias(transposed_convolution, sizes, kernel_shape, kernel_init)


def LocallyConnected(
    features: int, window: tuple[int, int], *, strides=(1, 1), padding="VALID", kernel_init=uniform
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
    _check_features(features)
    sizes = {"window": tuple(window), "strides": tuple(strides), "padding": padding}

    def kernel_shape(x_shape):
        return locally_connected_layer.kernel_shape(x_shape, features, **sizes)

    def init(key, x):
        rows, columns, inputs, _ = kernel_shape(x.shape)
        kernel = kernel_init(key, (inputs, rows * columns * features), x.dtype)  # so that the fan-in is the window
        kernel = kernel.reshape(inputs, rows, columns, features).transpose(1, 2, 0, 3)
        return {"kernel": kernel, "bias": jnp.zeros((rows, columns, features), x.dtype)}

    return Layer(init, *_with_bias(locally_connected_layer, sizes, kernel_shape, summed=(0,)))


def _with_shared_bias(pair, sizes, kernel_shape, kernel_init):
    """Returns the layer whose bias has one number for each feature."""

    def init(key, x):
        shape = kernel_shape(x.shape)
        return {"kernel": kernel_init(key, shape, x.dtype), "bias": jnp.zeros(shape[-1], x.dtype)}

    return Layer(init, *_with_bias(pair, sizes, kernel_shape, summed=(0, 1, 2)))


def _with_bias(pair, sizes, kernel_shape, *, summed):
    """Returns `(forward, backward)` of the pair with a bias added; its gradient is summed over the axes `summed`."""

    def forward(params, x):
        kernel, bias, expected = params["kernel"], params["bias"], kernel_shape(x.shape)
        if kernel.shape != expected:
            raise ValueError(
                f"`kernel` must have shape {expected} for images {x.shape}; received {kernel.shape}. Were the "
                "parameters made for images of another size or number of channels?"
            )
        y, residuals = pair.forward(kernel, x, **sizes)
        return y + jnp.expand_dims(bias, summed), residuals

    def backward(residuals, dy):
        dkernel, dx = pair.backward(residuals, dy, **sizes)
        return {"kernel": dkernel, "bias": dy.sum(axis=summed)}, dx

    return forward, backward


def _check_features(features):
    if features < 1:
        raise ValueError(f"`features` must be at least 1; received {features}")
