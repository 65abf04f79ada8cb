import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnn.metrics import accuracy, top_k
from jaxnn.optimizers import sgd
from jaxnn.training import evaluate, init_state, predict

CLASSES = 6
MODEL = (
    lambda key, x: jnp.asarray(np.random.default_rng(9).normal(size=(4, CLASSES)), jnp.float32),
    lambda w, x: x @ w,
)
STATE = init_state(MODEL, sgd(0.1), jnp.ones((1, 4)), key=0)


def split(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.normal(size=(n, 4)).astype(np.float32),
        "label": rng.integers(CLASSES, size=n).astype(np.int32),
    }


def by_numpy(data):
    logits = data["image"].astype(np.float64) @ np.asarray(STATE.params, np.float64)
    ranks = (logits > logits[np.arange(len(logits)), data["label"]][:, None]).sum(axis=1)
    loss = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), data["label"]]
    return {"loss": loss.mean(), "accuracy": (ranks < 1).mean(), "top3": (ranks < 3).mean()}, logits


@settings(max_examples=8)
@given(n=st.integers(1, 60), batch_size=st.integers(1, 70))
def test_is_exact_whatever_the_padding(n, batch_size):
    data = split(n)
    expected, logits = by_numpy(data)
    metrics = {"accuracy": accuracy, "top3": top_k(3)}
    measured = evaluate(MODEL, STATE, data, metrics=metrics, batch_size=batch_size)
    assert measured["count"] == n
    assert round(measured["accuracy"] * n) == round(expected["accuracy"] * n)
    assert round(measured["top3"] * n) == round(expected["top3"] * n)
    outputs = predict(MODEL, STATE, data["image"], batch_size=batch_size)
    assert isinstance(outputs, np.ndarray)
    np.testing.assert_allclose(outputs, logits, atol=1e-5)


def test_reports_loss_and_accuracy_unless_told():
    data = split(37)
    measured = evaluate(MODEL, STATE, data, batch_size=10)
    expected, _ = by_numpy(data)
    assert set(measured) == {"loss", "accuracy", "count"}
    np.testing.assert_allclose(measured["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(measured["accuracy"], expected["accuracy"], rtol=1e-6)


def test_the_count_is_asserted(monkeypatch):
    """Were padding counted, evaluation would fail rather than report a wrong mean."""
    from jaxnn.training import evaluation

    no_mask = lambda data, rows: {**evaluation_take(data, rows), "mask": jnp.ones(len(rows), bool)}
    evaluation_take = evaluation.take_batch
    monkeypatch.setattr(evaluation, "take_batch", no_mask)
    model = (MODEL[0], lambda w, x: 2 * (x @ w))  # another model, so that nothing compiled is found
    with pytest.raises(AssertionError, match=r"expected the evaluation to count 37 examples; counted 40"):
        evaluate(model, STATE, split(37), batch_size=10)


def test_preprocesses_and_reads_other_fields():
    data = split(11)
    renamed = {"x": data["image"] * 10, "y": data["label"]}
    measured = evaluate(MODEL, STATE, renamed, preprocess=lambda x: x / 10, fields=("x", "y"))
    np.testing.assert_allclose(measured["loss"], by_numpy(data)[0]["loss"], rtol=1e-5)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_refuses_a_batch_of_none(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be between 1"):
        evaluate(MODEL, STATE, split(5), batch_size=batch_size)
    with pytest.raises(ValueError, match="`batch_size` must be between 1"):
        predict(MODEL, STATE, split(5)["image"], batch_size=batch_size)


def test_refuses_arrays_of_unequal_length():
    with pytest.raises(ValueError, match="one common, positive length"):
        evaluate(MODEL, STATE, {"image": np.ones((3, 4)), "label": np.ones(2, int)})
