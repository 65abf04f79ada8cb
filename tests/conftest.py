"""Before the first test: eight CPU devices, no silent broadcasting, and every shape annotation of jaxnn checked."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # thousands of programs, each run once

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
