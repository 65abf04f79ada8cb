"""A Ray session is started on this machine for as long as it is needed, or joined where Ray already runs.

**Security.** Ray's processes send each other pickled Python, so anyone who reaches one of Ray's ports or sockets can
execute code as the user who runs Ray.

- A Ray that is started here listens only on the loopback interface, has no dashboard and sends no usage reports. Every
  user of this machine can reach loopback, so Ray's ports require a token. It is drawn anew each time, and only Ray's
  own processes know it. (Ray has tokens from version 2.52 on. It requires none if `RAY_AUTH_MODE` says so, or if Ray
  was imported before.) Ray's sockets are in a folder that only its user can enter and that is removed at the end.
- A cluster that is joined is trusted as a whole: it executes the code that this process sends, and this process
  unpickles the answers. Join a cluster only if every machine that reaches its ports is yours.
"""

import contextlib
import importlib.util
import os
import secrets
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
STORE_BYTES = 100 * 2**20
_ATTEMPTS = 3
_NO_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_SETTINGS = {  # Ray's settings, unless the environment already has them; Ray reads them when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "120",  # Ray's 30 seconds are too few on a busy machine
    "RAY_worker_register_timeout_seconds": "300",  # Ray's 60 seconds, likewise
    "RAY_worker_niceness": "0",  # with Ray's 15, an actor gets a thirtieth of a core that other work wants
}


def check_ray() -> None:
    """Raises ImportError, with the command to install Ray, if Ray is not installed; does not import Ray."""
    if importlib.util.find_spec("ray") is None:
        raise ImportError(
            "asynchronous training by servers and workers needs Ray, which is not installed. "
            'Run: pip install "jaxnn[ray]"'
        )


def require_ray():
    """Imports and returns the module `ray`; raises ImportError as `check_ray` does."""
    check_ray()
    import ray

    return ray


@contextlib.contextmanager
def ray_session(address: str | None = None, *, cpus: int = 3, host: str = LOOPBACK, store_bytes: int = STORE_BYTES):
    """Provides Ray while the block runs: starts it here or joins a cluster; leaves a Ray running that already ran.

    Args:
      address: the address of a cluster, "HOST:6379" or "ray://HOST:10001"; None starts Ray on this machine.
      cpus: how many actors may be placed on this machine at once, independent of its number of cores.
      host: the interface on which a Ray started here listens. Anyone who reaches its ports can run code. With an
        interface other than loopback that is anyone in the network, and Ray's authentication (`RAY_AUTH_MODE`) stays as
        it is set.
      store_bytes: bytes of shared memory for arrays that are being sent.

    Raises:
      ImportError: Ray is not installed.
      ValueError: an address of another form.
      ConnectionError: nothing answers at the address.
      RuntimeError: Ray was imported before it could be restricted to loopback.
      TimeoutError: Ray's processes do not start.
    """
    check_ray()
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    running = "ray" in sys.modules and require_ray().is_initialized()
    if not running and (host if address is None else _check_answers(address)) == LOOPBACK:
        _keep_to_loopback(is_own=address is None)
    ray = require_ray()
    if running:
        yield ray
        return
    with _private_folder() as folder:
        local = {
            "address": "local",  # never a cluster that RAY_ADDRESS names or an earlier program left running
            "num_cpus": cpus,
            "include_dashboard": False,
            "object_store_memory": store_bytes,
            "_node_ip_address": host,
            "_temp_dir": folder,
        }
        where = local if address is None else {"address": address}
        _start(ray, where)
        try:
            yield ray
        finally:
            ray.shutdown()


def _start(ray, where: dict) -> None:
    """Starts or joins Ray, and tries again after a timeout: half a minute may be too short on a busy machine."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with warnings.catch_warnings():  # JAX warns of every fork; Ray's forks at once become other programs
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(**where, log_to_driver=False, logging_level="error", configure_logging=False)
            return
        except Exception as error:  # Ray raises no narrower type
            ray.shutdown()
            if "timed out" not in str(error).lower():
                raise
            if not attempts_left:
                remedy = "Is the machine busy with other work? Try again when it is not."
                raise TimeoutError(f"Ray did not start in {_ATTEMPTS} attempts: {error} {remedy}") from error


def _check_answers(address: str) -> str:
    """Returns the host of an address after checking that something listens there.

    Without the check Ray would try for minutes and then end the process.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f'`address` must be "HOST:PORT" or "ray://HOST:PORT"; received {address!r}.')
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address}: {error}. Is it running? `ray start --head` begins one."
        ) from None
    return LOOPBACK if host == "localhost" else host


def _keep_to_loopback(*, is_own: bool) -> None:
    """Sets the environment variables that restrict Ray to this machine; Ray reads them only when it is imported.

    Also whether Ray requires a token is fixed when it is imported. Ray's own `_node_ip_address="127.0.0.1"` is not
    enough: Ray 2.60 replaces it by the machine's address, listens on all interfaces and looks there for a cluster,
    unless it believes that it runs on a system where it does not support clusters.
    """
    if "ray" in sys.modules and os.environ.get(_NO_CLUSTER) != "0":
        raise RuntimeError(
            f"Ray was imported before it was told to keep to the loopback interface. Set {_NO_CLUSTER}=0 in the "
            "environment, or call this first; or call ray.init yourself, as you want it."
        )
    asks = is_own and "ray" not in sys.modules
    os.environ[_NO_CLUSTER] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token" if asks else "disabled")  # unset, Ray writes one to the home folder
    if asks:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextlib.contextmanager
def _private_folder() -> Iterator[str]:
    """Makes a folder for Ray inside a folder that only this user can enter, because Ray opens its own to all (0777).

    The names are short, because the path of a socket in a Ray session must not exceed 107 bytes.
    """
    place = "/tmp" if os.path.isdir("/tmp") else None
    with tempfile.TemporaryDirectory(prefix="ray-", dir=place, ignore_cleanup_errors=True) as private:
        folder = os.path.join(private, "r")
        os.mkdir(folder)
        yield folder


def check_room(ray, actors: int) -> None:
    """Raises ValueError if there are fewer CPUs than actors, because Ray would wait for more CPUs without end."""
    there = int(ray.cluster_resources().get("CPU", 0))
    if there < actors:
        raise ValueError(
            f"the Ray cluster must have a CPU for each server and worker, {actors} in all; it has {there}. Take fewer, "
            f"add machines, or start it with: ray start --head --num-cpus {actors}"
        )


def actor_environment() -> dict:
    """Returns the environment of every actor before it imports jax: one thread, no accelerator, this import path."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    return {"env_vars": {"JAX_PLATFORMS": "cpu", "NPROC": "1", "PYTHONPATH": path}}
