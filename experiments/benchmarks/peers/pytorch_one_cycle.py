"""PyTorch, eager, trained by the recipe of `jaxnn train lenet5`: Adam and one-cycle. Prints the test accuracy."""

import json
import sys

import torch
from pytorch_eager import DEVICE, NETWORKS, read, standardize, train_epoch


@torch.no_grad()
def accuracy(model, images, labels, workload):
    model.eval()
    batches = zip(images.split(500), labels.split(500), strict=True)
    correct = sum((model(standardize(x, workload)).argmax(1) == y).sum().item() for x, y in batches)
    return correct / len(images)


def main(workload):
    torch.set_num_threads(workload["threads"])
    torch.manual_seed(workload["seed"])
    images, labels = read(workload, "train")
    model, peak = NETWORKS[workload["network"]]().to(DEVICE), workload["learning_rate"]
    optimizer = torch.optim.Adam(model.parameters(), lr=peak)
    steps = workload["epochs"] * -(-len(images) // workload["batch_size"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, total_steps=steps, pct_start=workload["warmup"], cycle_momentum=False
    )
    for _ in range(workload["epochs"]):
        train_epoch(model, optimizer, images, labels, workload, schedule)
    print(json.dumps({"accuracy": accuracy(model, *read(workload, "test"), workload)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
