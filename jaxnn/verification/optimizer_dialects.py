"""Oracles of what Optax has not, written from the papers and from the algorithms that PyTorch and Keras document.

Plain loops over all parameters as one vector, with Optax's interface; they share no line with `jaxnn.optimizers`.
"""

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree


def _loop(learning_rate, rule, *starts):
    """`rule(t, lr, g, *slots) -> (step, *slots)`, with t counted from 1 and slots that begin as vectors of `starts`."""

    def init(params):
        w, _ = ravel_pytree(params)
        return (jnp.zeros((), jnp.int32), *(jnp.full_like(w, start) for start in starts))

    def update(grads, state, params=None, **extra):
        g, unravel = ravel_pytree(grads)
        lr = learning_rate(state[0]) if callable(learning_rate) else learning_rate
        t = state[0] + 1
        step, *slots = rule(t.astype(g.dtype), lr, g, *state[1:])
        return unravel(step.astype(g.dtype)), (t, *(slot.astype(g.dtype) for slot in slots))

    return optax.GradientTransformationExtraArgs(init, update)


def sgd_of_the_lectures(learning_rate, momentum, nesterov, rate_inside):
    """v = mu v - lr g; w += v, or w += mu v - lr g."""
    return optax.chain(optax.scale_by_learning_rate(learning_rate), optax.trace(momentum, nesterov=nesterov))


def sgd_of_pytorch(learning_rate, momentum, dampening):
    """torch.optim.SGD: the buffer is g at the first step, then momentum * buffer + (1 - dampening) * g."""

    def rule(t, lr, g, b):
        b = jnp.where(t == 1, g, momentum * b + (1 - dampening) * g)
        return -lr * b, b

    return _loop(learning_rate, rule, 0)


def adagrad_of_pytorch(learning_rate, initial_accumulator_value, eps, eps_in_sqrt):
    """torch.optim.Adagrad: the state sum begins at `initial_accumulator_value`."""

    def rule(t, lr, g, total):
        total = total + g**2
        return -lr * g / (jnp.sqrt(total) + eps), total

    return _loop(learning_rate, rule, initial_accumulator_value)


def adam_of_the_lectures(learning_rate, b1, b2, eps, bias_correction):
    """CS231n: m = b1*m + (1-b1)*dx; v = b2*v + (1-b2)*dx**2; x += -lr * m / (sqrt(v) + eps)."""

    def rule(t, lr, g, m, v):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        return -lr * m / (jnp.sqrt(v) + eps), m, v

    return _loop(learning_rate, rule, 0, 0)


def adam_of_keras(learning_rate, b1, b2, eps, eps_beside):
    """keras.optimizers.Adam: alpha = lr sqrt(1 - b2^t) / (1 - b1^t); w -= alpha m / (sqrt(v) + eps)."""

    def rule(t, lr, g, m, v):
        alpha = lr * jnp.sqrt(1 - b2**t) / (1 - b1**t)
        m, v = m + (g - m) * (1 - b1), v + (g**2 - v) * (1 - b2)
        return -alpha * m / (jnp.sqrt(v) + eps), m, v

    return _loop(learning_rate, rule, 0, 0)


def amsgrad_of_pytorch(learning_rate, b1, b2, eps, maximum_of):
    """torch.optim.Adam(amsgrad=True): the maximum of the raw moment, corrected afterwards."""

    def rule(t, lr, g, m, v, v_max):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        v_max = jnp.where(v > v_max, v, v_max)
        return -lr * (m / (1 - b1**t)) / (jnp.sqrt(v_max / (1 - b2**t)) + eps), m, v, v_max

    return _loop(learning_rate, rule, 0, 0, 0)


def nadam_of_pytorch(learning_rate, b1, b2, eps, momentum_decay):
    """torch.optim.NAdam, the product of the momenta kept for every parameter."""

    def rule(t, lr, g, m, v, product):
        mu = b1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        product = product * mu
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        return -lr * m_hat / (jnp.sqrt(v / (1 - b2**t)) + eps), m, v, product

    return _loop(learning_rate, rule, 0, 0, 1)


def nadamw_of_pytorch(learning_rate, b1, b2, eps, weight_decay, momentum_decay):
    """torch.optim.NAdam(decoupled_weight_decay=True): the decay is a step of its own before NAdam's."""
    plain = nadam_of_pytorch(learning_rate, b1, b2, eps, momentum_decay)

    def update(grads, state, params=None, **extra):
        lr = learning_rate(state[0]) if callable(learning_rate) else learning_rate
        updates, state = plain.update(grads, state, params)
        return jax.tree.map(lambda u, w: u - lr * weight_decay * w, updates, params), state

    return optax.GradientTransformationExtraArgs(plain.init, update)


def nadam_of_keras(learning_rate, b1, b2, eps, momentum_decay):
    """keras.optimizers.Nadam (3.x): u_t = b1 (1 - 0.96^t / 2), whatever `momentum_decay` is; it must be 1."""

    def rule(t, lr, g, m, v, u_product):
        u_t, u_next = b1 * (1.0 - 0.5 * 0.96**t), b1 * (1.0 - 0.5 * 0.96 ** (t + 1))
        u_product = u_product * u_t
        m, v = m + (g - m) * (1 - b1), v + (g**2 - v) * (1 - b2)
        m_hat = u_next * m / (1 - u_product * u_next) + (1 - u_t) * g / (1 - u_product)
        return -m_hat * lr / (jnp.sqrt(v / (1 - b2**t)) + eps), m, v, u_product

    return _loop(learning_rate, rule, 0, 0, 1)


def radam_of_pytorch(learning_rate, b1, b2, eps, eps_beside):
    """torch.optim.RAdam: l_t = sqrt(1 - b2^t) / (sqrt(v) + eps), from rho > 5 on."""

    def rule(t, lr, g, m, v):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        m_hat, end = m / (1 - b1**t), 2 / (1 - jnp.asarray(b2, g.dtype)) - 1
        rho = end - 2 * t * b2**t / (1 - b2**t)
        r = jnp.sqrt(jnp.abs((rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho)))
        rectified = m_hat * r * jnp.sqrt(1 - b2**t) / (jnp.sqrt(v) + eps)
        return -lr * jnp.where(rho > 5, rectified, m_hat), m, v

    return _loop(learning_rate, rule, 0, 0)


def rprop_of_pytorch(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size):
    """torch.optim.Rprop, one case after the other."""

    def rule(t, lr, g, before, size):
        same, changed = g * before > 0, g * before < 0
        size = jnp.where(same, jnp.minimum(size * eta_plus, max_step_size), size)
        size = jnp.where(changed, jnp.maximum(size * eta_minus, min_step_size), size)
        g = jnp.where(changed, 0, g)
        return -jnp.sign(g) * size, g, size

    return _loop(learning_rate, rule, 0, learning_rate)


def rprop_of_1993(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size, backtracking):
    """Riedmiller and Braun: after a change of sign the last step, kept for that, is taken back."""

    def rule(t, lr, g, before, size, last):
        same, changed = g * before > 0, g * before < 0
        size = jnp.where(same, jnp.minimum(size * eta_plus, max_step_size), size)
        size = jnp.where(changed, jnp.maximum(size * eta_minus, min_step_size), size)
        step = jnp.where(changed, -last, -jnp.sign(g) * size)
        return step, jnp.where(changed, 0, g), size, step

    return _loop(learning_rate, rule, 0, learning_rate, 0)
