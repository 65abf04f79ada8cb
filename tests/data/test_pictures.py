"""Pictures that people have become images as those of the training data, or it is said why not."""

import numpy as np
import pytest
from PIL import Image

from jaxnn.data.idx import read_idx
from jaxnn.data.picture_preparation import fit, ground_of, ground_of_all, prepare_as_mnist
from jaxnn.data.pictures import read_picture
from jaxnn.data.sources import SOURCES

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def digits():
    return read_idx(SOURCES["mnist"].folder / "t10k-images-idx3-ubyte.gz")[:12, :, :, None]


@pytest.fixture
def read(tmp_path):
    """Reads pixels from a file, as `jaxnn predict` does of a run on MNIST; returns the image and what was said."""

    def read(pixels, **options):
        Image.fromarray(pixels).save(tmp_path / "picture.png")
        said = []
        options = {"invert": "auto", "ground": "dark", **options}
        return read_picture(tmp_path / "picture.png", SHAPE, tell=said.append, **options), said

    return read


def photograph(digit, rng) -> np.ndarray:
    """The digit in dark ink on a larger sheet, off its middle, with uneven light and noise."""
    height, width = rng.integers(180, 400, 2)
    ink = np.zeros((height, width))
    top, left = rng.integers(5, height - 145), rng.integers(5, width - 145)
    large = Image.fromarray(digit[:, :, 0]).resize((140, 140), Image.Resampling.BICUBIC)
    ink[top : top + 140, left : left + 140] = large
    light = 200 + 30 * np.linspace(-1, 1, width) + 15 * np.linspace(-1, 1, height)[:, None]
    return np.clip(light * (1 - 0.75 * ink / 255) + rng.normal(0, 4, ink.shape), 0, 255).astype(np.uint8)


def test_a_photographed_digit_becomes_the_image_that_it_was(digits, read):
    rng = np.random.default_rng(0)
    differences = [np.abs(read(photograph(one, rng), prepare="mnist")[0].astype(int) - one).mean() for one in digits]
    assert np.mean(differences) < 10, "of 255; an image differs from another of its class by 30"
    stretched = read(photograph(digits[0], rng), resize=True)[0]
    assert np.abs(stretched.astype(int) - digits[0]).mean() > 20


def test_the_prepared_digit_lies_as_those_of_mnist(digits):
    """The longer side is 20 pixels, and the centre of mass at (14, 14), to half a pixel, as of all 70 000 images."""
    drawn = np.zeros((90, 60, 1), np.uint8)
    drawn[3:83, 40:46] = drawn[3:13, 10:46] = 220
    for image in (prepare_as_mnist(drawn), *digits):
        mass, places = image[:, :, 0].astype(float), np.arange(28)
        assert abs((mass.sum(1) * places).sum() / mass.sum() - 14) <= 0.51
        assert abs((mass.sum(0) * places).sum() / mass.sum() - 14) <= 0.51
        assert max(np.ptp(axis) + 1 for axis in np.nonzero(mass)) in (19, 20)
        assert image.max() >= 254


def test_dust_is_no_part_of_the_digit():
    drawn = np.zeros((300, 260, 1), np.uint8)
    drawn[40:200, 60:90] = drawn[40:60, 60:200] = drawn[220:240, 60:120] = (
        200  # the last: a piece of its own, as of a 5
    )
    dusty = drawn.copy()
    dusty[5:9, 5:9] = dusty[290, 250] = dusty[100:104, 200:206] = 200
    assert prepare_as_mnist(dusty).tolist() == prepare_as_mnist(drawn).tolist()
    without = drawn.copy()
    without[220:240] = 0
    assert prepare_as_mnist(without).tolist() != prepare_as_mnist(drawn).tolist()


def test_thin_strokes_are_as_bright_as_thick_ones():
    drawn = np.zeros((400, 400, 1), np.uint8)
    drawn[50:350, 200:205] = 90
    assert prepare_as_mnist(drawn).max() == 255


def test_the_aspect_ratio_is_kept():
    pixels = np.full((28, 56, 3), (200, 100, 50), np.uint8)
    pixels[8:20, 14:42] = 255 - pixels[8:20, 14:42]
    fitted = fit(pixels, (28, 28, 3))
    inside = np.abs(fitted.astype(int) - (55, 155, 205)).sum(2) < 178  # half of the way
    assert np.argwhere(inside).min(0).tolist() == [7 + 4, 7]
    assert np.argwhere(inside).max(0).tolist() == [7 + 9, 20]
    assert np.abs(fitted[0, 0].astype(int) - (200, 100, 50)).max() <= 1
    assert fit(pixels, (28, 56, 3)).tolist() == pixels.tolist()


def test_dark_on_light_is_seen_and_inverted(digits, read):
    for digit in digits:
        image, said = read(255 - digit[:, :, 0])
        assert image.tolist() == digit.tolist()
        assert len(said) == 1
        assert "has a light ground" in said[0]
        assert read(digit[:, :, 0])[0].tolist() == digit.tolist()
        assert read(digit[:, :, 0])[1] == []


def test_what_the_user_says_of_inversion_is_done_and_its_oddity_told(digits, read):
    light = 255 - digits[0]
    for pixels, invert, result in ((light, False, light), (digits[0], True, light)):
        image, said = read(pixels[:, :, 0], invert=invert)
        assert image.tolist() == result.tolist()
        assert ["the answer may be wrong" in hint for hint in said] == [True]
    assert read(light[:, :, 0], invert=True)[1] == []
    assert read(light[:, :, 0], ground=None)[0].tolist() == light.tolist(), "data without a ground are left alone"


def test_a_run_on_dark_digits_gets_dark_digits(digits, read):
    photo = photograph(digits[0], np.random.default_rng(0))
    dark, light = (read(photo, ground=ground, prepare="mnist")[0] for ground in ("dark", "light"))
    assert (ground_of(dark), ground_of(light)) == ("dark", "light")
    assert (255 - light).tolist() == dark.tolist()


def test_the_ground_of_data_sets(digits):
    assert ground_of_all(digits) == "dark"
    assert ground_of_all(255 - digits) == "light"
    assert ground_of_all(np.concatenate([digits, 255 - digits])) is None
    assert ground_of_all(np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)) is None
    assert ground_of(np.full(SHAPE, 9, np.uint8)) == ground_of_all(digits[:0]) is None


def test_a_blank_picture_is_told_or_refused(read):
    for level in (0, 255):
        image, said = read(np.full((28, 28), level, np.uint8))
        assert (image == level).all()
        assert said == [f"is blank: its levels are all from {level} to {level}."]
        with pytest.raises(ValueError, match="nothing stands out"):
            read(np.full((50, 50), level, np.uint8), prepare="mnist")
    dots = np.zeros((1000, 1000), np.uint8)
    dots[10, 10] = dots[900, 900] = 255
    with pytest.raises(ValueError, match="nothing stands out"):
        read(dots, prepare="mnist")
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    assert "neither a dark nor a light ground" in read(noise)[1][0]


def test_several_digits_are_told(digits, read):
    two = np.concatenate([digits[0], digits[1]], axis=1)[:, :, 0]
    assert ["are there several?" in hint for hint in read(two, prepare="mnist")[1]] == [True]
    assert read(digits[0][:, :, 0], prepare="mnist")[1] == []


def test_another_size_is_refused_with_both_remedies(read):
    with pytest.raises(ValueError, match=r"30 x 20 .* expected 28 x 28\. Pass --resize .* --prepare mnist"):
        read(np.zeros((20, 30), np.uint8))


def test_a_digit_is_not_prepared_for_a_run_on_colours(tmp_path):
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "digit.png")
    with pytest.raises(ValueError, match="--prepare mnist is for grey images"):
        read_picture(tmp_path / "digit.png", (32, 32, 3), prepare="mnist")


def test_any_shape_is_prepared(tmp_path):
    """A line, a dot and a picture that is darkest in its middle: an image comes or a sentence, and no warning."""
    pictures = [np.zeros((1, 300), np.uint8), np.zeros((300, 1), np.uint8), np.zeros((9, 9), np.uint8)]
    pictures[0][0, 20:40] = pictures[1][100] = pictures[2][4, 4] = 255
    bowl = (np.hypot(*np.mgrid[-20:20, -20:20]) * 9).astype(np.uint8)
    for index, pixels in enumerate([*pictures, bowl, bowl % 2 * 255]):
        path = tmp_path / f"{index}.png"
        Image.fromarray(pixels).save(path)
        for invert in (True, False, "auto"):
            assert read_picture(path, SHAPE, prepare="mnist", invert=invert, ground="dark").shape == SHAPE
            assert read_picture(path, SHAPE, resize=True, invert=invert, ground="dark").shape == SHAPE
