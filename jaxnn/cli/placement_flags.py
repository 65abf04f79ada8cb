"""Functions that choose the devices of a training from `--placement` and `--devices`, in one process or in many."""

import contextlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from jaxnn.cli.recorded_places import resumption
from jaxnn.cli.training_flags import Training
from jaxnn.cli.work_limits import bytes_told

LARGE = 2**26  # bytes, or numbers in a batch; from here on the memory of the step is counted too
OF_MANY = ("shard_map", "automatic", "fully_sharded", "local_rows")  # placements for the devices of several processes


def choose_placement(config: Training, *, resume: bool):
    """Returns the placement of a training; this is the first access to a device.

    Raises:
      ValueError: there are fewer devices than asked for, they cannot divide the batch, or the placement is for one
        process and there are many.
    """
    import jax

    if jax.distributed.is_initialized() and jax.process_count() > 1:
        placement = _placement(placement_of_many(config, jax.process_count(), resume=resume), jax.devices())
    else:
        placement = _placement_of_one(config)
    check_divides(config, placement.batch_shards)
    return placement


def own_rows(data, placement):
    """Returns the training data of this process: its own rows if the placement divides them, else all rows."""
    from jaxnn.parallel import LocalRows, rows_of_process

    return rows_of_process(data, placement) if isinstance(placement, LocalRows) else data


def memory_of(task, placement, *, batch_size: int, compiled: bool = False):
    """Returns the `MemoryReport` of a training step from the shapes alone; see `jaxnn.parallel.report_memory`."""
    import jax

    from jaxnn.parallel import report_memory
    from jaxnn.training.batching import first_example

    example = first_example(task.train)
    state = jax.eval_shape(task.trial.init, jax.random.key(0), example)
    batch = {name: jax.ShapeDtypeStruct((batch_size, *x.shape[1:]), x.dtype) for name, x in example.items()}
    batch["mask"] = jax.ShapeDtypeStruct((batch_size,), bool)
    return report_memory(task.trial.step, state, batch, placement=placement, compiled=compiled)


def check_memory(task, placement, *, batch_size: int) -> None:
    """Raises ValueError if a training needs more memory than the devices of this process have free.

    The data on every device and the state are counted. The memory of a step takes longer to count, so it is counted
    only if the state or the batch is large.
    """
    import jax

    from jaxnn.parallel import LocalRows
    from jaxnn.populations.member_memory import free_memory, size_of
    from jaxnn.runs.training_run import shape_of_state
    from jaxnn.training.batching import first_example

    own = {*jax.local_devices()}
    devices = [device for device in getattr(placement, "devices", jax.devices()[:1]) if device in own]
    copies = 1 if isinstance(placement, LocalRows) else len(devices)
    data = copies * size_of((task.train, task.validation, task.test))
    example, state = first_example(task.train), size_of(shape_of_state(task))
    free = free_memory(devices[0]) * (1 if devices[0].platform == "cpu" else len(devices))
    is_large = max(state, batch_size * sum(x.size for x in example.values())) > LARGE
    if is_large and state <= free:
        state = memory_of(task, placement, batch_size=batch_size).total * len(devices)
    if data + state > free:
        raise ValueError(
            f"this training needs about {bytes_told(data + state)}, {bytes_told(data)} of it for the data; "
            f"{bytes_told(free)} are free here. Take fewer --devices, a smaller --batch-size, "
            "fewer --train-examples or a smaller model."
        )


def describe_memory(report, devices: int) -> str:
    """Describes the memory of a step in one line."""
    parts = ("parameters", report.parameters), ("the optimizer's state", report.optimizer)
    told = " and ".join(f"{size / 2**20:.2f} for its part of {name}" for name, size in parts)
    return f"a step takes about {report.total / 2**20:.2f} MiB on each of {devices} devices, {told}"


def placement_of_many(config: Training, processes: int, *, resume: bool = False) -> str:
    """Returns the name of the placement over several processes; a run that began in one continues with `shard_map`.

    Raises:
      ValueError: the flags ask for a placement or devices of one process.
    """
    if processes == 1 or config.placement in OF_MANY:
        return config.placement or "single"
    for flag in () if resume else ("placement", "devices"):
        if (value := getattr(config, flag)) is not None:
            raise ValueError(
                f"--{flag} {value} is for one process; received it for {processes}. Leave it out: every process has a "
                f"device of its own. --placement {' or '.join(OF_MANY)} serves all."
            )
    return "shard_map"


def check_divides(config: Training, parts: int) -> None:
    """Raises ValueError unless a batch can be divided into `parts` equal parts."""
    if config.batch_size % parts:
        raise ValueError(
            f"--batch-size must be a multiple of the {parts} devices that share a batch; received {config.batch_size}. "
            f"Take {max(1, config.batch_size // parts) * parts}."
        )


def resume_line(folder: Path, environment: Mapping[str, str], config: Training) -> str:
    """Returns the command that continues a run in as many processes as started it.

    >>> four = {"JAXNN_COORDINATOR": "127.0.0.1:7000", "JAXNN_PROCESSES": "4"}
    >>> resume_line(Path("runs/mlp-001"), four, Training("mlp"))
    'jaxnn launch -n 4 -- resume runs/mlp-001'
    """
    words = resumption(folder, config)
    if "JAXNN_COORDINATOR" in environment:
        processes = environment.get("JAXNN_PROCESSES")
        words[1:1] = ["launch", *(["-n", processes] if processes else ["--cluster"]), "--"]
    return shlex.join(words)


def _placement_of_one(config):
    import jax

    if config.devices is not None:
        with contextlib.suppress(RuntimeError):  # JAX already uses its devices, so their number stays
            jax.config.update("jax_num_cpu_devices", config.devices)
    name = config.placement or ("single" if config.devices in (None, 1) else "shard_map")
    here = jax.devices()
    if config.devices is not None and config.devices > len(here):
        raise ValueError(f"--devices must be at most {len(here)}, those JAX finds here; received {config.devices}.")
    return _placement(name, here[: config.devices])


def _placement(name, devices):
    from jaxnn.parallel import placement
    from jaxnn.training.placement_contract import ONE_DEVICE

    return ONE_DEVICE if name == "single" else placement(name, devices)
