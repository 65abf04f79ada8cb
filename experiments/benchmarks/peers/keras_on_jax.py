"""Keras on JAX as its users write it: `compile` and `fit` on NumPy floats. Prints images per second after one epoch."""

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers


def lenet5():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )


def mlp():
    network = [keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
    return keras.Sequential(network)


NETWORKS = {"lenet5": lenet5, "mlp": mlp}


def read(workload, split):
    """Standardized float images (examples, 28, 28, 1) and labels."""
    with np.load(workload["data"]) as arrays:
        images, labels = arrays[f"{split}_image"].astype(np.float32) / 255, arrays[f"{split}_label"]
    return (images - np.float32(workload["mean"])) / np.float32(workload["std"]), labels


def compiled(network, learning_rate, metrics=()):
    model = NETWORKS[network]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=list(metrics))
    return model


def main(workload):
    images, labels = read(workload, "train")
    model = compiled(workload["network"], workload["learning_rate"])
    model.fit(images, labels, batch_size=workload["batch_size"], epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(images, labels, batch_size=workload["batch_size"], epochs=workload["epochs"], verbose=0)
    seconds = time.perf_counter() - start
    print(json.dumps({"images_per_second": workload["epochs"] * len(images) / seconds}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
