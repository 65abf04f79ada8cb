"""jaxnn as its users write it: `fit`, with a hook that reads the clock. Prints images per second after one epoch."""

import json
import sys
import time
from functools import partial

import numpy as np

from jaxnn.models import MLP, LeNet5
from jaxnn.optimizers import adam
from jaxnn.preprocessing import Standardize
from jaxnn.training import Evaluated, fit

NETWORKS = {"lenet5": LeNet5, "mlp": MLP, "mlp32": partial(MLP, features=(32,))}


def main(workload):
    with np.load(workload["data"]) as arrays:
        train = {"image": arrays["train_image"], "label": arrays["train_label"]}
    times = []

    def clock(event):
        if isinstance(event, Evaluated):  # the metrics were fetched: nothing of the epoch is still running
            times.append(time.perf_counter())

    fit(
        NETWORKS[workload["network"]](),
        train,
        optimizer=adam(workload["learning_rate"]),
        epochs=1 + workload["epochs"],
        batch_size=workload["batch_size"],
        preprocess=Standardize((workload["mean"],), (workload["std"],)),
        hooks=[clock],
    )
    images = workload["epochs"] * len(train["label"])
    print(json.dumps({"images_per_second": images / (times[-1] - times[0])}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
