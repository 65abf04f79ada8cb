import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxnn.data import read_cifar10


def encode(image, label):
    """The binary batch of images NHWC, plane by plane, written from Krizhevsky's page and not from the reader."""
    records = (
        bytes([k]) + b"".join(picture[:, :, c].tobytes() for c in range(3))
        for picture, k in zip(image, label, strict=True)
    )
    return b"".join(records)


def batch(n, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, 32, 32, 3), np.uint8), generator.integers(0, 10, n, np.int32)


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    picture=hnp.arrays(np.uint8, (32, 32, 3), elements=st.integers(0, 255)),
)
def test_reads_back_what_an_independent_encoder_wrote(labels, picture):
    image = np.stack([np.roll(picture, i) for i in range(len(labels))])
    split = read_cifar10(encode(image, labels))
    np.testing.assert_array_equal(split["image"], image, strict=True)
    np.testing.assert_array_equal(split["label"], np.array(labels, np.int32), strict=True)


def test_reads_a_file_and_several_batches_joined(tmp_path):
    image, label = batch(5)
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(encode(image[:3], label[:3]))
    np.testing.assert_array_equal(read_cifar10(path)["image"], image[:3])
    joined = read_cifar10(path.read_bytes() + encode(image[3:], label[3:]))
    np.testing.assert_array_equal(joined["image"], image)
    np.testing.assert_array_equal(joined["label"], label)
    assert joined["image"].flags.c_contiguous


WHOLE = encode(*batch(2))
DAMAGED = {
    "empty": (b"", "received 0 bytes"),
    "truncated": (WHOLE[:-1], "expected one or more records of 3073 bytes; received 6145 bytes"),
    "trailing byte": (WHOLE + b"\0", "received 6147 bytes"),
    "label 10": (WHOLE[:3073] + b"\x0a" + WHOLE[3074:], "labels from 0 to 9; received label 10 in record 1"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_refuses_what_is_damaged(tmp_path, content, message):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_cifar10(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_cifar10(tmp_path / "nowhere.bin")
