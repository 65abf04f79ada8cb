"""Monte Carlo dropout keeps dropout on at test time: the outputs differ where the network is uncertain."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.preprocessing import as_float
from jaxnn.training import FunctionalModel
from jaxnn.training.batching import check_batch_size, count_examples, plain_order, take_batch
from jaxnn.training.compilation import bind, call
from jaxnn.training.key_streams import Keys, as_key


def monte_carlo_dropout(
    model, state, inputs, *, samples: int, key, preprocess: Callable = as_float, batch_size: int = 500
) -> np.ndarray:
    """Computes outputs under random dropout masks, (samples, n, ...), with a new mask for every sample and example.

        p(y | x)  ~  1/T sum_t softmax(f(x; params, mask_t)),    mask_t ~ Bernoulli(1 - rate)

    `average_probabilities` computes this mean from the outputs; the spread of the outputs is the model's
    uncertainty about x. The model is applied in train mode, and its `model_state` does not change. So batch
    normalization normalizes by the statistics of the batch of inputs, as in training. The outputs of an example then
    depend on the other examples of its batch and on `batch_size`.

    Args:
      model: a linen module or a pair (init, apply).
      state: a `TrainState`, or anything with `params` and `model_state`.
      inputs: (n, ...), as they are in the data, not preprocessed.
      samples: T; the first samples do not depend on T.
      key: a typed key or an integer seed.
      preprocess: the function that training applied to inputs.
      batch_size: examples in a forward pass.

    Raises:
      ValueError: no samples or inputs, a batch size below 1, or a model that draws nothing, whose samples are all
        equal.

    Gal and Ghahramani 2016, Dropout as a Bayesian approximation, arXiv 1506.02142.

    >>> from jaxnn.layers import dropout
    >>> from jaxnn.training import begin
    >>> noisy = (lambda key, x: {}, lambda params, x, key: dropout(key, x, rate=0.5))
    >>> state = begin({}, (), key=0)
    >>> outputs = monte_carlo_dropout(noisy, state, np.ones((3, 2), np.float32), samples=100, key=0)
    >>> outputs.shape, sorted({*outputs.ravel().tolist()})
    ((100, 3, 2), [0.0, 2.0])
    """
    examples = count_examples({"inputs": inputs})
    batch_size = min(batch_size, examples)
    check_batch_size(batch_size, examples)
    if samples < 1:
        raise ValueError(f"`samples` must be at least 1; received {samples}. Fifty are usual.")
    order = plain_order(examples=examples, batch_size=batch_size)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(as_key(key), jnp.arange(samples))
    draw = bind(_samples, FunctionalModel(model), preprocess)
    outputs = np.asarray(call(draw, state.params, state.model_state, jnp.asarray(inputs), order, keys))
    outputs = np.moveaxis(outputs, 1, 0)
    return _varied(outputs.reshape(samples, -1, *outputs.shape[3:])[:, :examples])


def _samples(model: FunctionalModel, preprocess: Callable, params, model_state, inputs, order, keys):
    """Computes (steps, samples, batch, ...), one batch and one sample at a time."""

    def of_batch(step_and_rows):
        step, rows = step_and_rows
        x = preprocess(take_batch({"inputs": inputs}, rows)["inputs"])
        sample = lambda key: model.apply(params, model_state, x, train=True, keys=Keys(key, step))[0]
        return jax.lax.map(sample, keys)

    return jax.lax.map(of_batch, (jnp.arange(len(order)), order))


def _varied(outputs):
    if len(outputs) > 1 and (outputs == outputs[:1]).all():
        raise ValueError(
            f"`model` must draw at random in train mode; received one whose {len(outputs)} samples are all equal. "
            "Has it dropout of a rate above 0, and does its __call__ take `train`, or the apply of a pair `key`?"
        )
    return outputs
