"""`read_cifar10` reads the binary version of CIFAR-10.

The file is a sequence of records of 3073 bytes: a label, then the planes R, G and B of 32 x 32 pixels by rows.

Krizhevsky, "Learning multiple layers of features from tiny images" (2009), https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from os import PathLike

import numpy as np

from jaxnn.bounded_files import read_bounded

_SIDE, _CHANNELS, _CLASSES = 32, 3, 10
MOST_BYTES = 2**30  # five times the size of all batches together
_RECORD = 1 + _CHANNELS * _SIDE * _SIDE


def read_cifar10(source: str | PathLike | bytes, *, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """Reads the images and labels of a batch in the binary layout of CIFAR-10.

    Args:
        source: the path of a batch file, or the bytes of one or of several joined batch files.
        most: the largest allowed size of the file in bytes; memory for more is never allocated.

    Returns:
        A split: `image` uint8 (n, 32, 32, 3), the planes interleaved into pixels, and `label` int32 (n,).

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is empty, is larger than `most`, is not a regular file, does not have a whole number of
            records, or has a label above 9.

    >>> split = read_cifar10(bytes([7]) + bytes(1024) + bytes([9]) * 1024 + bytes([255]) * 1024)
    >>> split["label"], split["image"][0, 31, 31]
    (array([7], dtype=int32), array([  0,   9, 255], dtype=uint8))
    """
    is_content = isinstance(source, (bytes, bytearray, memoryview))
    name, content = ("bytes", source) if is_content else (str(source), read_bounded(source, most=most))
    if not len(content) or len(content) % _RECORD:
        raise _damaged(name, f"one or more records of {_RECORD} bytes", f"{len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    label, planes = records[:, 0].astype(np.int32), records[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    if label.max() >= _CLASSES:
        raise _damaged(name, f"labels from 0 to {_CLASSES - 1}", f"label {label.max()} in record {label.argmax()}")
    return {"image": np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), "label": label}


def _damaged(name: str, expected: str, received: str) -> ValueError:
    return ValueError(
        f"{name} is no CIFAR-10 batch: expected {expected}; received {received}. "
        "Delete it and fetch it again from its source."
    )
