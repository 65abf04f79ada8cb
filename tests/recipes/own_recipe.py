"""A recipe as a user brings it: an autoencoder on images, without labels."""

import flax.linen as nn
import jax.numpy as jnp

from jaxnn.recipes import Recipe, Training
from jaxnn.recipes.optimizer_choice import build_optimizer
from jaxnn.training import Measures, TrainStep, Trial, begin, stream_key


class Autoencoder(nn.Module):
    code: int = 8

    @nn.compact
    def __call__(self, x):
        code = nn.tanh(nn.Dense(self.code)(x.reshape(len(x), -1)))
        return nn.sigmoid(nn.Dense(x[0].size)(code)).reshape(x.shape)


def build(config, facts, steps):
    model, optimizer = Autoencoder(), build_optimizer(config, steps=steps)

    def init(key, example):
        params = model.init(stream_key(key, "init", 0), example["image"] / 255)["params"]
        return begin(params, optimizer.init(params), key=key)

    def objective(params, model_state, batch, keys, *, train):
        x = batch["image"] / 255
        error = (model.apply({"params": params}, x) - x) ** 2
        return Measures(error.sum(axis=(1, 2, 3)), {"error": jnp.sqrt(error.mean(axis=(1, 2, 3)))}), model_state

    return Trial(init, TrainStep(objective, optimizer.update), objective, model)


AUTOENCODER = Recipe(Training("autoencoder", epochs=2, batch_size=50, learning_rate=1e-2), build, "8 numbers an image")
