"""The simulated events: what follows from them whatever the random times are."""

import numpy as np
import pytest
from rings import first_of

from jaxnn.asynchronous.event_logs import Log, log_of, program_of
from jaxnn.asynchronous.event_simulation import COMPUTE, FETCH, PUSH, in_turns, simulate
from jaxnn.asynchronous.staleness_counts import clock_gaps, staleness_of
from jaxnn.asynchronous.worker_times import Outage, WorkerTimes, round_times

N = 8
SPEEDS = {
    "a straggler": WorkerTimes(N, spread=0.3, slowdown={2: 5.0}),
    "equal": WorkerTimes(N),
    "random": WorkerTimes(N, spread=0.3),
    "two kinds": WorkerTimes(N, spread=0.1, slowdown=dict.fromkeys(range(4), 3.0)),
    "a network": WorkerTimes(N, spread=0.3, latency=0.4, jitter=0.5),
}
over_speeds = first_of("times", SPEEDS.values(), ids=SPEEDS)


@over_speeds
def test_mean_staleness_is_the_number_of_the_other_workers_whatever_the_speeds(times):
    late = staleness_of(log_of(simulate(times, pushes=4000)))
    assert late[200:].mean() == pytest.approx(N - 1, abs=0.05)
    assert late[:N].tolist()[0] == 0


@over_speeds
def test_gradients_pushed_together_are_as_late_as_single_ones(times):
    late = staleness_of(log_of(simulate(times, pushes=2000, n_push=3, n_fetch=3)))
    assert len(late) == 6000
    assert late[600:].mean() == pytest.approx(N - 1, abs=0.1)


def test_seldom_fetches_add_what_everybody_did_in_between():
    late = staleness_of(log_of(simulate(SPEEDS["equal"], pushes=3200, n_fetch=4)))
    assert late[64:].mean() == pytest.approx(N - 1 + 1.5 * N)


@over_speeds
@pytest.mark.parametrize("bound", [0, 1, 4])
def test_no_worker_is_further_ahead_than_the_bound(times, bound):
    program = simulate(times, pushes=800, bound=bound)
    assert clock_gaps(program).max() <= bound
    if times.slowdown:
        assert clock_gaps(program).max() == bound  # the fast ones do go as far as they may
        assert clock_gaps(simulate(times, pushes=800)).max() > 20


@over_speeds
def test_a_bound_of_zero_is_bulk_synchronous(times):
    log = log_of(simulate(times, pushes=80 * N, bound=0))
    assert (log.version_read % N == 0).all()
    assert (staleness_of(log).reshape(80, N) == np.arange(N)).all()
    assert (np.sort(log.worker.reshape(80, N), axis=1) == np.arange(N)).all()


def test_the_same_seed_is_the_same_program_and_another_is_another():
    times = SPEEDS["a straggler"]
    first, again = (simulate(times, pushes=300) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = simulate(WorkerTimes(N, spread=0.3, slowdown={2: 5.0}, seed=1), pushes=300)
    assert not np.array_equal(first.worker, other.worker)


def test_a_straggler_pushes_as_seldom_as_it_is_slow():
    program = simulate(WorkerTimes(4, slowdown={1: 5.0}), pushes=1600)
    pushed = np.bincount(program.worker[program.kind == PUSH])
    assert pushed.tolist() == [500, 100, 500, 500]


def test_messages_cost_their_way_there_and_back():
    program = simulate(WorkerTimes(1, latency=0.25), pushes=3)
    assert program.time[program.kind == PUSH].tolist() == [1.75, 3.25, 4.75]
    assert program.time[program.kind == FETCH].tolist() == [0.25, 1.75, 3.25]


@over_speeds
def test_events_are_in_order_and_every_gradient_is_pushed_once(times):
    program = simulate(times, pushes=300, n_push=2, n_fetch=3)
    assert (np.diff(program.time) >= 0).all()
    assert (program.kind == COMPUTE).sum() == 2 * 300
    log = log_of(program)
    for worker in range(N):
        steps = log.local_step[log.worker == worker]
        assert steps.tolist() == list(range(len(steps)))


def test_elastic_workers_fetch_only_on_joining():
    program = simulate(WorkerTimes(3, spread=0.2, outages=(Outage(1, 5.0, 9.0),)), pushes=50, n_fetch=None)
    assert program.worker[program.kind == FETCH].tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("n_push", [1, 3])
def test_a_worker_that_dies_loses_only_what_it_had_not_sent(n_push):
    times = WorkerTimes(4, spread=0.3, outages=(Outage(2, 20.5, 60.0),))
    program = simulate(times, pushes=400 // n_push, n_push=n_push, n_fetch=n_push)
    own = program.worker == 2
    assert not (own & (program.time > 20.5) & (program.time < 60.0)).any()
    steps = log_of(program).local_step[log_of(program).worker == 2]
    assert steps.tolist() == list(range(len(steps)))  # goes on where the server knows it to be
    back = np.flatnonzero(own & (program.time >= 60.0))
    assert program.kind[back[0]] == FETCH
    others = log_of(program).worker[200:] != 2
    assert others.any()


def test_the_dead_hold_nobody_up():
    program = simulate(WorkerTimes(3, outages=(Outage(0, 10.5),)), pushes=300, bound=1)
    assert (program.kind == PUSH).sum() == 300
    with pytest.raises(ValueError, match="must leave a worker until push 300; received none after 20"):
        simulate(WorkerTimes(2, outages=(Outage(0, 10.5), Outage(1, 10.5))), pushes=300)


def test_turns_are_never_late():
    log = log_of(in_turns(3, 10))
    assert staleness_of(log).tolist() == [0] * 10
    assert log.worker.tolist() == [0, 1, 2] * 3 + [0]
    assert log.local_step.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


# ----------------------------------------------------------------------------------------------- rounds


@pytest.mark.parametrize("backup", [0, 1, 3])
def test_backup_workers_drop_exactly_the_slowest(backup):
    times = WorkerTimes(N, spread=0.5, slowdown={5: 2.0}, seed=7)
    rounds = round_times(times, 200, backup=backup)
    streams = [times.stream(worker) for worker in range(N)]
    seconds = np.stack([times.gradient_seconds(stream, i, (200,)) for i, stream in enumerate(streams)], axis=1)
    assert (rounds.accepted.sum(axis=1) == N - backup).all()
    kept = np.where(rounds.accepted, seconds, -np.inf).max(axis=1)
    assert (np.where(rounds.accepted, np.inf, seconds).min(axis=1) > kept).all()
    np.testing.assert_allclose(rounds.time, np.cumsum(kept))


def test_local_steps_wait_for_one_another_less_often():
    times = WorkerTimes(N, spread=0.5, latency=0.2)
    often, seldom = round_times(times, 160), round_times(times, 10, local_steps=16)
    assert seldom.time[-1] < 0.7 * often.time[-1]
    assert round_times(WorkerTimes(2, latency=0.5), 3).time.tolist() == [2.0, 4.0, 6.0]


# ------------------------------------------------------------------------------------------------- logs


@pytest.mark.parametrize("settings", [{}, {"n_fetch": 4}, {"n_push": 3, "n_fetch": 2}, {"n_push": 2}, {"bound": 1}])
@over_speeds
def test_the_events_of_a_log_log_the_same(times, settings):
    log = log_of(simulate(times, pushes=200, **settings))
    again = log_of(program_of(log))
    assert all(np.array_equal(a, b) for a, b in zip(log, again, strict=True))
    shuffled = np.random.default_rng(0).permutation(len(log.worker))
    assert np.array_equal(program_of(Log(*(column[shuffled] for column in log))).kind, program_of(log).kind)


def test_a_fetch_may_overtake_the_last_push_as_when_messages_overlap_computing():
    log = Log([0, 0, 0], [0, 1, 2], [0, 0, 1], [0, 1, 2])
    program = program_of(log)
    assert "".join("FCP"[kind] for kind in program.kind) == "FCPCFPCP"
    assert log_of(program).version_read.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="must not overtake its worker's last push but one; received `version_read` 1"):
        program_of(Log([0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 0, 1], [0, 1, 2, 3]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 0, 1)], "without a gap"),
        ([(0, 0, 0, 0), (1, 0, 0, 0)], "each of one worker"),
        ([(0, 0, 1, 0)], "at most `version_applied`"),
        ([(0, 0, -1, 0)], "at least 0"),
    ],
)
def test_impossible_logs_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        program_of(Log(*np.array(rows).T))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WorkerTimes(0), "`workers` must be at least 1; received 0"),
        (lambda: WorkerTimes(2, compute=0.0), "must be positive; received 0.0"),
        (lambda: WorkerTimes(2, slowdown={0: -1.0}), "must be positive"),
        (lambda: WorkerTimes(2, latency=-1.0), "`latency` must be at least 0"),
        (lambda: WorkerTimes(2, slowdown={2: 2.0}), r"workers below 2; received \{2\}"),
        (lambda: simulate(WorkerTimes(2), pushes=0), "at least 1"),
        (lambda: simulate(WorkerTimes(2), pushes=1, n_push=2, bound=1), "only with n_push = 1"),
        (lambda: round_times(WorkerTimes(2), 5, backup=2), r"in 0, ..., 1"),
        (lambda: round_times(WorkerTimes(2, outages=(Outage(0, 1.0),)), 5), "must have no outages"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
