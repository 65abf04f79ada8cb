"""A replay runs here in a process like those of the run, so that it computes the same numbers on any device here."""

import os

import jax

from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.log_replay import replay_run
from jaxnn.parameter_server.ray_startup import actor_environment, ray_session, require_ray
from jaxnn.training.train_state import TrainState
from jaxnn.training.train_step import TrainStep


def replay_on_ray(
    step: TrainStep,
    state: TrainState,
    data,
    *,
    init,
    settings: Downpour,
    folder: str | os.PathLike,
    address: str | None = None,
) -> TrainState:
    """Calls `replay_run` in a process of Ray, with one thread on the CPU, as servers and workers compute.

    Args:
      step, state, data, init, settings, folder: see `replay_run`.
      address: see `ray_session`; in a cluster of different machines the process may run on one that rounds differently.

    Raises:
      ImportError: Ray is not installed.
      FileNotFoundError, ValueError: as in `replay_run`.
    """
    with ray_session(address, cpus=1) as ray:
        shared = ray.put((step, jax.device_get(state._replace(key=None)), data))
        replay = ray.remote(_replay).options(num_cpus=1, max_retries=0, runtime_env=actor_environment())
        try:
            again = ray.get(replay.remote([shared], init, settings, os.path.abspath(folder)))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
    return again._replace(key=state.key)


def _replay(shared, init, settings, folder):
    step, state, data = require_ray().get(shared[0])
    return jax.device_get(replay_run(step, state, data, init=init, settings=settings, folder=folder))
