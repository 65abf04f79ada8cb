"""Deaths on purpose: a hook for `train_asynchronously` that kills workers and servers while they train."""

import os
import random
import signal
from collections.abc import Mapping

from jaxnn.parameter_server.downpour_worker import Downpour


class Killer:
    """Kills one process after another with SIGKILL, in a drawn order, and ends the run when the last is back.

    Deaths are counted, not timed: the next comes when all are at work again, that is when nobody is missing, the last
    victim's process is another, and every worker has had `apart` more pushes acknowledged by all servers. So the order
    and the kinds depend on the seed alone, however fast the machine is; processes must be on this one.

    Args:
      settings: the run's.
      kills: how many of each kind, {"worker": 20, "server": 5}.
      apart: pushes of every worker between two deaths, at least, and after the last.
      seed: of the order and of the victims.

    Attributes:
      killed: kind -> seconds at which one was killed.
      seen: of every call (seconds, version of server 0, of server 1, ...); NaN of one that does not answer.

    Raises:
      ValueError: another kind, or less than none.
    """

    def __init__(self, settings: Downpour, *, kills: Mapping[str, int], apart: int = 30, seed: int = 0):
        if not kills.keys() <= {"worker", "server"} or min(kills.values(), default=0) < 0:
            raise ValueError(f'`kills` must be of "worker" and "server", each at least 0; received {dict(kills)}.')
        self.settings, self.apart, self.chance = settings, apart, random.Random(seed)
        self.left = [kind for kind, count in sorted(kills.items()) for _ in range(count)]
        self.chance.shuffle(self.left)
        self.killed: dict[str, list[float]] = {kind: [] for kind in kills}
        self.seen: list[tuple[float, ...]] = []
        self.victim, self.pushes = None, {}

    def __call__(self, progress) -> bool:
        """Looks at a `Progress`, kills if it is time; True when all is done."""
        versions = {server["shard"]: server["number"] for server in progress.servers}
        servers = range(self.settings.servers)
        self.seen.append((progress.seconds, *(versions.get(shard, float("nan")) for shard in servers)))
        if not self._all_at_work(progress):
            return False
        if not self.left:
            return True
        self._kill(self.left.pop(), progress)
        return False

    def _all_at_work(self, progress) -> bool:
        alive = {process["pid"] for process in (*progress.servers, *progress.workers)}
        since = [worker["pushes"] - self.pushes.get(worker["pid"], 0) for worker in progress.workers]
        whole = len(alive) == self.settings.workers + self.settings.servers and self.victim not in alive
        return whole and min(since) >= self.apart

    def _kill(self, kind, progress) -> None:
        victims = sorted(getattr(progress, f"{kind}s"), key=lambda process: process.get("worker", process.get("shard")))
        self.victim = self.chance.choice(victims)["pid"]
        self.pushes = {worker["pid"]: worker["pushes"] for worker in progress.workers}
        os.kill(self.victim, signal.SIGKILL)
        self.killed[kind].append(progress.seconds)
