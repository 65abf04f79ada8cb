"""Ray, started on this machine for as long as it is needed, or joined where it runs already.

A Ray that is started here listens on the loopback interface alone, has no dashboard and reports to nobody.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings

LOOPBACK = "127.0.0.1"
STORE_BYTES = 100 * 2**20
_ATTEMPTS = 3
_NO_CLUSTER = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


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
      host: the interface that a Ray started here listens on. Whoever reaches its ports can run code: on loopback every
        user of this machine, else the network, so that Ray's authentication (`RAY_AUTH_MODE`) is left as it is set.
      store_bytes: shared memory for arrays on the way.

    Raises:
      ImportError: Ray is not installed.
      ConnectionError: nothing answers at the address.
      RuntimeError: Ray was imported before, and would listen on more than loopback.
      TimeoutError: Ray's processes do not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    running = "ray" in sys.modules and require_ray().is_initialized()
    if address is None and host == LOOPBACK and not running:
        _keep_to_loopback()
    ray = require_ray()
    if running:
        yield ray
        return
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
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
    """Ray gives its own processes half a minute to start; on a busy machine that may be too little."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with warnings.catch_warnings():  # JAX warns of every fork; those of Ray become other programs at once
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
                ray.init(**where, log_to_driver=False, logging_level="error", configure_logging=False)
            return
        except Exception as error:  # Ray's own is no narrower
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            if not attempts_left:
                remedy = "Is the machine busy with other work? Try again when it is not."
                raise TimeoutError(f"Ray did not start in {_ATTEMPTS} attempts: {error} {remedy}") from error


def _keep_to_loopback() -> None:
    """Ray's settings for one machine; it reads them when it is imported.

    Its own `_node_ip_address="127.0.0.1"` is not enough: Ray 2.60 replaces it by the machine's address and listens on
    all interfaces, unless it believes to be on a system for which it does not support clusters.
    """
    if "ray" in sys.modules and os.environ.get(_NO_CLUSTER) != "0":
        raise RuntimeError(
            f"Ray was imported before it was told to keep to the loopback interface. Set {_NO_CLUSTER}=0 in the "
            "environment, or call this first; or call ray.init yourself, as you want it."
        )
    os.environ[_NO_CLUSTER] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else it writes a token to the home folder


def _short_folder() -> str | None:
    """Where a path stays short enough for sockets."""
    return "/tmp" if os.path.isdir("/tmp") else None
