"""What the report says by the shapes is what XLA allocates, and division by N divides by N."""

import jax
import numpy as np
import pytest
from rings import first_of

from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adam, sgd
from jaxnn.parallel.memory_report import kept_activations, report_memory, shapes_of, size_on_device
from jaxnn.parallel.placements import placement
from jaxnn.parallel.sharded_placement import shard_by
from jaxnn.parallel.sharding_rules import Largest, ShardingRules, fully_sharded, tensor_parallel
from jaxnn.training import TrainStep, supervised
from jaxnn.training.placement_contract import ONE_DEVICE

WIDE = MLP(features=(1024, 1024), classes=1000)
LAYERS = {"columns": ["hidden1", "logits"], "rows": ["hidden2"]}
PLACEMENTS = {
    "data parallel": lambda: shard_by(ShardingRules()),
    "fsdp": lambda: shard_by(fully_sharded()),
    "tensor parallel": lambda: shard_by(tensor_parallel(**LAYERS), model=8),
    "both": lambda: shard_by(tensor_parallel(**LAYERS, largest=Largest()), model=2),
}


def workload(model=WIDE, inputs=2048, batch_size=64, optimizer=None):
    optimizer = optimizer or adam(1e-3)
    step = TrainStep(supervised(model, cross_entropy), optimizer.update)
    data = {"image": jax.ShapeDtypeStruct((1, inputs), np.float32), "label": jax.ShapeDtypeStruct((1,), np.int32)}
    return step, *shapes_of(step, optimizer, data, batch_size=batch_size)


@pytest.fixture(scope="module")
def reports():
    """Each compiled once; nothing runs."""
    made = {}

    def report(name):
        if name not in made:
            made[name] = report_memory(*workload(), placement=PLACEMENTS[name](), compiled=True)
        return made[name]

    return report


@first_of("name", PLACEMENTS)
def test_arguments_are_those_that_xla_allocates(name, reports):
    report = reports(name)
    assert report.arguments == pytest.approx(report.allocated.arguments, rel=0.01)
    assert report.allocated.aliased == pytest.approx(report.allocated.outputs, rel=0.01)  # the state is donated


@first_of("name", ["fsdp", "tensor parallel", "both"])
def test_parameters_and_moments_shrink_by_nearly_the_number_of_devices(name, reports):
    ours, whole = reports(name), reports("data parallel")
    assert 7.9 < whole.parameters / ours.parameters <= 8
    assert 7.9 < whole.optimizer / ours.optimizer <= 8
    assert ours.gradients == ours.parameters
    state = [report.allocated.arguments - report.batch for report in (ours, whole)]
    assert 7.9 < state[1] / state[0] <= 8


@pytest.mark.full
def test_what_is_temporary_shrinks_too(reports):
    """Tensor parallelism never makes a layer whole; FSDP makes one whole at a time, and its gradient is divided."""
    whole = reports("data parallel").allocated.peak
    assert reports("tensor parallel").allocated.peak < whole / 4
    assert reports("both").allocated.peak < whole / 2
    assert reports("fsdp").allocated.peak < whole / 1.5


def test_sizes_are_counted_by_hand():
    report = report_memory(*workload(), placement=PLACEMENTS["data parallel"]())
    parameters = 2048 * 1024 + 1024 * 1024 + 1024 * 1000 + 2 * 1024 + 1000
    assert report.parameters == 4 * parameters
    assert report.optimizer == pytest.approx(8 * parameters, abs=16)
    assert report.batch == 64 // 8 * (4 * 2048 + 4 + 1)
    assert report.total == report.arguments + report.gradients + report.activations
    assert report_memory(*workload(optimizer=sgd(0.1)), placement=PLACEMENTS["fsdp"]()).optimizer < 16


def test_placements_that_keep_all_whole_are_reported_too():
    whole = report_memory(*workload(), placement=PLACEMENTS["data parallel"]())
    assert report_memory(*workload(), placement=placement("shard_map")) == whole
    assert report_memory(*workload(), placement=ONE_DEVICE).batch == 8 * whole.batch


def test_activations_are_what_is_kept_for_the_backward_pass():
    """The units at least, and little beside them; neither kernels nor inputs."""
    kept = lambda **changes: kept_activations(*workload(**changes))
    units = 64 * (1024 + 1024 + 1000)
    assert 4 * units <= kept() <= 3 * 4 * units
    assert kept(batch_size=128) == pytest.approx(2 * kept(), rel=0.01)
    assert kept(inputs=4096) == kept()


def test_the_report_reads_as_a_table(reports):
    lines = str(reports("fsdp")).splitlines()
    assert [line.split("  ")[0] for line in lines[:6]] == list(reports("fsdp")._fields[:6])
    assert lines[-1].startswith("allocated by XLA: peak")
    assert all(line.endswith("MiB a device") for line in lines)
    assert "XLA" not in str(reports("fsdp")._replace(allocated=None))


def test_sizes_of_arrays_are_those_of_their_shards():
    x = np.zeros((16, 4), np.float32)
    rows = jax.device_put(
        x, jax.sharding.NamedSharding(shard_by(ShardingRules()).mesh, jax.sharding.PartitionSpec("data"))
    )
    assert size_on_device({"rows": rows, "whole": x, "key": jax.random.key(0)}) == 2 * 16 + 16 * 16 + 8


def test_a_batch_that_does_not_divide_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"among the 8 parts of the placement; received \[60\] examples\. Take 56"):
        report_memory(*workload(batch_size=60), placement=PLACEMENTS["fsdp"]())
