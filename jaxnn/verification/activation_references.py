"""These rows compare the activations with their references."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from jaxnn import activations
from jaxnn.verification.arguments import normal
from jaxnn.verification.rows import FunctionRow, exact

_images = normal(3, 5)
_shared_slope_arguments = lambda rng, batch: (rng.normal(size=(batch, 3, 5)), np.asarray(rng.uniform(0.1, 0.5)))
_slope_arguments = lambda rng, batch: (rng.normal(size=(batch, 3, 5)), rng.uniform(0.1, 0.5, size=5))


def _row(name, oracle, against, *, arguments=_images, **row):
    """The row of an activation whose oracle is a JAX function; `ours` is `jaxnn.activations.<name>` unless given."""
    public = getattr(activations, name.partition(",")[0])
    keywords = {"ours": public, "differentiable_oracle": True, **row}
    return FunctionRow(name, public, oracle=oracle, against=against, arguments=arguments, **keywords)


def _flax_prelu(x, slope):
    return nn.PReLU(param_dtype=x.dtype).apply({"params": {"negative_slope": slope}}, x)


def _leaky_in_each_channel(x, slope):
    return jax.vmap(jax.nn.leaky_relu, in_axes=(-1, 0), out_axes=-1)(x, slope)


def _largest_of_slices(x, pieces):
    return jnp.max(jnp.stack([x[..., k::pieces] for k in range(pieces)]), axis=0)


def _bumps(rng, batch):
    return rng.normal(size=(batch, 4)), rng.normal(size=(3, 4)), rng.uniform(0.8, 2.0, size=3)


def _ratio_of_densities(x, centres, widths):
    """Each bump as a product of normal densities, divided by its own maximum."""
    log_density = norm.logpdf(x[:, None], centres[None], widths[None, :, None])
    return jnp.exp((log_density - norm.logpdf(0 * x[:, None], 0, widths[None, :, None])).sum(axis=-1))


_own = (activations.relu, activations.tanh, activations.relu, activations.silu, activations.tanh)
_theirs = (jax.nn.relu, jnp.tanh, jax.nn.relu, jax.nn.silu, jnp.tanh)

ACTIVATIONS = [
    _row("identity", jax.nn.identity, "jax.nn.identity"),
    _row("threshold", lambda x: np.heaviside(exact(x), 1.0), "numpy.heaviside", differentiable_oracle=False),
    _row("sigmoid", jax.nn.sigmoid, "jax.nn.sigmoid"),
    _row("tanh", lambda x: 2 * jax.nn.sigmoid(2 * x) - 1, "jax.nn.sigmoid"),
    _row("scaled_tanh", lambda x: 1.7159 * np.tanh(exact(x) * 2 / 3), "NumPy", differentiable_oracle=False),
    _row("relu", jax.nn.relu, "jax.nn.relu"),
    _row("leaky_relu", jax.nn.leaky_relu, "jax.nn.leaky_relu"),
    _row(
        "leaky_relu, slope 0.2",
        partial(jax.nn.leaky_relu, negative_slope=0.2),
        "jax.nn.leaky_relu",
        ours=partial(activations.leaky_relu, negative_slope=0.2),
    ),
    _row("prelu", _flax_prelu, "flax.linen.PReLU", arguments=_shared_slope_arguments),
    _row(
        "prelu, per channel",
        _leaky_in_each_channel,
        "jax.nn.leaky_relu",
        arguments=_slope_arguments,
    ),
    _row("elu", jax.nn.elu, "jax.nn.elu"),
    _row("elu, alpha 0.5", partial(jax.nn.elu, alpha=0.5), "jax.nn.elu", ours=partial(activations.elu, alpha=0.5)),
    _row("celu", jax.nn.celu, "jax.nn.celu"),
    _row("celu, alpha 0.5", partial(jax.nn.celu, alpha=0.5), "jax.nn.celu", ours=partial(activations.celu, alpha=0.5)),
    _row("selu", jax.nn.selu, "jax.nn.selu"),
    _row("rrelu", partial(jax.nn.leaky_relu, negative_slope=11 / 48), "jax.nn.leaky_relu"),
    _row("relu6", jax.nn.relu6, "jax.nn.relu6"),
    _row(
        "threshold_linear",
        lambda x: jnp.select([x > 0.3], [x], 2.0),
        "jax.numpy.select",
        ours=partial(activations.threshold_linear, above=0.3, otherwise=2.0),
    ),
    _row("hard_sigmoid", jax.nn.hard_sigmoid, "jax.nn.hard_sigmoid"),
    _row("hard_swish", jax.nn.hard_swish, "jax.nn.hard_swish"),
    _row("hard_tanh", jax.nn.hard_tanh, "jax.nn.hard_tanh"),
    _row("mish", jax.nn.mish, "jax.nn.mish"),
    _row("softsign", jax.nn.soft_sign, "jax.nn.soft_sign"),
    _row("tanh_shrink", lambda x: exact(x) - np.tanh(exact(x)), "NumPy", differentiable_oracle=False),
    _row("soft_shrink", lambda x: x - jnp.clip(x, -0.5, 0.5), "jax.numpy.clip"),
    _row("hard_shrink", lambda x: x * (x**2 > 0.25), "jax.numpy"),
    _row("log_sigmoid", jax.nn.log_sigmoid, "jax.nn.log_sigmoid"),
    _row("softmin", lambda x: jax.nn.softmax(-x), "jax.nn.softmax"),
    _row("glu", jax.nn.glu, "jax.nn.glu", arguments=normal(3, 6)),
    _row(
        "glu, axis 1",
        partial(jax.nn.glu, axis=1),
        "jax.nn.glu",
        ours=partial(activations.glu, axis=1),
        arguments=normal(4, 5),
    ),
    _row("gelu", partial(jax.nn.gelu, approximate=False), "jax.nn.gelu"),
    _row("gelu, tanh", jax.nn.gelu, "jax.nn.gelu", ours=partial(activations.gelu, approximate=True)),
    _row("silu", jax.nn.silu, "jax.nn.silu"),
    _row("softplus", jax.nn.softplus, "jax.nn.softplus"),
    _row("softmax", jax.nn.softmax, "jax.nn.softmax"),
    _row(
        "softmax, axis 1", partial(jax.nn.softmax, axis=1), "jax.nn.softmax", ours=partial(activations.softmax, axis=1)
    ),
    _row("log_softmax", jax.nn.log_softmax, "jax.nn.log_softmax"),
    _row(
        "log_softmax, axis 1",
        partial(jax.nn.log_softmax, axis=1),
        "jax.nn.log_softmax",
        ours=partial(activations.log_softmax, axis=1),
    ),
    _row("max_unit", lambda x: jnp.sort(x, axis=-1)[..., -1], "jax.numpy.sort"),
    _row(
        "max_unit, axis 1",
        lambda x: jnp.sort(x, axis=1)[:, -1],
        "jax.numpy.sort",
        ours=partial(activations.max_unit, axis=1),
    ),
    _row(
        "maxout",
        partial(_largest_of_slices, pieces=3),
        "jax.numpy",
        ours=partial(activations.maxout, pieces=3),
        arguments=normal(2, 6),
    ),
    _row(
        "radial_basis",
        _ratio_of_densities,
        "jax.scipy.stats.norm",
        ours=lambda x, centres, widths: activations.radial_basis(x, centres, widths=widths),
        arguments=_bumps,
    ),
    _row(
        "per_unit",
        lambda x: jnp.stack([f(x[..., k]) for k, f in enumerate(_theirs)], axis=-1),
        "jax.nn",
        ours=activations.per_unit(_own),
    ),
]
