"""PyTorch as its users write it: eager, data in the device's memory, batches by random permutation. Prints images/s.

A workload with `members` trains so many networks one after the other; the rate is then of all of them.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def mlp32():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))


DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NETWORKS = {"lenet5": lenet5, "mlp": mlp, "mlp32": mlp32}


def read(workload, split):
    """Images (examples, 1, 28, 28) as bytes, labels as integers."""
    with np.load(workload["data"]) as arrays:
        images, labels = torch.from_numpy(arrays[f"{split}_image"]), torch.from_numpy(arrays[f"{split}_label"])
    return images.permute(0, 3, 1, 2).contiguous().to(DEVICE), labels.long().to(DEVICE)


def standardize(images, workload):
    return (images.float() / 255 - workload["mean"]) / workload["std"]


def train_epoch(model, optimizer, images, labels, workload, schedule=None):
    for rows in torch.randperm(len(images), device=DEVICE).split(workload["batch_size"]):
        loss = F.cross_entropy(model(standardize(images[rows], workload)), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def main(workload):
    torch.set_num_threads(workload["threads"])
    images, labels = read(workload, "train")
    train(images, labels, workload, epochs=1)
    start, members = time.perf_counter(), workload.get("members", 1)
    for _ in range(members):
        train(images, labels, workload, epochs=workload["epochs"])
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    print(json.dumps({"images_per_second": members * workload["epochs"] * len(images) / seconds}))


def train(images, labels, workload, *, epochs):
    model = NETWORKS[workload["network"]]().to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=workload["learning_rate"])
    for _ in range(epochs):
        train_epoch(model, optimizer, images, labels, workload)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
