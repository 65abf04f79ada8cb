"""`verify` itself: what is wrong is seen, and nothing else is called wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalog import room_of
from rings import first_of

from jaxnn import layers
from jaxnn.verification import verify, verifying
from jaxnn.verification.comparison import relative_difference
from jaxnn.verification.rows import FunctionRow, InitializerRow, LayerRow
from jaxnn.verification.table import TABLE


def square_row(ours):
    arguments = lambda rng, batch: (rng.normal(size=(batch, 3)),)
    return FunctionRow("square", ours, ours, lambda x: x**2, "definition", arguments, differentiable_oracle=True)


@jax.custom_vjp
def wrong_gradient(x):
    return x**2


wrong_gradient.defvjp(lambda x: (x**2, x), lambda x, dy: (2.001 * x * dy,))


def verdicts(monkeypatch, *rows, dtype="float32"):
    monkeypatch.setattr(verifying, "TABLE", {"functions": rows})
    return {verdict.quantity: verdict for verdict in verify(dtype)}


def test_every_kind_of_row_has_its_cases():
    assert {type(row) for rows in TABLE.values() for row in rows} == set(verifying.CASES)


def test_what_is_right_passes(monkeypatch):
    found = verdicts(monkeypatch, square_row(lambda x: x * x))
    assert {quantity: verdict.passed for quantity, verdict in found.items()} == {"value": True, "gradient": True}
    assert found["value"].cases == 4


def test_a_wrong_value_fails(monkeypatch):
    assert not verdicts(monkeypatch, square_row(lambda x: x * x + 1e-3))["value"].passed


def test_a_wrong_gradient_fails_and_the_value_passes(monkeypatch):
    found = verdicts(monkeypatch, square_row(wrong_gradient))
    assert found["value"].passed
    assert not found["gradient"].passed
    assert 1e-4 < found["gradient"].difference < 1e-2


def test_nan_fails(monkeypatch):
    assert not verdicts(monkeypatch, square_row(lambda x: x * x * jnp.where(x[:1] > 0, 1, jnp.nan)))["value"].passed


def test_a_piece_that_raises_fails_alone(monkeypatch):
    def broken(x):
        raise ValueError("no such\nthing")

    found = verdicts(monkeypatch, square_row(broken), square_row(lambda x: x * x))
    assert found["-"].problem == "ValueError: no such"
    assert not found["-"].passed
    assert found["value"].passed


def test_another_shape_is_a_problem(monkeypatch):
    found = verdicts(monkeypatch, square_row(lambda x: (x * x).sum(axis=0)))
    assert "same shapes" in found["-"].problem


def test_a_wrong_backward_pass_fails(monkeypatch):
    dense = layers.Dense(4)
    wrong = dense._replace(
        backward=lambda residuals, dy: jax.tree.map(lambda g: 1.01 * g, dense.backward(residuals, dy))
    )
    for layer, passes in ((dense, True), (wrong, False)):
        assert verdicts(monkeypatch, LayerRow("Dense", layers.Dense, layer, (3,)))["backward"].passed == passes


def test_doubles_are_compared_as_doubles_and_only_for_the_while(monkeypatch):
    nearly = square_row(lambda x: x * x * (1 + 1e-8))
    assert verdicts(monkeypatch, nearly)["value"].passed
    assert not verdicts(monkeypatch, nearly, dtype="float64")["value"].passed
    assert jnp.ones(1).dtype == jnp.float32


def test_refuses_unknown_names():
    with pytest.raises(ValueError, match="unknown dtype 'float23'; did you mean 'float32'"):
        verify("float23")
    with pytest.raises(ValueError, match="unknown piece 'convolv'; did you mean 'convolve'"):
        verify(only="convolv")


def test_relative_difference():
    assert relative_difference({"a": np.array([1.0, np.inf])}, {"a": np.array([1.0, np.inf])}) == 0
    assert np.isnan(relative_difference([1.0, np.nan], [1.0, 2.0]))
    assert np.isnan(relative_difference([np.nan, 1.0], [1.0, 2.0]))
    with pytest.raises(ValueError, match="same shapes"):
        relative_difference(np.ones(2), np.ones(3))


def dtypes_of(row):
    """Where numbers of half the precision would say nothing, `bfloat16` means float32."""
    return (
        ("float32", "float64", "bfloat16") if isinstance(row, FunctionRow | InitializerRow) else ("float32", "float64")
    )


@first_of(
    ("row", "dtype"),
    [(row, dtype) for rows in TABLE.values() for row in rows for dtype in dtypes_of(row)],
    kind=lambda case: room_of(case[0]),
    ids=lambda value: getattr(value, "name", value),
)
def test_every_row_agrees_with_its_oracle(row, dtype, monkeypatch):
    found = verdicts(monkeypatch, row, dtype=dtype)
    assert found
    assert [verdict for verdict in found.values() if not verdict.passed] == []
