"""What `test_ray_cluster` runs in a process of its own: real servers and workers, where pytest's checkers cannot go.

python tests/parameter_server/ray_runs.py NAME FOLDER
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnn.asynchronous.gradient_compression import EightBits, TopK
from jaxnn.asynchronous.staleness_counts import staleness_of
from jaxnn.losses import cross_entropy
from jaxnn.models import MLP
from jaxnn.optimizers import adagrad
from jaxnn.parallel import multihost, placement
from jaxnn.parameter_server import ray_cluster, ray_startup
from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.log_replay import replay_run
from jaxnn.parameter_server.push_log import push_rows, read_log
from jaxnn.training import fit, init_state, supervised
from jaxnn.training.fit_events import DivergenceError
from jaxnn.training.train_step import TrainStep

RNG = np.random.default_rng(0)
DATA = {"image": RNG.normal(size=(200, 6)).astype("f"), "label": RNG.integers(0, 3, 200).astype(np.int32)}
MODEL, OPTIMIZER = MLP(features=(16,), classes=3), adagrad(0.05)
SYNCHRONOUS = {"optimizer": OPTIMIZER, "epochs": 2, "batch_size": 20, "key": 1}


def train(folder, settings, data=DATA, **options):
    return ray_cluster.train_asynchronously(
        MODEL, data, optimizer=OPTIMIZER, folder=folder, settings=settings, **options
    )


def check_replay(trained, folder, settings):
    """The log determines every bit."""
    step = TrainStep(supervised(MODEL, cross_entropy), OPTIMIZER.update)
    state = init_state(MODEL, OPTIMIZER, DATA["image"][:1], key=settings.seed)
    again = replay_run(step, state, DATA, init=OPTIMIZER.init, settings=settings, folder=folder)
    pairs = zip(*(jax.tree.leaves((s.step, s.params, s.opt_state)) for s in (trained.state, again)), strict=True)
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)


def a_run_replays_to_the_same_bits_and_only_its_user_reaches_it(folder):
    settings = Downpour(workers=2, servers=2, batch_size=8, codec=EightBits(stochastic=True))
    addresses, paths = set(), set()

    def look(progress):
        addresses.update(listening())
        paths.update((path, is_private(path)) for path in paths_of_sockets())

    trained = train(folder, settings, steps=200, watch=look, every=0.1)
    check_replay(trained, folder, settings)
    assert trained.state.step == 400
    assert trained.restarts == 0
    late = staleness_of(push_rows(read_log(folder)))
    assert late.size == 400
    assert 0.3 < late.mean() < 3  # N - 1 = 1 with workers of equal speed that never pause
    assert addresses, "no socket of Ray's was found"
    assert all(address.startswith("127.") or address == "::1" for address in addresses), addresses
    assert paths, "no socket of Ray's was found"
    assert all(private for _, private in paths), paths


def a_slow_worker_is_waited_for_as_far_as_the_bound_says(folder):
    settings = Downpour(batch_size=8, bound=2)
    trained = train(folder / "bounded", settings, steps=60, pauses={1: 0.02})
    assert trained.servers[0]["widest_gap"] == 2
    free = train(folder / "free", Downpour(batch_size=8), steps=60, pauses={1: 0.02})
    assert free.servers[0]["widest_gap"] > 5
    check_replay(trained, folder / "bounded", settings)


def killed_workers_and_servers_come_back_and_the_log_replays(folder):
    settings = Downpour(batch_size=8, servers=2, checkpoint_every=50, codec=TopK(0.2), bound=20)
    killed = []

    def kill(progress):
        """First a worker, then a server, each with SIGKILL."""
        versions = [status["number"] for status in progress.servers]
        if not killed and progress.workers and min(versions, default=0) > 60:
            killed.append(("worker", progress.workers[0]["pid"], versions))
            os.kill(killed[-1][1], signal.SIGKILL)
        if (
            len(killed) == 1
            and progress.restarts
            and len(progress.servers) == 2
            and min(versions) > killed[0][2][0] + 60
        ):
            killed.append(("server", progress.servers[0]["pid"], versions))
            os.kill(killed[-1][1], signal.SIGKILL)

    trained = train(folder, settings, steps=600, watch=kill, every=0.1, pauses={0: 0.01, 1: 0.01})
    assert [kind for kind, *_ in killed] == ["worker", "server"]
    assert trained.restarts >= 2
    lives = read_log(folder, 0)
    assert len(lives) == 2
    assert len(read_log(folder, 1)) == 1
    assert lives[1].origin.number % 50 == 0
    assert max(push.step for push in lives[1].pushes if push.worker == 0) == 599
    assert max(push.step for push in lives[1].pushes if push.worker == 1) == 599
    check_replay(trained, folder, settings)


def a_run_goes_on_in_its_folder_and_a_divergence_is_told(folder):
    settings = Downpour(batch_size=8)
    train(folder, settings, steps=30)
    trained = train(folder, settings, steps=50)
    assert trained.state.step == 100
    check_replay(trained, folder, settings)
    nan = {**DATA, "image": DATA["image"] * np.nan}
    with pytest.raises(DivergenceError, match=r"the loss of worker \d became nan at its step 0"):
        train(folder / "nan", settings, nan, steps=5)


def a_cluster_is_joined_by_its_address(folder):
    """It is this process's; the other has the address only, as of a cluster that somebody else runs."""
    address = ray_startup.require_ray().get_runtime_context().gcs_address
    options = ["--address", address, "--train-examples", "2000", "--epochs", "1", "--no-pictures", "--no-tensorboard"]
    options += ["--validation", "none"]
    command = [sys.executable, "-m", "jaxnn", "train", "mlp", "--strategy", "downpour", *options]
    done = subprocess.run([*command, "--workers", "2", "--out", folder / "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sum(len(life.pushes) for life in read_log(folder / "run" / "servers")) == 2 * 16
    many = subprocess.run([*command, "--workers", "9", "--out", folder / "many"], capture_output=True, text=True)
    assert many.returncode == 2
    assert "must have a CPU for each server and worker, 10 in all; it has 6." in many.stderr


def listening() -> set[str]:
    """The addresses on which processes of Ray, or of this one, listen for TCP."""
    sockets = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = address_of(fields[1].split(":")[0])
    return {sockets[link] for link in links_of_ray() if link in sockets}


def paths_of_sockets() -> set[Path]:
    """Of the sockets that processes of Ray, or this one, have bound to a file."""
    held = set(links_of_ray())
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {Path(fields[7]) for fields in lines if fields[7:] and f"socket:[{fields[6]}]" in held}


def is_private(path) -> bool:
    """Whether a folder on the way to it keeps other users out."""
    return any(folder.stat().st_mode & 0o077 == 0 for folder in path.parents)


def a_stranger_is_refused(folder):
    """Who knows a port, but not the token: another user of this machine."""
    address = ray_startup.require_ray().get_runtime_context().gcs_address
    stranger = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
    code = f"import ray; ray.init({address!r}); print('inside')"
    for own in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}):
        with contextlib.suppress(subprocess.TimeoutExpired):
            entered = subprocess.run([sys.executable, "-c", code], env=stranger | own, capture_output=True, timeout=20)
            assert b"inside" not in entered.stdout
    started = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, timeout=60)
    assert b"inside" in started.stdout, started.stderr


def links_of_ray():
    """What the files are that this process and its descendants hold."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # gone
    for pid in [pid for pid in parents if os.getpid() in ancestors(pid, parents)]:
        try:
            yield from (os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue


def ancestors(pid, parents):
    while pid:
        yield pid
        pid = parents.get(pid, 0)


def address_of(hexadecimal: str) -> str:
    raw = bytes.fromhex(hexadecimal)
    if len(raw) == 4:
        return ".".join(str(byte) for byte in raw[::-1])
    words = [raw[i : i + 4][::-1] for i in range(0, 16, 4)]
    if words[:3] == [b"\0" * 4, b"\0" * 4, b"\0\0\xff\xff"]:
        return ".".join(str(byte) for byte in words[3])
    return "::1" if b"".join(words) == b"\0" * 15 + b"\1" else b"".join(words).hex()


def processes_of_ray_are_one_job(folder):
    """Synchronous training over a cluster's processes, which `multihost.joined` makes one job: to one device's bits."""
    import ray

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    seats = [multihost.variables(multihost.Seat(coordinator, 2, process)) for process in range(2)]
    start = lambda own: ray.remote(joined_training).options(runtime_env={"env_vars": own}).remote()
    ended = ray.get([start(seat | {"JAX_PLATFORMS": "cpu"}) for seat in seats])
    alone = fit(MODEL, DATA, **SYNCHRONOUS).state.params
    for devices, params in ended:
        assert devices == 2
        jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6), params, alone)


def joined_training():
    """What each process of Ray runs: how many devices they are together, and the parameters at the end."""
    with multihost.joined():
        trained = fit(MODEL, DATA, **SYNCHRONOUS, placement=placement("shard_map"))
        return len(jax.devices()), jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0)), trained.state.params)


if __name__ == "__main__":
    with ray_startup.ray_session(cpus=6):
        globals()[sys.argv[1]](Path(sys.argv[2]))
