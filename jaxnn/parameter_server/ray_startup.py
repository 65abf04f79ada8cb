"""Ray, started on this machine for as long as it is needed, or joined where it runs already.

**What Ray trusts.** Its processes send one another pickled Python, so whoever reaches one of its ports, or one of its
sockets, executes code as the user who runs it.

- A Ray that is started here listens on the loopback interface alone, has no dashboard and reports to nobody. Every user
  of this machine reaches loopback, so its ports ask for a token, drawn anew, that only its own processes know. (Ray has
  tokens from 2.52 on. It asks for none where `RAY_AUTH_MODE` says so, or where Ray was imported before.) Its sockets
  lie in a folder that only its user can enter, and that is removed at the end.
- A cluster that is joined is trusted as a whole: it executes what this process sends, and this process unpickles what
  comes back. Join one only if every machine that reaches its ports is yours.
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
_SETTINGS = {  # of Ray, for those that the environment does not have; it reads them when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_port_wait_time_s": "120",  # its 30 seconds are too few where others work on the machine, too
    "RAY_worker_register_timeout_seconds": "300",  # its 60, likewise
    "RAY_worker_niceness": "0",  # with its 15, actors get a thirtieth of a core that others want
}


def check_ray() -> None:
    """Raises ImportError, which says how to get it, where Ray is not installed; does not import it."""
    if importlib.util.find_spec("ray") is None:
        raise ImportError(
            "asynchronous training by servers and workers needs Ray, which is not installed. "
            'Run: pip install "jaxnn[ray]"'
        )


def require_ray():
    """The module `ray`; raises as `check_ray`."""
    check_ray()
    import ray

    return ray


@contextlib.contextmanager
def ray_session(address: str | None = None, *, cpus: int = 3, host: str = LOOPBACK, store_bytes: int = STORE_BYTES):
    """Ray while the block runs: started here, or joined at an address; one that is running already is left running.

    Args:
      address: of a cluster, "HOST:6379" or "ray://HOST:10001"; None starts one on this machine.
      cpus: how many actors may be placed on this machine at once, whatever the cores it has.
      host: the interface that a Ray started here listens on. Whoever reaches its ports can run code; on another than
        loopback that is the network, and Ray's authentication (`RAY_AUTH_MODE`) is left as it is set.
      store_bytes: shared memory for arrays on the way.

    Raises:
      ImportError: Ray is not installed.
      ValueError: an address of another form.
      ConnectionError: nothing answers at the address.
      RuntimeError: Ray was imported before it could be told to keep to loopback.
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
            "address": "local",  # not one that RAY_ADDRESS or an earlier program left behind
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
    """Ray gives its own processes half a minute to register; on a busy machine that may be too little."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with warnings.catch_warnings():  # JAX warns of every fork; those of Ray become other programs at once
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(**where, log_to_driver=False, logging_level="error", configure_logging=False)
            return
        except Exception as error:  # Ray's own is no narrower
            ray.shutdown()
            if "timed out" not in str(error).lower():
                raise
            if not attempts_left:
                remedy = "Is the machine busy with other work? Try again when it is not."
                raise TimeoutError(f"Ray did not start in {_ATTEMPTS} attempts: {error} {remedy}") from error


def _check_answers(address: str) -> str:
    """The host of an address, at which something listens: Ray itself would ask for minutes and then end the process."""
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
    """Ray's settings for one machine; it reads them when it is imported. From then on it asks for a token, or does not.

    Its own `_node_ip_address="127.0.0.1"` is not enough: Ray 2.60 replaces it by the machine's address, listens on all
    interfaces, and looks there for a cluster, unless it believes to be on a system where it does not support clusters.
    """
    if "ray" in sys.modules and os.environ.get(_NO_CLUSTER) != "0":
        raise RuntimeError(
            f"Ray was imported before it was told to keep to the loopback interface. Set {_NO_CLUSTER}=0 in the "
            "environment, or call this first; or call ray.init yourself, as you want it."
        )
    asks = is_own and "ray" not in sys.modules
    os.environ[_NO_CLUSTER] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token" if asks else "disabled")  # unset, it writes one to the home folder
    if asks:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextlib.contextmanager
def _private_folder() -> Iterator[str]:
    """A folder for Ray, which opens its own to everybody (0777), inside one that only this user can enter.

    The names are short: the path of a socket in a session there must not exceed 107 bytes.
    """
    place = "/tmp" if os.path.isdir("/tmp") else None
    with tempfile.TemporaryDirectory(prefix="ray-", dir=place, ignore_cleanup_errors=True) as private:
        folder = os.path.join(private, "r")
        os.mkdir(folder)
        yield folder


def check_room(ray, actors: int) -> None:
    """Raises ValueError if there are fewer CPUs than actors: Ray would wait for more of them without end."""
    there = int(ray.cluster_resources().get("CPU", 0))
    if there < actors:
        raise ValueError(
            f"the Ray cluster must have a CPU for each server and worker, {actors} in all; it has {there}. Take fewer, "
            f"add machines, or start it with: ray start --head --num-cpus {actors}"
        )


def actor_environment() -> dict:
    """Of every actor, before it imports jax: one thread, no accelerator, and what can be imported here."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    return {"env_vars": {"JAX_PLATFORMS": "cpu", "NPROC": "1", "PYTHONPATH": path}}
