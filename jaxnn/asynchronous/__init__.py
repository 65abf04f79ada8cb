"""Asynchronous SGD is simulated here exactly: the gradients are those of `training`, but they are applied late.

A seeded model of compute and network times (`WorkerTimes`, `simulate`) gives the order of events, a `Program` of
integer arrays. One compiled scan runs it. `downpour`, `hogwild`, `easgd`, `local_sgd`, `diloco` and `synchronous` (with
backup workers) differ in what an event does. The same program always gives the same result, bit for bit.
"""

from jaxnn.asynchronous.backup_workers import synchronous as synchronous
from jaxnn.asynchronous.downpour_on_devices import downpour_waves as downpour_waves
from jaxnn.asynchronous.downpour_sgd import downpour as downpour
from jaxnn.asynchronous.downpour_sgd import replay as replay
from jaxnn.asynchronous.downpour_sgd import replicate as replicate
from jaxnn.asynchronous.elastic_averaging import easgd as easgd
from jaxnn.asynchronous.event_logs import Log as Log
from jaxnn.asynchronous.event_logs import log_of as log_of
from jaxnn.asynchronous.event_logs import program_of as program_of
from jaxnn.asynchronous.event_scan import Cluster as Cluster
from jaxnn.asynchronous.event_scan import Shards as Shards
from jaxnn.asynchronous.event_simulation import Program as Program
from jaxnn.asynchronous.event_simulation import in_turns as in_turns
from jaxnn.asynchronous.event_simulation import simulate as simulate
from jaxnn.asynchronous.gradient_compression import EightBits as EightBits
from jaxnn.asynchronous.gradient_compression import Exact as Exact
from jaxnn.asynchronous.gradient_compression import TopK as TopK
from jaxnn.asynchronous.hogwild_updates import hogwild as hogwild
from jaxnn.asynchronous.local_sgd_rounds import diloco as diloco
from jaxnn.asynchronous.local_sgd_rounds import local_cluster as local_cluster
from jaxnn.asynchronous.local_sgd_rounds import local_sgd as local_sgd
from jaxnn.asynchronous.staleness_counts import clock_gaps as clock_gaps
from jaxnn.asynchronous.staleness_counts import staleness_of as staleness_of
from jaxnn.asynchronous.worker_times import Outage as Outage
from jaxnn.asynchronous.worker_times import WorkerTimes as WorkerTimes
from jaxnn.asynchronous.worker_times import round_times as round_times
