"""Placements run the same training step on many devices and processes: data, fully sharded and tensor parallelism.

A placement says where a step runs; `fit(placement=...)` ends at the parameters that one device would reach.

| placement | what it does |
| --- | --- |
| `placement("single")` | one device runs the whole batch |
| `placement("pmap")`, `"shard_map"`, `"automatic"` | data parallelism, mapped or divided by XLA |
| `placement("local_rows")` | as shard_map, but each process keeps only its own rows of the training data |
| `placement("fully_sharded")`, `shard_by(fully_sharded())` | divides parameters and optimizer state, too (ZeRO, FSDP) |
| `shard_by(tensor_parallel(columns=[...], rows=[...]), model=4)` | divides layers by path (Megatron) |

`explain_sharding` shows the rules, `report_memory` the bytes before the run.
Asynchronous SGD is elsewhere: simulated in `jaxnn.asynchronous`, and on Ray in `jaxnn.parameter_server`.
"""

from jaxnn.parallel.memory_report import MemoryReport as MemoryReport
from jaxnn.parallel.memory_report import report_memory as report_memory
from jaxnn.parallel.memory_report import shapes_of as shapes_of
from jaxnn.parallel.placements import AXIS as AXIS
from jaxnn.parallel.placements import PLACEMENTS as PLACEMENTS
from jaxnn.parallel.placements import Automatic as Automatic
from jaxnn.parallel.placements import LocalRows as LocalRows
from jaxnn.parallel.placements import Pmap as Pmap
from jaxnn.parallel.placements import ShardMap as ShardMap
from jaxnn.parallel.placements import Single as Single
from jaxnn.parallel.placements import placement as placement
from jaxnn.parallel.placements import rows_of_process as rows_of_process
from jaxnn.parallel.scaling_model import Link as Link
from jaxnn.parallel.scaling_model import all_reduce_seconds as all_reduce_seconds
from jaxnn.parallel.scaling_model import break_even as break_even
from jaxnn.parallel.scaling_model import efficiency as efficiency
from jaxnn.parallel.scaling_model import step_seconds as step_seconds
from jaxnn.parallel.sharded_placement import Sharded as Sharded
from jaxnn.parallel.sharded_placement import shard_by as shard_by
from jaxnn.parallel.sharding_rules import Divide as Divide
from jaxnn.parallel.sharding_rules import Largest as Largest
from jaxnn.parallel.sharding_rules import ShardingRules as ShardingRules
from jaxnn.parallel.sharding_rules import explain_sharding as explain_sharding
from jaxnn.parallel.sharding_rules import fully_sharded as fully_sharded
from jaxnn.parallel.sharding_rules import tensor_parallel as tensor_parallel
