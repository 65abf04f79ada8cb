"""`SOURCES` describes each dataset: its classes and statistics, its files with their hashes, and its publication.

`contents` has the hash of the uncompressed content of each file. So the same table accepts MNIST as packaged here, as
LeCun published it, and as any distribution compressed it again. `downloads` has the hash of each file, byte for byte,
as the mirrors serve it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxnn.data.cifar import read_cifar10
from jaxnn.data.idx import read_idx

MOST_BYTES = 2**26  # of an unpacked file; the largest file of the table has 47 040 016
Split = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Is one row of the table `SOURCES`."""

    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of the training pixels scaled to [0, 1]
    std: tuple[float, ...]
    licence: str
    page: str
    contents: dict[str, str]  # the name of a file -> sha256 of its uncompressed content
    read: Callable[[dict[str, bytes]], tuple[Split, Split]]  # the contents of the files -> train, test
    folder: Path | None = None  # where the package or a distribution keeps the files
    mirrors: tuple[str, ...] = ()  # a mirror + a name in `downloads` is an address
    downloads: dict[str, str] | None = None  # the name of a published file -> its sha256
    layouts: tuple[str, ...] = ()  # subfolders in which torchvision, Keras and the archive itself have the files
    archive: str | None = None  # the file in which Keras keeps all of it
    pickles: str | None = None  # the name of a file of the version for Python, which is never read


def read_idx_splits(contents: dict[str, bytes]) -> tuple[Split, Split]:
    """Reads the four files of the layout of MNIST; grey images (n, height, width) get a channel axis."""

    def split(prefix: str) -> Split:
        image = read_idx(contents[f"{prefix}-images-idx3-ubyte.gz"])
        label = read_idx(contents[f"{prefix}-labels-idx1-ubyte.gz"])
        return {"image": image[..., None], "label": label.astype(np.int32)}

    return split("train"), split("t10k")


IN_KERAS = {  # the name of a file of the layout of MNIST -> the name of its array in the archive of Keras
    "train-images-idx3-ubyte.gz": "x_train",
    "train-labels-idx1-ubyte.gz": "y_train",
    "t10k-images-idx3-ubyte.gz": "x_test",
    "t10k-labels-idx1-ubyte.gz": "y_test",
}


def read_cifar10_splits(contents: dict[str, bytes]) -> tuple[Split, Split]:
    """Reads the five training batches, in order, and the test batch."""
    train = b"".join(contents[f"data_batch_{i}.bin"] for i in range(1, 6))
    return read_cifar10(train), read_cifar10(contents["test_batch.bin"])


SOURCES = {
    "mnist": Source(
        classes=tuple("0123456789"),
        mean=(0.1307,),
        std=(0.3081,),
        licence="CC BY-SA 3.0",
        page="http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes and Burges)",
        contents={
            "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        read=read_idx_splits,
        folder=Path(__file__).parent / "mnist",
        layouts=("MNIST/raw", "raw"),
        archive="mnist.npz",
    ),
    "fashion_mnist": Source(
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        mean=(0.2860,),
        std=(0.3530,),
        licence="MIT",
        page="https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul and Vollgraf, arXiv:1708.07747)",
        contents={
            "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        read=read_idx_splits,
        folder=Path("/usr/share/datasets/fashion-mnist"),  # Debian's dataset-fashion-mnist
        layouts=("FashionMNIST/raw", "fashion-mnist", "raw"),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        downloads={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "cifar10": Source(
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        licence="none stated; cite Krizhevsky (2009)",
        page="https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky, Nair and Hinton)",
        contents={
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        read=read_cifar10_splits,
        layouts=("cifar-10-batches-bin",),
        pickles="data_batch_1",
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://cave.cs.toronto.edu/kriz/",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
        ),
        # md5 c32a1d4ab5d03f1284b67883e8d87530 on Krizhevsky's page
        downloads={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    ),
}
