"""LeNet-5 with weights moved to PyTorch's layout: NCHW images, OIHW kernels, (out, in) matrices."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.models import LeNet5

TORCH = """
import sys, numpy as np, torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu
w = {k: torch.from_numpy(v) for k, v in np.load(sys.argv[1]).items()}
x = max_pool2d(relu(conv2d(w["x"], w["conv1.weight"], w["conv1.bias"], padding=2)), 2)
x = max_pool2d(relu(conv2d(x, w["conv2.weight"], w["conv2.bias"])), 2).flatten(1)
x = relu(linear(x, w["dense1.weight"], w["dense1.bias"]))
x = relu(linear(x, w["dense2.weight"], w["dense2.bias"]))
np.save(sys.argv[2], linear(x, w["logits.weight"], w["logits.bias"]).numpy())
"""


@pytest.fixture
def net():
    """(weights in PyTorch's layout with images `x`, our logits)."""
    module, rng = LeNet5(), np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(4, 28, 28, 1)), jnp.float32)
    params = module.init(jax.random.key(1), x)["params"]
    return to_torch(params) | {"x": np.asarray(x.transpose(0, 3, 1, 2))}, module.apply({"params": params}, x)


def to_torch(params):
    moved = {}
    for layer, leaves in params.items():
        kernel = np.asarray(leaves["kernel"])
        if layer == "dense1":  # its 400 inputs are rows, columns, channels here, and channels first there
            kernel = kernel.reshape(5, 5, 16, 120).transpose(2, 0, 1, 3).reshape(400, 120)
        moved[f"{layer}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
        moved[f"{layer}.bias"] = np.asarray(leaves["bias"])
    return moved


def numpy_lenet(w):
    """The same network in loops over kernel positions, by NumPy."""

    def conv(x, weight, bias):
        k = weight.shape[-1]
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, weight) + bias.reshape(1, -1, 1, 1)

    pool = lambda x: x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max(axis=(3, 5))
    relu = lambda x: np.maximum(x, 0)
    x = np.pad(w["x"], ((0, 0), (0, 0), (2, 2), (2, 2)))
    x = pool(relu(conv(x, w["conv1.weight"], w["conv1.bias"])))
    x = pool(relu(conv(x, w["conv2.weight"], w["conv2.bias"]))).reshape(len(x), -1)
    x = relu(x @ w["dense1.weight"].T + w["dense1.bias"])
    x = relu(x @ w["dense2.weight"].T + w["dense2.bias"])
    return x @ w["logits.weight"].T + w["logits.bias"]


@pytest.mark.full
def test_numpy_in_pytorchs_layout_gives_the_same_logits(net):
    weights, logits = net
    np.testing.assert_allclose(logits, numpy_lenet(weights), atol=1e-5)


@pytest.mark.full
def test_pytorch_gives_the_same_logits(net, tmp_path):
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode:
        pytest.skip("torch is not installed")  # it would fight with JAX for the cores in this process
    weights, logits = net
    np.savez(tmp_path / "in.npz", **weights)
    subprocess.run([sys.executable, "-c", TORCH, tmp_path / "in.npz", tmp_path / "out.npy"], check=True)
    np.testing.assert_allclose(logits, np.load(tmp_path / "out.npy"), atol=1e-5)


def test_takes_other_classes_and_any_convolution():
    module = LeNet5(classes=3, convolution=jax.lax.conv_general_dilated)
    assert jax.eval_shape(module.init_with_output, jax.random.key(0), jnp.zeros((2, 28, 28, 3)))[0].shape == (2, 3)
