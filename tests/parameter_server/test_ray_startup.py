"""How Ray is started and found, with one in its place that notes what it is told."""

import os
import socket
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxnn.parameter_server import ray_startup
from jaxnn.parameter_server.ray_startup import check_room, ray_session

LATE = "The current node timed out during startup. This could happen because some of the raylet failed to startup"


class FakeRay(SimpleNamespace):
    """Starts after the given failures."""

    def __init__(self, failures):
        super().__init__(failures=list(failures), told=[], running=False)

    def is_initialized(self):
        return self.running

    def init(self, **where):
        self.told.append(where)
        if self.failures:
            raise self.failures.pop(0)
        if "_temp_dir" in where:
            os.chmod(where["_temp_dir"], 0o777)  # as Ray does
        self.running = True

    def shutdown(self):
        self.running = False


@pytest.fixture
def fake(monkeypatch):
    def install(*failures):
        ray = FakeRay(failures)
        monkeypatch.setattr(ray_startup, "check_ray", lambda: None)
        monkeypatch.setattr(ray_startup, "require_ray", lambda: ray)
        monkeypatch.setattr(os, "environ", {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"})
        return ray

    return install


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_start_that_takes_too_long_is_tried_again(failures, fake):
    ray = fake(*[Exception(LATE)] * failures)
    with ray_session(cpus=5):
        assert ray.running
        assert os.environ.items() >= {("RAY_worker_niceness", "0"), ("RAY_USAGE_STATS_ENABLED", "0")}
    assert not ray.running
    assert [(where["num_cpus"], where["_node_ip_address"]) for where in ray.told] == [(5, "127.0.0.1")] * (failures + 1)


def test_after_three_attempts_the_message_says_why(fake):
    ray = fake(*[Exception(LATE)] * 3)
    with pytest.raises(TimeoutError, match=r"did not start in 3 attempts: .* Is the machine busy"), ray_session():
        pass
    assert len(ray.told) == 3


def test_what_is_not_a_matter_of_time_is_not_tried_again(fake):
    ray = fake(PermissionError("no"))
    with pytest.raises(PermissionError, match="no"), ray_session():
        pass
    assert len(ray.told) == 1


def test_an_address_where_something_listens_is_joined(fake):
    ray = fake()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with ray_session(address):
            pass
    assert ray.told[0]["address"] == address
    with pytest.raises(
        ConnectionError, match=rf"no Ray cluster answers at {address}: .* `ray start --head` begins one"
    ):
        ray_session(address).__enter__()
    assert len(ray.told) == 1


def test_no_other_user_can_enter_the_folder_of_the_sockets(fake):
    """Each process may bind a socket there, and what comes through it is unpickled."""
    ray = fake()
    with ray_session():
        folder = Path(ray.told[0]["_temp_dir"])
        assert any(stat.S_IMODE(parent.stat().st_mode) == 0o700 for parent in (folder, folder.parent))
        longest = folder / "session_2026-11-30_18-22-48_683644_4194304" / "sockets" / "plasma_store.123456"
        assert len(os.fsencode(longest)) <= 103  # with its end, what the narrowest system takes
        (folder / "session_latest").symlink_to("gone")
    assert not folder.parent.exists()


def test_a_ray_of_our_own_asks_for_a_token_that_nobody_can_guess(fake, monkeypatch):
    fake()
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    with ray_session():
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert len(bytes.fromhex(os.environ["RAY_AUTH_TOKEN"])) == 32


def test_a_ray_that_was_imported_before_keeps_the_mode_that_it_has_read(fake, monkeypatch):
    """It would ask its own processes for what it does not give them, without end."""
    monkeypatch.setitem(sys.modules, "ray", fake())
    with ray_session():
        assert os.environ["RAY_AUTH_MODE"] == "disabled"


@pytest.mark.parametrize("own", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "mine"}])
def test_the_environment_decides_on_tokens(own, fake):
    fake()
    os.environ |= own
    with ray_session():
        assert os.environ.items() >= own.items()


@pytest.mark.parametrize("address", ["here", "ray://here", ":6379", "127.0.0.1:port"])
def test_an_address_without_a_port_is_refused(address, fake):
    fake()
    with pytest.raises(ValueError, match=r'must be "HOST:PORT" or "ray://HOST:PORT"; received'):
        ray_session(address).__enter__()


def test_fewer_cpus_than_actors_are_refused():
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0, "memory": 1e9})
    check_room(cluster, 2)
    with pytest.raises(ValueError, match=r"a CPU for each server and worker, 3 in all; it has 2\. .* --num-cpus 3"):
        check_room(cluster, 3)
