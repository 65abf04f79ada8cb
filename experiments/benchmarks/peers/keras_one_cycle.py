"""Keras on JAX, trained by the recipe of `jaxnn train lenet5`: Adam and one-cycle. Prints the test accuracy."""

import json
import math
import sys

from keras_on_jax import compiled, keras, read


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up to `peak` during the first `warmup` of all steps and down again, both along a cosine."""

    def __init__(self, peak, steps, warmup):
        self.peak, self.steps, self.rising = peak, steps, warmup * steps

    def __call__(self, step):
        """The learning rate of a step."""
        step = keras.ops.cast(step, "float32")
        up = self._cosine(self.peak / 25, self.peak, step / self.rising)
        down = self._cosine(self.peak, self.peak / 25e4, (step - self.rising) / (self.steps - self.rising))
        return keras.ops.where(step < self.rising, up, down)

    def _cosine(self, start, end, progress):
        return end + (start - end) * (1 + keras.ops.cos(math.pi * progress)) / 2


def main(workload):
    keras.utils.set_random_seed(workload["seed"])
    images, labels = read(workload, "train")
    steps = workload["epochs"] * -(-len(images) // workload["batch_size"])
    schedule = OneCycle(workload["learning_rate"], steps, workload["warmup"])
    model = compiled(workload["network"], schedule, metrics=["accuracy"])
    model.fit(images, labels, batch_size=workload["batch_size"], epochs=workload["epochs"], verbose=0)
    _, accuracy = model.evaluate(*read(workload, "test"), batch_size=500, verbose=0)
    print(json.dumps({"accuracy": accuracy}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
