"""Before the first test: eight CPU devices, no silent broadcasting, and every shape annotation of jaxnn checked."""

import functools
import os
import signal
import time
from importlib.metadata import version

quickly_compiled = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if version("jax") < "0.11":  # the older code generators compile in half the time; newer XLA has them no longer
    quickly_compiled += ["--xla_cpu_use_fusion_emitters=false"]
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", " ".join(quickly_compiled))  # thousands of programs, each run once

signal.signal(signal.SIGINT, signal.default_int_handler)  # `pytest &` of a script begins with it ignored

import chex
import jax
import jaxtyping
import pytest
from hypothesis import settings

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("jaxnn", "typechecking.checked")

# One fixed set of examples, so that a run can be repeated; no deadline, for an example may compile.
settings.register_profile("jaxnn", deadline=None, derandomize=True, max_examples=20, database=None)
settings.load_profile("jaxnn")


@pytest.fixture
def x64():
    """Doubles inside the test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def traced_once():
    """A decorator of what is compiled, below `jax.jit`: a second trace fails the test."""
    chex.clear_trace_counter()
    return chex.assert_max_traces(n=1)


compiled_programs = []  # the seconds of each, since JAX forgot them
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: event.endswith("backend_compile_duration") and compiled_programs.append(seconds)
)


@pytest.fixture(autouse=True)
def few_programs():
    """Forgets what was compiled from time to time: a megabyte each, and the more are kept the slower JAX lowers."""
    yield
    if len(compiled_programs) > 300:
        compiled_programs.clear()
        jax.clear_caches()


@pytest.fixture(scope="session", autouse=True)
def programs_of_processes(tmp_path_factory):
    """The processes that tests start share what they compile; this one, which has read its environment, does not."""
    folder = tmp_path_factory.getbasetemp().parent / "programs"  # of all workers
    os.environ.update(JAX_COMPILATION_CACHE_DIR=str(folder), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")


def pytest_addoption(parser):
    help = "fail a test of ring 1 that takes more seconds of the processor, those of its processes included"
    parser.addoption("--cpu-limit", type=float, default=float("inf"), metavar="SECONDS", help=help)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """The one time that a test may fail for: of the processor, not the clock, lest it fail when others compute, too.

    It is asked for by `.ci/run` alone, and stretched where the processor is slower than the one of the budgets.
    """
    before = processor_seconds()
    result = yield
    taken, limit = processor_seconds() - before, item.config.getoption("--cpu-limit")
    limit *= slowness() if taken > limit else 1
    if taken > limit and not {"full", "soak"} & {mark.name for mark in item.iter_markers()}:
        pytest.fail(f"took {taken:.1f} s of at most {limit:g} s in ring 1: make it smaller or mark it full")
    return result


@functools.cache
def slowness() -> float:
    """How many times as long as on the processor of the budgets, 0.137 s, a loop takes here; at least 1."""
    before, total = time.process_time(), 0
    for i in range(2_000_000):
        total += i * i % 7
    return max(1.0, (time.process_time() - before) / 0.137)


def processor_seconds():
    """Of all threads of this process and of the processes that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
