"""How Ray is started and found, with one in its place that notes what it is told."""

import os
import socket
from types import SimpleNamespace

import pytest

from jaxnn.parallel import ray_startup
from jaxnn.parallel.ray_startup import check_room, ray_session

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
