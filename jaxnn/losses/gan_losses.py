"""Losses of a generative adversarial network are functions of the discriminator's logits z.

D(x) = s(z), with s the sigmoid; in G(z), z is the input of the generator. The i-th real example is paired with the i-th
fake one, so that the discriminator's loss also has one number for each example. Its mean over the batch is the loss in
the papers. A step of the generator changes only the generator's own parameters.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnn.activations import softplus
from jaxnn.losses.per_example import check_same_shape


def minimax_discriminator(
    real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """Computes the discriminator's loss `-log D(x) - log(1 - D(G(z)))` in the minimax and the non-saturating game.

    Gradient: `s(z) - 1` for the real logit, `s(z)` for the fake one. The smallest loss against a perfect generator is
    log 4 (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).

    Raises:
      ValueError: if the shapes differ.

    >>> minimax_discriminator(jnp.zeros(1), jnp.zeros(1)).round(4)
    Array([1.3863], dtype=float32)
    """
    check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    return softplus(-real_logits) + softplus(fake_logits)


def minimax_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Computes the generator's loss `log(1 - D(G(z)))` in the original minimax game.

    Gradient: `-s(z)`. It vanishes while the discriminator recognizes every fake (z << 0): the loss saturates exactly
    where the generator has most to learn (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).

    >>> minimax_generator(jnp.zeros(1)).round(4)
    Array([-0.6931], dtype=float32)
    """
    return -softplus(fake_logits)


def non_saturating_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Computes the generator's loss `-log D(G(z))`, whose gradient does not vanish.

    The game has the same fixed point as the minimax game. Gradient: `s(z) - 1`, which is nearly -1 while the
    discriminator recognizes every fake. The discriminator's loss is still `minimax_discriminator` (Goodfellow et al.
    2014, arXiv 1406.2661, section 3).

    >>> non_saturating_generator(jnp.zeros(1)).round(4)
    Array([0.6931], dtype=float32)
    """
    return softplus(-fake_logits)


def least_squares_discriminator(
    real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """Computes the discriminator's least-squares loss `(z_real - 1)^2 / 2 + z_fake^2 / 2`.

    The loss has no sigmoid: the logit should be 1 for real examples and 0 for fake ones. Gradient: `z - 1` for the real
    logit, `z` for the fake one (Mao et al. 2017, arXiv 1611.04076, eq. 9).

    Raises:
      ValueError: if the shapes differ.

    >>> least_squares_discriminator(jnp.zeros(1), jnp.ones(1)).tolist()
    [1.0]
    """
    check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    return (jnp.square(real_logits - 1) + jnp.square(fake_logits)) / 2


def least_squares_generator(fake_logits: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Computes the generator's least-squares loss `(z_fake - 1)^2 / 2`; fakes should be scored as real.

    Fakes that are far on the correct side still have a gradient. Gradient: `z - 1` (Mao et al. 2017, arXiv 1611.04076,
    eq. 9).

    >>> least_squares_generator(jnp.zeros(1)).tolist()
    [0.5]
    """
    return jnp.square(fake_logits - 1) / 2
