import jax
import jax.numpy as jnp
import pytest

from jaxnn.layers import differentiable

COVERS = {"layers.Layer", "layers.differentiable"}


def forward(w, x, *, power=1):
    """Scale."""
    return w["scale"] * x**power, (w, x)


def backward(residuals, dy, *, power=1):
    _, x = residuals
    return {"scale": 100.0 * jnp.vdot(x**power, dy)}, 1000.0 * dy


def test_the_gradient_is_the_hand_written_one_however_wrong():
    layer, params, x = differentiable(forward, backward), {"scale": jnp.float32(2.0)}, jnp.ones(3)
    assert layer(params, x).tolist() == [2, 2, 2]
    dparams, dx = jax.grad(lambda params, x: layer(params, x).sum(), (0, 1))(params, x)
    assert float(dparams["scale"]) == 300
    assert dx.tolist() == [1000, 1000, 1000]


def test_static_arguments_reach_both_passes():
    layer, params = differentiable(forward, backward), {"scale": jnp.float32(1.0)}
    assert layer(params, jnp.float32(3.0), power=2) == 9
    assert jax.grad(lambda params: layer(params, jnp.float32(3.0), power=2))(params)["scale"] == 900


def test_keeps_the_documentation():
    assert differentiable(forward, backward).__doc__ == "Scale."


def test_refuses_forward_mode():
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: differentiable(forward, backward)({"scale": 1.0}, x), (1.0,), (1.0,))
