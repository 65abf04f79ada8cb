"""The two players of a generative adversarial network, as functions of the discriminator's logits z; D(x) = s(z).

The i-th real example is paired with the i-th fake one, so that the discriminator's loss, too, is one per example; its
mean over the batch is what the papers state. In the generator's step only its own parameters are moved.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnn.activations import softplus
from jaxnn.losses.per_example import check_same_shape


def minimax_discriminator(
    real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """`-log D(x) - log(1 - D(G(z)))`: the discriminator of the original game, and of the non-saturating one.

    Gradient: `s(z) - 1` for the real logit, `s(z)` for the fake one. The best loss against a perfect generator is
    log 4 (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).

    Raises:
      ValueError: other shapes.

    >>> minimax_discriminator(jnp.zeros(1), jnp.zeros(1)).round(4)
    Array([1.3863], dtype=float32)
    """
    check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    return softplus(-real_logits) + softplus(fake_logits)


def minimax_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """`log(1 - D(G(z)))`, the other side of the original game.

    Gradient: `-s(z)`, which vanishes while the discriminator tells every fake (z << 0): it saturates just where the
    generator has most to learn (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).

    >>> minimax_generator(jnp.zeros(1)).round(4)
    Array([-0.6931], dtype=float32)
    """
    return -softplus(fake_logits)


def non_saturating_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """`-log D(G(z))`: the same fixed point as the minimax game, with a gradient that does not vanish.

    Gradient: `s(z) - 1`, nearly -1 while the discriminator tells every fake. The discriminator's loss stays
    `minimax_discriminator` (Goodfellow et al. 2014, arXiv 1406.2661, section 3).

    >>> non_saturating_generator(jnp.zeros(1)).round(4)
    Array([0.6931], dtype=float32)
    """
    return softplus(-fake_logits)


def least_squares_discriminator(
    real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """`(z_real - 1)^2 / 2 + z_fake^2 / 2`: logits of 1 for the real, 0 for the fake; no sigmoid.

    Gradient: `z - 1` for the real logit, `z` for the fake one (Mao et al. 2017, arXiv 1611.04076, eq. 9).

    Raises:
      ValueError: other shapes.

    >>> least_squares_discriminator(jnp.zeros(1), jnp.ones(1)).tolist()
    [1.0]
    """
    check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    return (jnp.square(real_logits - 1) + jnp.square(fake_logits)) / 2


def least_squares_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """`(z_fake - 1)^2 / 2`: fakes are to be scored as real; those far on the right side still learn.

    Gradient: `z - 1` (Mao et al. 2017, arXiv 1611.04076, eq. 9).

    >>> least_squares_generator(jnp.zeros(1)).tolist()
    [0.5]
    """
    return jnp.square(fake_logits - 1) / 2
