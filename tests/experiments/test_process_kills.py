"""Who is killed when: the kills are noted, not sent."""

import os
import signal

import numpy as np
import pytest
from experiment_files import load

from jaxnn.parameter_server.downpour_worker import Downpour
from jaxnn.parameter_server.ray_cluster import RunStatus

Killer = load("process_kills").Killer


class Machine:
    """Two workers and two servers; the killed stays away for a look, and pushes are ten a look."""

    def __init__(self, monkeypatch):
        self.processes = {("worker", 0): 1, ("worker", 1): 2, ("server", 0): 3, ("server", 1): 4}
        self.pushes, self.away, self.next, self.killed = dict.fromkeys(range(100), 0), None, 5, []
        monkeypatch.setattr(os, "kill", self.kill)

    def kill(self, pid, sent):
        assert sent == signal.SIGKILL
        (self.away,) = (name for name, other in self.processes.items() if other == pid)
        self.killed.append(self.away)
        self.processes[self.away], self.next = self.next, self.next + 1

    def look(self, seconds):
        for pid in self.processes.values():
            self.pushes[pid] += 10
        here = {name: pid for name, pid in self.processes.items() if name != self.away}
        self.away = None
        servers = [{"pid": pid, "shard": i, "number": 7} for (kind, i), pid in here.items() if kind == "server"]
        workers = [
            {"pid": pid, "worker": i, "pushes": self.pushes[pid]} for (kind, i), pid in here.items() if kind == "worker"
        ]
        return RunStatus(seconds, servers, workers, 0)


def run(monkeypatch, seed, **kills):
    machine, looks = Machine(monkeypatch), 0
    killer = Killer(Downpour(workers=2, servers=2), kills=kills, apart=25, seed=seed)
    while not killer(machine.look(float(looks))):
        looks += 1
        assert looks < 1000
    return machine, killer


def test_all_kills_are_made_each_when_all_are_at_work_again(monkeypatch):
    machine, killer = run(monkeypatch, 0, worker=20, server=5)
    assert [kind for kind, _ in machine.killed].count("server") == len(killer.killed["server"]) == 5
    assert len(set(machine.killed)) == 4
    times = sorted(killer.killed["worker"] + killer.killed["server"])
    assert len(times) == 25
    assert min(np.diff(times)) >= 3  # 25 pushes of ten a look
    seconds, *versions = np.array(killer.seen).T
    assert seconds[-1] >= times[-1] + 3  # the last one came back, too
    assert np.isnan(versions).sum() == 5  # a server that was away was seen to be away


def test_a_seed_is_an_order(monkeypatch):
    first, again, other = (run(monkeypatch, seed, worker=6, server=2)[0].killed for seed in (0, 0, 1))
    assert first == again != other


def test_without_kills_it_waits_for_the_pushes_only(monkeypatch):
    assert run(monkeypatch, 0)[1].killed == {}


def test_a_victim_that_still_answers_is_waited_for(monkeypatch):
    machine = Machine(monkeypatch)
    killer = Killer(Downpour(workers=2, servers=2), kills={"worker": 2}, apart=0)
    seen = machine.look(0.0)
    assert [killer(seen), killer(seen)] == [False, False]
    assert len(machine.killed) == 1


@pytest.mark.parametrize("kills", [{"worker": -1}, {"driver": 1}])
def test_what_cannot_be_killed_is_refused(kills):
    with pytest.raises(ValueError, match='must be of "worker" and "server", each at least 0; received'):
        Killer(Downpour(), kills=kills)
