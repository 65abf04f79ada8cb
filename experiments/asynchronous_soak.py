"""Does asynchronous SGD survive the deaths of its processes, and what do they cost?

    python experiments/asynchronous_soak.py

Two workers and two parameter servers, processes of Ray on this machine, train an MLP on MNIST by Downpour SGD while one
after another is killed with SIGKILL, workers and servers in a drawn order. The next is killed when all are at work
again: the last victim's process is another, and every worker has had 30 more pushes acknowledged. A little pause in
every step keeps the number of updates small. Then the logs are replayed in one process, and the same training is run
again without deaths and pauses, for as many updates. Needs Ray: `pip install "jaxnn[ray]"`.

Expected: a worker's death costs no update that a server had accepted, a server's no more than it applied since its last
checkpoint. Counted from the log: accepted is a push that stands there; lost are those of which the dead server's last
version was made and the version that its next life began from was not. The accuracy is that without deaths to 0.5
points, and the replay ends at the same bits, deaths and all.
"""

import tempfile
from dataclasses import dataclass

import numpy as np
from process_kills import Killer
from real_asynchronous_sgd import DEAN, LOG, Task
from recording import Experiment, Finding, Outcome
from recovery_plots import plot_recoveries

from jaxnn.parameter_server import Downpour, lost_updates, read_log
from jaxnn.parameter_server.ray_startup import ray_session

OWN = "jaxnn.parameter_server.log_replay"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    worker_kills: int = 4
    server_kills: int = 1
    workers: int = 2
    servers: int = 2
    apart: int = 30  # pushes of every worker between kills, at least
    checkpoint_every: int = 200
    pause: float = 0.03  # seconds that a step takes longer
    train_examples: int = 60_000
    hidden: int = 64
    learning_rate: float = 0.03
    seeds: int = 1


def measure(settings: Settings) -> Outcome:
    with ray_session(cpus=settings.workers + settings.servers, store_bytes=300 * 2**20):
        soaks = [soak(settings, seed) for seed in range(settings.seeds)]
    seconds, *versions = np.array(soaks[0]["seen"]).T
    named = {f"server {i}": version for i, version in enumerate(versions)}
    return Outcome(findings(soaks, settings), {"": plot_recoveries(seconds, named, soaks[0]["kills"])})


def soak(settings: Settings, seed: int) -> dict:
    """A run with deaths and one without, of as many updates."""
    how = Downpour(settings.workers, settings.servers, checkpoint_every=settings.checkpoint_every, seed=seed)
    kills = {"worker": settings.worker_kills, "server": settings.server_kills}
    task, killer = Task(settings, how), Killer(how, kills=kills, apart=settings.apart, seed=seed)
    hooks = {"watch": killer, "every": 0.5, "pauses": dict.fromkeys(range(settings.workers), settings.pause)}
    with tempfile.TemporaryDirectory() as folder:
        trained = task.train(f"{folder}/soak", steps=10**9, **hooks)
        logs = [read_log(f"{folder}/soak", shard) for shard in range(settings.servers)]
        replay = task.replay_difference(trained.state, f"{folder}/soak")
        alone = task.train(f"{folder}/alone", steps=-(-int(trained.state.step) // settings.workers))
    lost = [lost for lives in logs for lost in lost_updates(lives)]
    accuracy = task.accuracy(trained.state), task.accuracy(alone.state)
    return {"kills": killer.killed, "seen": killer.seen, "lost": lost, "replay": replay, "accuracy": accuracy}


def findings(soaks: list[dict], settings: Settings) -> list[Finding]:
    workers, servers = (np.array([len(soak["kills"][kind]) for soak in soaks]) for kind in ("worker", "server"))
    restored, most = (np.array([of(soak["lost"]) for soak in soaks]) for of in (len, lambda lost: max(lost, default=0)))
    beyond = np.maximum(most - settings.checkpoint_every, 0)
    accuracy, alone = np.array([soak["accuracy"] for soak in soaks]).T
    replay, apart = np.array([soak["replay"] for soak in soaks]), accuracy - alone
    wanted = settings.worker_kills, settings.server_kills
    return [
        Finding("workers killed; the run went on to its end", workers, f"{wanted[0]}", DEAN, all(workers == wanted[0])),
        Finding("servers killed", servers, f"{wanted[1]}", DEAN, all(servers == wanted[1])),
        Finding("servers restored from a checkpoint", restored, "as many", OWN, all(restored == servers)),
        Finding("accepted updates lost beyond the checkpoint interval", beyond, "0", OWN, not beyond.any()),
        Finding("most lost at a death", most, f"at most {settings.checkpoint_every}", OWN, not beyond.any()),
        Finding("largest difference of the replay", replay, "0, bit for bit", LOG, not replay.any()),
        Finding("test accuracy without deaths, %", alone, "the baseline", DEAN, True),
        Finding("test accuracy with deaths, %", accuracy, "within 0.5 points of it", DEAN, all(abs(apart) < 0.5)),
        Finding("the latter less the former, points", apart, "within 0.5", DEAN, all(abs(apart) < 0.5)),
    ]


SMOKE = {"worker_kills": 1, "train_examples": 2000, "hidden": 16, "checkpoint_every": 20, "apart": 15}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"worker_kills": 20, "server_kills": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
