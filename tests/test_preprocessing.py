import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.preprocessing import PaddedRange, Standardize, as_float, identity


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535), ("bool", 1)])
def test_pictures_of_integers_are_scaled_by_the_range_of_their_type(dtype, largest):
    pixels = jnp.array([0, largest], dtype)
    assert as_float(pixels).tolist() == [0, 1]
    assert Standardize(0.5, 0.25)(pixels[:, None]).tolist() == [[-2], [2]]


@pytest.mark.parametrize(
    "preprocess",
    [as_float, Standardize((0.5,), (0.5,)), PaddedRange(1, 0, 1)],
    ids=["as_float", "Standardize", "PaddedRange"],
)
@pytest.mark.parametrize("dtype", ["int32", "int8", "int16", "uint32"])
def test_integers_that_may_be_anything_are_refused(preprocess, dtype):
    with pytest.raises(ValueError, match=rf"received {dtype}.*x.astype\(np.uint8\).*preprocessing.identity"):
        preprocess(jnp.ones((1, 1, 1, 1), dtype))
    assert identity(jnp.ones(3, dtype)).dtype == dtype


def test_standardize_takes_arrays_and_is_a_value():
    made = Standardize(np.array([0.1, 0.2]), jnp.array([1, 2]))
    assert made == Standardize((0.1, 0.2), (1.0, 2.0))
    assert hash(made) == hash(Standardize([0.1, 0.2], [1, 2]))


def test_one_mean_stands_for_all_channels_but_three_not_for_one():
    assert Standardize(0.5, 0.5)(jnp.ones((2, 4, 4, 3))).shape == (2, 4, 4, 3)
    with pytest.raises(ValueError, match=r"the 3 channels of `mean` as their last axis; received shape \(2, 4, 4, 1\)"):
        Standardize((0.5,) * 3, (0.5,) * 3)(jnp.ones((2, 4, 4, 1)))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), (0.0,), "`std` positive.* has std 0: take 1"),
        ((0.5,), (-1.0,), "`std` positive"),
        ((0.5,), (float("nan"),), "`std` positive"),
        ((float("inf"),), (1.0,), "`mean` must be finite"),
        ((0.5, 0.5), (1.0,), "a number for each channel; received 2 and 1"),
        ((), (), "a number for each channel; received 0 and 0"),
    ],
)
def test_standardize_refuses_what_would_not_standardize(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Standardize(mean, std)


@pytest.mark.parametrize(("pixels", "low", "high"), [(-1, 0, 1), (1, 1, 1), (1, 0, float("inf"))])
def test_a_padded_range_is_one(pixels, low, high):
    with pytest.raises(ValueError, match="`low` less than `high`"):
        PaddedRange(pixels, low, high)
