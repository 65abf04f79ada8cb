"""Servers and workers as plain Python in one event loop: what Ray only carries from process to process."""

import asyncio
import json
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rings import first_of

from jaxnn.asynchronous import downpour_sgd
from jaxnn.asynchronous.event_scan import Shards
from jaxnn.asynchronous.gradient_compression import EightBits, TopK
from jaxnn.asynchronous.staleness_counts import staleness_of
from jaxnn.losses import cross_entropy
from jaxnn.optimizers import adagrad, sgd
from jaxnn.parameter_server.downpour_worker import Client, Downpour
from jaxnn.parameter_server.log_replay import gradient_log, lost_updates, replay_run
from jaxnn.parameter_server.parameter_shards import assign, divide, merge, named_leaves
from jaxnn.parameter_server.push_log import Push, push_rows, read_log
from jaxnn.parameter_server.server_actor import ParameterServer
from jaxnn.second_order import lbfgs
from jaxnn.training import init_state, supervised
from jaxnn.training.fit_events import DivergenceError
from jaxnn.training.train_step import TrainStep

RNG = np.random.default_rng(0)
DATA = {"image": RNG.normal(size=(60, 6)).astype("f"), "label": RNG.integers(0, 3, 60).astype(np.int32)}
OPTIMIZER = adagrad(0.1)


def init(key, x):
    first, second = jax.random.split(key)
    hidden = {"kernel": 0.3 * jax.random.normal(first, (x.shape[-1], 8)), "bias": jnp.zeros(8)}
    return {"hidden": hidden, "output": {"kernel": 0.3 * jax.random.normal(second, (8, 3))}}


def apply(params, x):
    hidden = jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
    return hidden @ params["output"]["kernel"]


MODEL = init, apply
STEP = TrainStep(supervised(MODEL, cross_entropy), OPTIMIZER.update)


def fresh(optimizer=OPTIMIZER):
    return init_state(MODEL, optimizer, DATA["image"][:1], key=0)


def servers_of(folder, settings, step=STEP, optimizer=OPTIMIZER):
    parts = divide(fresh(optimizer), optimizer.init, settings.servers)
    return [ParameterServer(step, part, i, folder, settings) for i, part in enumerate(parts)]


def client_of(worker, settings, step=STEP):
    return Client(step, DATA, jax.device_get(fresh().params), settings, worker)


async def trained(servers, settings, *, steps=12, pauses=(0.0, 0.0, 0.0), life=0, step=STEP):
    """Every worker from where the servers know it to be."""
    workers = range(settings.workers)
    firsts = [max([await server.join(worker) for server in servers]) for worker in workers]
    runs = (
        client_of(worker, settings, step).run(servers, life=life, first=first, last=steps, pause=pause)
        for worker, first, pause in zip(workers, firsts, pauses, strict=False)
    )
    await asyncio.gather(*runs)


def run(folder, settings, **options):
    """The state after a run and the servers, whose logs are closed."""
    servers = servers_of(folder, settings)
    asyncio.run(trained(servers, settings, **options))
    return stopped(servers), servers


def stopped(servers):
    for server in servers:
        server.log.close()
    return merge([server.part for server in servers], fresh())


def same_bits(a, b):
    for left, right in zip(*(jax.tree.leaves((s.step, s.params, s.opt_state)) for s in (a, b)), strict=True):
        np.testing.assert_array_equal(left, right)


SETTINGS = {
    "plain": Downpour(batch_size=8),
    "three workers, two servers": Downpour(workers=3, servers=2, batch_size=8),
    "fetches and pushes are rare": Downpour(batch_size=8, n_fetch=3, n_push=2, local_rate=0.05),
    "fetches are rarer than pushes": Downpour(batch_size=8, n_fetch=4, n_push=1),
    "pushes are rarer than fetches": Downpour(batch_size=8, n_fetch=1, n_push=5),
    "top-k": Downpour(servers=2, batch_size=8, codec=TopK(0.1)),
    "eight bits": Downpour(batch_size=8, codec=EightBits()),
    "eight bits by chance": Downpour(workers=3, batch_size=8, codec=EightBits(stochastic=True)),
    "pushes in flight": Downpour(workers=3, servers=2, batch_size=8, in_flight=2, codec=TopK(0.2)),
    "bounded": Downpour(workers=3, batch_size=8, bound=1),
}


@first_of("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_log_replays_to_the_same_bits(settings, tmp_path):
    state, _ = run(tmp_path, settings, pauses=(0.0, 0.002, 0.0))
    replayed = replay_run(STEP, fresh(), DATA, init=OPTIMIZER.init, settings=settings, folder=tmp_path)
    same_bits(state, replayed)
    assert int(state.step) == settings.workers * -(-12 // settings.n_push)
    assert not np.array_equal(state.params["output"]["kernel"], fresh().params["output"]["kernel"])


@first_of("name", ["plain", "fetches and pushes are rare", "fetches are rarer than pushes"])
def test_the_simulator_replays_the_log_to_the_same_bits(name, tmp_path):
    settings = SETTINGS[name]
    state, _ = run(tmp_path, settings)
    draw = Shards(examples=60, batch_size=8, workers=2)
    log = gradient_log(read_log(tmp_path))
    replayed, _ = jax.jit(
        lambda state, data: downpour_sgd.replay(
            STEP, state, data, log, workers=2, draw=draw, local_rate=settings.local_rate
        )
    )(fresh(), DATA)
    same_bits(state, replayed)


def test_several_servers_are_not_for_the_simulator(tmp_path):
    """Each has its own order of pushes, and a worker reads another version from each."""
    run(tmp_path, Downpour(servers=2, batch_size=8), steps=2)
    with pytest.raises(ValueError, match=r"received a log of several servers or lives\. replay_run replays those"):
        gradient_log(read_log(tmp_path))


@pytest.mark.full
def test_one_worker_is_sequential_sgd(tmp_path):
    settings = Downpour(workers=1, batch_size=8)
    state, _ = run(tmp_path, settings)
    expected, draw = fresh(), Shards(examples=60, batch_size=8, workers=1)
    step = jax.jit(STEP)
    for t in range(12):
        rows = draw(expected.key, 0, t)
        batch = {name: array[rows] for name, array in DATA.items()} | {"mask": np.ones(8, bool)}
        expected, _ = step(expected, batch)
    for left, right in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_every_push_is_in_the_log(tmp_path):
    run(tmp_path, Downpour(workers=3, servers=2, batch_size=8))
    for shard in (0, 1):
        (life,) = read_log(tmp_path, shard)
        assert [push.applied for push in life.pushes] == list(range(36))
        assert Counter(push.worker for push in life.pushes) == {0: 12, 1: 12, 2: 12}
        assert all(push.read(shard).number <= push.applied for push in life.pushes)
        late = staleness_of(push_rows([life], shard))
        assert late.min() >= 0
        assert 0 < late.mean() <= 2  # N - 1, less what others push between a worker's own push and its fetch
    lines = (tmp_path / "shard-1" / "life-0000.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"shard": 1, "life": 0, "origin": None}
    assert {"worker", "step", "read", "applied"} <= json.loads(lines[1]).keys()


@first_of("bound", [0, 1, 3])
def test_a_bound_on_staleness_holds(bound, tmp_path):
    settings = Downpour(batch_size=8, bound=bound)
    _, (server,) = run(tmp_path, settings, pauses=(0.0, 0.01), steps=10)
    assert server.widest_gap == bound


def test_without_a_bound_nobody_waits_for_the_slow(tmp_path):
    _, (server,) = run(tmp_path, Downpour(batch_size=8), pauses=(0.0, 0.02), steps=10)
    assert server.widest_gap > 5


def test_a_bound_waits_for_the_living_only(tmp_path):
    async def one_dies():
        (server,) = servers_of(tmp_path, settings)
        for worker in (0, 1):
            await server.join(worker)
        slow = asyncio.ensure_future(client_of(0, settings).run([server], life=0, first=0, last=5))
        await asyncio.sleep(0.2)
        assert server.version.number == 1  # worker 1 has done nothing, so worker 0 waits
        await server.leave(1)
        await asyncio.wait_for(slow, 20)
        return server

    settings = Downpour(batch_size=8, bound=0)
    assert stopped([asyncio.run(one_dies())]).step == 5


def test_a_dead_worker_is_replaced_and_the_log_still_replays(tmp_path):
    """Its error feedback and its gathered gradients die with it; its pushes stay."""
    settings = Downpour(batch_size=8, n_push=2, codec=TopK(0.2))

    async def killed():
        servers = servers_of(tmp_path, settings)
        for worker in (0, 1):
            await servers[0].join(worker)
        survivor = asyncio.ensure_future(client_of(0, settings).run(servers, life=0, first=0, last=20))
        victim = asyncio.ensure_future(client_of(1, settings).run(servers, life=0, first=0, last=20, pause=0.001))
        while servers[0].next_steps.get(1, 0) < 5:
            await asyncio.sleep(0)
        victim.cancel()
        await servers[0].leave(1)
        await survivor  # goes on alone
        first = await servers[0].join(1)
        assert 5 < first < 20
        await client_of(1, settings).run(servers, life=1, first=first, last=20)
        return servers

    state = stopped(asyncio.run(killed()))
    assert state.step == 20
    same_bits(state, replay_run(STEP, fresh(), DATA, init=OPTIMIZER.init, settings=settings, folder=tmp_path))


@first_of("servers", [1, 2])
def test_a_dead_server_is_restored_and_the_log_still_replays(servers, tmp_path):
    settings = Downpour(servers=servers, batch_size=8, checkpoint_every=5, codec=EightBits())

    async def killed():
        before = servers_of(tmp_path, settings)
        await trained(before, settings, steps=6)
        before[0].log.close()
        again = ParameterServer(STEP, divide(fresh(), OPTIMIZER.init, servers)[0], 0, tmp_path, settings)
        assert again.version == (1, 10)
        assert again.version.number < before[0].version.number == 12  # two updates are lost
        after = [again, *before[1:]]
        await trained(after, settings, steps=12, life=1)
        return after

    state = stopped(asyncio.run(killed()))
    lives = read_log(tmp_path)
    assert [life.origin for life in lives] == [None, (0, 10)]
    assert lost_updates(lives) == [2]
    assert len(lives[0].pushes) == 12
    same_bits(state, replay_run(STEP, fresh(), DATA, init=OPTIMIZER.init, settings=settings, folder=tmp_path))


def test_a_damaged_checkpoint_leaves_the_one_before(tmp_path):
    settings = Downpour(batch_size=8, checkpoint_every=5)
    run(tmp_path, settings)
    *_, newest = sorted((tmp_path / "shard-0").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:100])
    (server,) = servers_of(tmp_path, settings)
    assert server.version == (1, 15)
    server.log.close()
    assert not list((tmp_path / "shard-0").glob("*tmp"))


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(tmp_path, Downpour(batch_size=8, checkpoint_every=5))
    with pytest.raises(ValueError, match=r"is of another model, optimizer or number of servers: .*differ"):
        servers_of(tmp_path, Downpour(batch_size=8), optimizer=sgd(0.1, momentum=0.9))


def test_a_line_that_was_not_finished_is_left_out(tmp_path):
    run(tmp_path, Downpour(batch_size=8))
    path = tmp_path / "shard-0" / "life-0000.jsonl"
    with open(path, "a") as file:
        file.write('{"worker":0,"li')
    assert len(read_log(tmp_path)[0].pushes) == 24
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match=r"life-0000.jsonl is damaged"):
        read_log(tmp_path)
    with pytest.raises(FileNotFoundError, match="no log of shard 7"):
        read_log(tmp_path, 7)


def test_a_log_with_a_gap_is_refused(tmp_path):
    settings = Downpour(batch_size=8)
    run(tmp_path, settings)
    path = tmp_path / "shard-0" / "life-0000.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5] + lines[8:]))
    with pytest.raises(ValueError, match="the logs are not whole"):
        replay_run(STEP, fresh(), DATA, init=OPTIMIZER.init, settings=settings, folder=tmp_path)


def test_a_divergence_ends_the_run(tmp_path):
    settings = Downpour(batch_size=8)
    wild = TrainStep(
        supervised(MODEL, lambda outputs, targets: cross_entropy(outputs, targets) * jnp.inf), OPTIMIZER.update
    )
    servers = servers_of(tmp_path, settings)
    with pytest.raises(DivergenceError, match=r"the loss of worker \d became"):
        asyncio.run(trained(servers, settings, step=wild))
    stopped(servers)


@first_of("optimizer", [OPTIMIZER, sgd(0.1, momentum=0.9)], ids=["adagrad", "sgd"])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_parts_are_the_whole(optimizer, shards):
    state = fresh(optimizer)
    parts = divide(state, optimizer.init, shards)
    assert Counter(name for part in parts for name in part.params) == Counter(named_leaves(state.params).keys())
    same_bits(state, merge(parts, state))
    gradient = jax.tree.map(jnp.ones_like, state.params)
    step = TrainStep(supervised(MODEL, cross_entropy), optimizer.update)
    whole = step.descend(state, gradient, {})
    named = named_leaves(gradient)
    apart = [step.descend(part, {name: named[name] for name in part.params}, {}) for part in parts]
    same_bits(whole, merge(apart, state))


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="between 1 and the number of arrays, 3; received 4"):
        assign(fresh().params, 4)
    with pytest.raises(ValueError, match="An optimizer that mixes parameters cannot be divided"):
        divide(fresh(lbfgs(0.1)), lbfgs(0.1).init, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1; received 0"),
        ({"n_push": 0}, "`n_push` must be at least 1"),
        ({"bound": -1}, "`in_flight` and `bound` must be at least 0"),
    ],
)
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        Downpour(**bad)


def test_a_server_applies_what_is_in_its_log_first(tmp_path):
    """A log line is on disk before anyone can read what it changed: a reader of the file never sees less."""
    settings = Downpour(workers=1, batch_size=8)
    (server,) = servers_of(tmp_path, settings)
    seen = []

    async def watched(push: Push, message, model_state, plain=server.push):
        await plain(push, message, model_state)
        seen.append((server.version.number, len(read_log(tmp_path)[0].pushes)))

    server.push = watched
    asyncio.run(trained([server], settings, steps=4))
    stopped([server])
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]
