"""A population of jaxnn, a CPU device for each core: other seeds, or other settings of one seed. Prints JSON.

`images_per_second` counts the images of all members, in the epochs after the first; `seconds` is the whole of `fit`,
compilation included.
"""

import json
import sys
import time
from functools import partial

import jax
import numpy as np

from jaxnn import populations
from jaxnn.models import MLP, LeNet5
from jaxnn.optimizers import adamw
from jaxnn.preprocessing import Standardize
from jaxnn.training import Evaluated

NETWORKS = {"lenet5": LeNet5, "mlp32": partial(MLP, features=(32,))}


def members_of(workload, examples):
    """16 seeds; or 64 settings; or 20 settings on each of five folds."""
    rate = workload["learning_rate"]
    if workload["what"] == "seeds":
        return populations.members_of([{"learning_rate": rate, "weight_decay": 0.0}], seeds=range(workload["members"]))
    settings = populations.grid(
        learning_rate=np.geomspace(rate / 10, rate * 10, workload["rates"]).tolist(),
        weight_decay=np.geomspace(1e-5, 1e-1, workload["decays"]).tolist(),
    )
    splits = populations.k_fold(examples, 5) if workload["what"] == "folds" else [None]
    return populations.members_of(settings, splits=splits)


def main(workload):
    begun = time.perf_counter()
    jax.config.update("jax_num_cpu_devices", workload["threads"])
    with np.load(workload["data"]) as arrays:
        train = {"image": arrays["train_image"], "label": arrays["train_label"]}
    times = []

    def clock(event):
        if isinstance(event, Evaluated):
            times.append(time.perf_counter())

    members = members_of(workload, len(train["label"]))
    trained = populations.fit(
        NETWORKS[workload["network"]](),
        train,
        members,
        optimizer=adamw,
        epochs=workload["epochs"] + 1,
        batch_size=workload["batch_size"],
        preprocess=Standardize((workload["mean"],), (workload["std"],)),
        hooks=[clock],
    )
    images = len(members) * workload["epochs"] * workload["batch_size"] * (
        int(trained.states[0].step) // (workload["epochs"] + 1)
    )  # fmt: skip
    rate = images / (times[-1] - times[0])
    print(json.dumps({"images_per_second": rate, "seconds": time.perf_counter() - begun, "members": len(members)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
