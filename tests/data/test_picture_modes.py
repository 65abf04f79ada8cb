"""Every way in which a file holds one and the same picture: it is read as it is seen, or refused with the remedy."""

import io
import struct

import numpy as np
import pytest
from picture_makers import GREY, chunk, linear_grey_profile, png, tiff
from PIL import Image

from jaxnn.data.picture_files import FORMATS, is_picture
from jaxnn.data.picture_modes import see_picture

WIDE = GREY.astype(np.uint16)
TWELVE = WIDE * 16  # 12 bits in 16
BIG = (WIDE * 257).astype(">u2").tobytes()
SHARES = GREY.astype(np.float32) / 255
RGB = np.stack([GREY] * 3, -1)
HALF = np.where(GREY > 100, 255, 128).astype(np.uint8)
LINEAR = struct.pack(">I", 100000)  # gAMA: the levels are proportional to the light


def saved(image, form="PNG", **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, form, **options)
    return file.getvalue()


def mode(name, **options) -> bytes:
    """The picture in a mode of Pillow, as TIFF."""
    return saved(Image.fromarray(RGB).convert(name), "TIFF", **options)


def with_alpha(alpha) -> np.ndarray:
    return np.concatenate([RGB, np.broadcast_to(alpha, GREY.shape)[..., None].astype(np.uint8)], -1)


def without_adobe(content: bytes) -> bytes:
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def palette(**options) -> bytes:
    image = Image.fromarray(GREY).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([level for level in range(256) for _ in range(3)])
    return saved(image, **options)


CMYK = Image.fromarray(255 - np.concatenate([np.full((*GREY.shape, 3), 255, np.uint8), GREY[..., None]], -1), "CMYK")
IMAGEJ = "ImageJ=1.54f\nunit=micron\nmin=0.0\nmax=4080.0\n"
SEEN = {  # name -> the file that shows GREY, options, the largest difference, what is said
    "grey": (saved(GREY), {}, 0, None),
    "colours": (saved(RGB), {}, 0, None),
    "palette": (palette(), {}, 0, None),
    "opaque alpha": (saved(with_alpha(255)), {}, 0, None),
    "opaque grey alpha": (saved(Image.fromarray(GREY).convert("LA")), {}, 0, None),
    "opaque palette": (palette(transparency=bytes([255] * 256)), {}, 0, None),
    "transparent colour that is not there": (saved(GREY, transparency=0), {}, 0, None),
    "16 bits": (saved(WIDE * 257), {}, 0, None),
    "16 bits of TIFF": (tiff(WIDE * 257, bits=16), {}, 0, None),
    "16 bits, big-endian": (saved(Image.frombytes("I;16B", (8, 6), BIG), "TIFF"), {}, 0, None),
    "16 bits, white is 0": (tiff(65535 - WIDE * 257, bits=16, white_is_zero=True), {}, 0, None),
    "16 bits of PGM": (b"P5 8 6 65535\n" + BIG, {}, 0, None),
    "12 bits of PGM": (b"P5 8 6 4095\n" + TWELVE.astype(">u2").tobytes(), {}, 1, None),
    "16 bits, opaque": (png(np.stack([WIDE * 257, WIDE * 0 + 65535], -1), bits=16, colour=4), {}, 0, None),
    "16 bits a colour": (png(np.stack([WIDE * 257] * 3, -1), bits=16, colour=2), {}, 0, None),
    "12 in 16 bits, said by the file": (tiff(TWELVE, bits=16, t281=("short", 3920)), {}, 1, "4095 is taken"),
    "12 in 16 bits, said by ImageJ": (tiff(TWELVE, bits=16, t270=("text", IMAGEJ)), {}, 0, "4080 white"),
    "12 in 16 bits, said by the user": (tiff(TWELVE, bits=16), {"levels": (0, 4080)}, 0, None),
    "32 bits": (saved(GREY.astype(np.int32), "TIFF"), {}, 0, "255 for white"),
    "32 bits, unsigned": (
        tiff(GREY.astype(np.uint32) * 16843009, bits=32, t340=("long", 0), t341=("long", 2**32 - 1)),
        {},
        0,
        "is black",
    ),
    "floating point to 1": (saved(SHARES, "TIFF"), {}, 0, "1 for white"),
    "floating point to 255": (saved(SHARES * 255, "TIFF"), {}, 0, "255 for white"),
    "floating point, white is 0": (
        tiff(1 - SHARES, bits=32, white_is_zero=True, t339=("short", 3)),
        {},
        0,
        "1 for white",
    ),
    "floating point, said by the file": (
        tiff(SHARES * 8 - 4, bits=32, t339=("short", 3), t340=("float", -4), t341=("float", 4)),
        {},
        0,
        "-4 is black",
    ),
    "floating point, said by the user": (saved(SHARES * 8 - 4, "TIFF"), {"levels": (-4, 4)}, 0, None),
    "signed bytes": (
        tiff((GREY.astype(np.int16) - 128).astype(np.int8), bits=8, t339=("short", 2)),
        {"levels": (-128, 127)},
        0,
        None,
    ),
    "8 bits, white is 0": (tiff(255 - GREY, bits=8, white_is_zero=True), {}, 0, None),
    "premultiplied alpha, opaque": (
        tiff(np.stack([GREY, GREY * 0 + 255], -1), bits=(8, 8), t338=("short", 1)),
        {},
        0,
        None,
    ),
    "CMYK": (saved(CMYK, "TIFF"), {}, 1, None),
    "CMYK of Adobe": (saved(CMYK, "JPEG", quality=100), {}, 3, None),
    "CMYK of somebody": (without_adobe(saved(CMYK, "JPEG", quality=100)), {}, 3, "Adobe's way"),
    "YCbCr": (mode("YCbCr"), {}, 2, None),
    "Lab": (mode("LAB"), {}, 2, None),
    "gamma of the screen": (png(GREY, gAMA=struct.pack(">I", 45455)), {}, 0, None),
    "gamma below sRGB": (png(GREY, gAMA=LINEAR, sRGB=b"\0"), {}, 0, None),
    "a damaged profile": (saved(GREY, icc_profile=b"none"), {}, 0, "profile that cannot be used"),
    "damaged EXIF": (png(GREY, eXIf=b"Exif\0\0nothing"), {}, 0, "is not turned"),
    "pixels of a fax": (saved(GREY, dpi=(204, 98)), {}, 0, "not square"),
    "frames": (saved(GREY, "GIF", save_all=True, append_images=[Image.new("L", (8, 6))]), {}, 0, "the first"),
    "pages": (saved(GREY, "TIFF", save_all=True, append_images=[Image.new("L", (8, 6))]), {}, 0, "the first"),
    "a moving PNG": (saved(GREY, save_all=True, append_images=[Image.new("L", (8, 6))]), {}, 0, "the first"),
    "half transparent, on its colour": (saved(with_alpha(255 * (GREY > 10))), {"background": "#0a0a0a"}, 0, None),
}
REFUSED = {  # name -> a file whose picture is not known, and words of the sentence
    "transparent": (saved(with_alpha(HALF)), "39.6 % of its pixels are transparent"),
    "transparent palette": (palette(transparency=bytes(range(256))), "--background white"),
    "transparent level": (saved(GREY, transparency=15), "2.08 % of its pixels"),
    "transparent level of 4 bits": (png(GREY >> 4, bits=4, tRNS=b"\0\x05"), "are transparent"),
    "transparent level of 16 bits": (png(WIDE * 257, bits=16, tRNS=b"\x0f\x0f"), "2.08 % of its pixels"),
    "transparent colour": (png(RGB, colour=2, tRNS=bytes([0, 15] * 3)), "2.08 % of its pixels"),
    "transparent colour of 16 bits": (
        png(np.stack([WIDE * 257] * 3, -1), bits=16, colour=2, tRNS=bytes([15] * 6)),
        "2.08 %",
    ),
    "12 in 16 bits": (tiff(TWELVE, bits=16), "--levels 0:4095"),
    "12 in 16 bits of PNG": (png(TWELVE, bits=16, sBIT=b"\x0c"), "--levels 0:4095"),
    "12 in 16 bits a colour": (png(np.stack([TWELVE] * 3, -1), bits=16, colour=2), "fewer bits in 16"),
    "classes in 16 bits": (tiff(WIDE % 2, bits=16), "--levels 0:1 "),
    "32 bits": (saved(GREY.astype(np.int32) * 1000, "TIFF"), "--levels=10000:245000"),
    "signed": (saved(GREY.astype(np.int32) - 100, "TIFF"), "--levels=-90:145"),
    "signed bytes": (tiff((GREY.astype(np.int16) - 128).astype(np.int8), bits=8, t339=("short", 2)), "--levels=-118:"),
    "dark floating point": (saved(SHARES / 5, "TIFF"), "does not say which is black"),
    "no numbers": (saved(np.where(GREY > 99, np.nan, SHARES).astype(np.float32), "TIFF"), "not finite"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n", "PostScript program, which is never run"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(40), "iPhone"),
    "nothing": (b"", "not an image"),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_file_is_read_as_it_is_seen(name, tmp_path):
    content, options, tolerance, words = SEEN[name]
    (tmp_path / "picture").write_bytes(content)
    for channels, expected in ((1, GREY[..., None]), (3, RGB)):
        seen = see_picture(tmp_path / "picture", channels=channels, **options)
        np.testing.assert_allclose(seen.pixels.astype(int), expected, atol=tolerance, rtol=0)
        assert seen.pixels.dtype == np.uint8
        assert [words in hint for hint in seen.hints] == ([True] if words else [])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_known_is_refused_with_the_remedy(name, tmp_path):
    content, words = REFUSED[name]
    (tmp_path / "picture").write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        see_picture(tmp_path / "picture", channels=1)
    assert words in str(refused.value)


def test_levels_that_are_proportional_to_the_light_are_brought_to_the_screen(tmp_path):
    path, srgb = (
        tmp_path / "picture.png",
        np.where(SHARES <= 0.0031308, 12.92 * SHARES, 1.055 * SHARES ** (1 / 2.4) - 0.055),
    )
    for content, expected in (
        (saved(GREY, icc_profile=linear_grey_profile()), srgb),  # IEC 61966-2-1
        (png(GREY, gAMA=LINEAR), SHARES ** (1 / 2.2)),  # PNG, 13.13
    ):
        path.write_bytes(content)
        seen = see_picture(path, channels=1)
        np.testing.assert_allclose(seen.pixels[:, :, 0], 255 * expected, atol=1.5, rtol=0)
        assert seen.hints == ()


TURNS = {1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T, 6: GREY[::-1].T,
         7: GREY[::-1, ::-1].T, 8: GREY[:, ::-1].T}  # fmt: skip


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_a_picture_is_turned_as_the_camera_was(form, tmp_path):
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100}}[form]
    for orientation, stands in TURNS.items():
        exif = Image.Exif()
        exif[0x112] = orientation
        (tmp_path / "picture").write_bytes(saved(GREY, form, exif=exif, **options))
        seen = see_picture(tmp_path / "picture", channels=1).pixels[:, :, 0]
        np.testing.assert_allclose(seen.astype(int), stands, atol=2 if form == "JPEG" else 0, rtol=0)


BILEVEL = np.pad(np.eye(5, dtype=bool), ((0, 1), (0, 3)))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "PCX", "GIF", "ICO", "QOI", "TGA", "JPEG2000", "AVIF"])
def test_every_format_shows_black_and_white(form, tmp_path):
    image = Image.fromarray(255 * BILEVEL.astype(np.uint8))
    image = {"QOI": image.convert("RGB"), "ICO": image.resize((16, 16), 0)}.get(
        form, image.convert("1") if form in ("PNG", "BMP", "TIFF", "PPM", "PCX") else image
    )
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {form}")
    options = {"ICO": {"sizes": [(16, 16)]}, "AVIF": {"quality": 100}}.get(form, {})
    (tmp_path / "picture").write_bytes(saved(image, form, **options))
    seen = see_picture(tmp_path / "picture", channels=1).pixels[:, :, 0]
    assert (seen > 200).tolist() == (np.asarray(image.convert("L")) > 200).tolist()
    assert form in FORMATS
    assert is_picture(tmp_path / "picture") == (form != "TGA")


def test_a_text_is_no_picture_whatever_its_first_letters_are(tmp_path):
    for text in ("", "hi", "Python", "P6", "\n", "BM", "II*", "\x0c\0\0"):
        (tmp_path / "text.png").write_text(text)
        assert is_picture(tmp_path / "text.png") == (text == "BM")
    assert len(chunk(b"abcd", b"")) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"background": "wite"}, "--background must be a colour"),
        ({"levels": (3, 3)}, "--levels must be black and white"),
        ({"levels": (0, float("nan"))}, "--levels must be black and white"),
        ({"levels": (0, 9)}, "in colours"),
    ],
)
def test_options_that_are_none(options, words, tmp_path):
    (tmp_path / "picture").write_bytes(saved(RGB))
    with pytest.raises(ValueError, match=words):
        see_picture(tmp_path / "picture", **options)
