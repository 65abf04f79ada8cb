"""Describes each placement under its name; it imports no jax, so that the command line can list the placements."""

PLACEMENT_NAMES = {
    "single": "one device, the whole batch",
    "pmap": "each device a part of the batch, as the course has it; one process",
    "shard_map": "the same over a mesh of devices, in any number of processes",
    "automatic": "the program of one device, which XLA divides",
    "fully_sharded": "automatic, and each device keeps only a part of parameters and moments (ZeRO, FSDP)",
    "local_rows": "shard_map, and each device keeps only its own rows of the training data",
}
