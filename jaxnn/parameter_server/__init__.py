"""A real parameter server: Downpour SGD in processes of Ray, logged so that the run can be replayed to the bit.

`train_asynchronously` starts servers and workers on this machine or on a cluster and restarts what dies. Every push is
in the log before anyone can read what it changed; `replay_run` computes the run again from the log, in one process.
Ray is imported when it is needed (`pip install "jaxnn[ray]"`).
"""

from jaxnn.parameter_server.downpour_worker import Downpour as Downpour
from jaxnn.parameter_server.log_replay import lost_updates as lost_updates
from jaxnn.parameter_server.log_replay import replay_run as replay_run
from jaxnn.parameter_server.push_log import push_rows as push_rows
from jaxnn.parameter_server.push_log import read_log as read_log
from jaxnn.parameter_server.ray_cluster import train_asynchronously as train_asynchronously
from jaxnn.parameter_server.ray_replay import replay_on_ray as replay_on_ray
