"""A real parameter server runs Downpour SGD in processes of Ray and logs it, so that it can be replayed bit for bit.

`train_asynchronously` starts servers and workers on this machine or on a cluster and restarts those that die. Every
push is in the log before anyone can read its effect; `replay_run` computes the run again from the log, in one process.
Ray is imported only when it is needed (`pip install "jaxnn[ray]"`).
"""

from jaxnn.parameter_server.downpour_worker import Downpour as Downpour
from jaxnn.parameter_server.log_replay import lost_updates as lost_updates
from jaxnn.parameter_server.log_replay import replay_run as replay_run
from jaxnn.parameter_server.push_log import push_rows as push_rows
from jaxnn.parameter_server.push_log import read_log as read_log
from jaxnn.parameter_server.ray_cluster import train_asynchronously as train_asynchronously
from jaxnn.parameter_server.ray_replay import replay_on_ray as replay_on_ray
