"""What does each device keep of a wide MLP: by data parallelism, by FSDP, by tensor parallelism, by both?

    python experiments/wide_head.py

VGG's head, 25088-4096-4096-1000, has 123.6 million of the network's 138 million parameters (Simonyan and Zisserman
2015, arXiv 1409.1556); with Adam's moments that is 1.5 GB of state, on every device under data parallelism. One
training step is compiled for eight devices under each placement, and never run: no array of that size is made.
"by rule" is what `jaxnn.parallel.report_memory` says from the shapes alone; "XLA" is `compiled.memory_analysis()`.
FSDP gathers each layer's weights where they are needed (ZeRO, arXiv 1910.02054): its temporary memory has at least the
largest kernel, 392 MiB here. What stands under "temporary" is the CPU backend's: it sums all gradients whole, in one
all-reduce, and then takes its parts, where a reduce-scatter would make the parts alone. Tensor parallelism
(Megatron-LM, arXiv 1909.08053) never makes a layer whole, and keeps the whole batch's inputs on every device instead.

Expected: state on a device falls to an eighth under each; what is temporary under FSDP does not fall here, and under
tensor parallelism to a sixteenth.
Hardware: any; a minute on two cores.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import tyro
from benchmarks.measuring import markdown

from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adam
from jaxnn.parallel.memory_report import batch_like, report_memory
from jaxnn.parallel.sharded import Sharded, shard_by
from jaxnn.parallel.sharding_rules import Largest, ShardingRules, explain_sharding, fully_sharded, tensor_parallel
from jaxnn.training import TrainStep, init_state

HEADER = (
    "placement, data x model", "parameters", "optimizer", "gradients", "activations", "arguments by rule", "by XLA",
    "temporary by XLA", "peak by XLA",
)  # fmt: skip
LAYERS = {"columns": ("hidden1", "logits"), "rows": ("hidden2",)}


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    widths: tuple[int, ...] = (25088, 4096, 4096, 1000)
    batch_size: int = 256
    devices: int = 8
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, widths=(512, 256, 256, 128), batch_size=32)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", settings.devices)
    step, state, batch = workload(settings)
    report = partial(report_memory, step, state, batch, compiled=True)
    rows = [cells(name, report(placement=place)) for name, place in placements().items()]
    print(markdown(HEADER, rows))
    print(f"\nMiB a device of {settings.devices}; {'-'.join(map(str, settings.widths))}, batch {settings.batch_size}\n")
    both = placements()["both"]
    print(explain_sharding(both.rules, state.params, both.mesh.shape))


def workload(settings: Settings):
    """The step, and the shapes of its state and batch."""
    inputs, *hidden, classes = settings.widths
    model, optimizer = MLP(features=tuple(hidden), classes=classes), adam(1e-3)
    x = jax.ShapeDtypeStruct((1, inputs), np.float32)
    state = jax.eval_shape(lambda x: init_state(model, optimizer, x, key=0), x)
    return TrainStep(model, cross_entropy, optimizer.update), state, batch_like(x, settings.batch_size)


def placements() -> dict[str, Sharded]:
    """Over all devices; "both" has groups of two for the layers, and divides over the groups what is left."""
    devices = len(jax.devices())
    return {
        "data parallel": shard_by(ShardingRules()),
        "FSDP": shard_by(fully_sharded()),
        "tensor parallel": shard_by(tensor_parallel(**LAYERS), model=devices),
        "both": shard_by(tensor_parallel(**LAYERS, largest=Largest()), model=2),
    }


def cells(name: str, report) -> tuple[str, ...]:
    shape = placements()[name].mesh.shape
    own, xla = report, report.allocated
    sizes = own.parameters, own.optimizer, own.gradients, own.activations, own.arguments
    sizes += xla.arguments, xla.temporary, xla.peak
    return f"{name}, {shape['data']} x {shape['model']}", *(f"{size / 2**20:,.1f}" for size in sizes)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
