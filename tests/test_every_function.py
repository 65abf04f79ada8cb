"""Properties of every activation, loss, metric, preprocessing and layer, beside the oracle that `verify` compares."""

from functools import cache

import catalog
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_shapes import REFUSED
from catalog import FUNCTIONS, over
from rings import DTYPES
from tolerances import assert_close, directional_error

from jaxnn.verification.comparison import float_part

SMOOTH = [row for row in FUNCTIONS if row not in (*catalog.METRICS, *catalog.PREPROCESSING)]  # where the inputs lie
IN_FLOAT32 = {*(row.name for row in catalog.METRICS), "Standardize", "Standardize, bytes", "as_float, bytes"}
TOGETHER = {  # what looks at the whole batch
    "precision", "recall", "f1", "perplexity", "normal_interval", "student_interval", "recall_at_k",
    "average_precision", "f_beta", "intersection_over_union", "matthews_correlation", "cohen_kappa",
    "balanced_accuracy", "roc_auc", "binary_average_precision", "score_histogram", "binned_roc_auc",
    "calibration_bins", "expected_calibration_error", "maximum_calibration_error", "regression_sums", "r_squared",
    "l1", "l2", "elastic_net", "l1_sparsity", "kl_sparsity", "max_norm", "batch_norm", "dropout",
    "unscaled_dropout",
}  # fmt: skip
APART = [row for row in FUNCTIONS if row.name.partition(",")[0] not in TOGETHER]


compiled = cache(jax.jit)  # so that the tests of a row share what is compiled


def arguments_of(row, *, batch=5, dtype="float32", seed=0):
    arrays = row.arguments(np.random.default_rng(seed), batch)
    return tuple(jnp.asarray(a, dtype if a.dtype.kind == "f" else None) for a in arrays)


@over(FUNCTIONS)
@DTYPES
def test_keeps_dtype(row, dtype, x64):
    ours = jax.eval_shape(row.ours, *arguments_of(row, dtype=dtype))
    assert ours.dtype == ("float32" if row.name in IN_FLOAT32 else dtype)


@over(FUNCTIONS)
def test_compiles_once_to_what_runs_uncompiled(row, traced_once):
    counted = jax.jit(traced_once(lambda *arguments: row.ours(*arguments)))
    results = [counted(*arguments_of(row, seed=seed)) for seed in range(3)]
    assert_close(results[0], row.ours(*arguments_of(row, seed=0)))


@over(FUNCTIONS)
def test_works_under_vmap(row):
    members = [arguments_of(row, seed=seed) for seed in range(3)]
    mapped = jax.jit(jax.vmap(row.ours))(*(jnp.stack(column) for column in zip(*members, strict=True)))
    assert_close(mapped, jnp.stack([compiled(row.ours)(*arguments) for arguments in members]))


@over(APART)
def test_a_batch_of_one_is_a_row_of_a_batch(row):
    arguments = arguments_of(row, batch=11)  # as no other axis
    alone = [a[2:3] if a.shape[:1] == (11,) else a for a in arguments]
    assert_close(compiled(row.ours)(*alone), compiled(row.ours)(*arguments)[2:3])


@over([row for row in FUNCTIONS if row.name in REFUSED])
def test_rejects_bad_shapes(row):
    arguments, message = REFUSED[row.name]
    with pytest.raises((ValueError, TypeError), match=message):  # jaxtyping's errors are TypeErrors
        row.ours(*arguments)


def test_every_refusal_is_of_a_row():
    assert REFUSED.keys() <= {row.name for row in FUNCTIONS}


@over(SMOOTH)
def test_gradient_is_that_of_central_differences(row, x64):
    arguments = arguments_of(row, dtype="float64")
    of_floats, floats = float_part(row.ours, arguments)
    assert directional_error(of_floats, floats) < 1e-6


@over(catalog.ACTIVATIONS)
@DTYPES
def test_extreme_inputs_never_give_nan(row, dtype, x64):
    arguments = arguments_of(row, dtype=dtype)

    @jax.jit
    def value_and_gradient(x, *others):
        value, pull = jax.vjp(row.ours, x, *others)
        return value, pull(jnp.ones_like(value))[0]

    for extreme in (1e4, -1e4, np.inf, -np.inf):
        x = jnp.full_like(arguments[0], extreme).at[0].set(arguments[0][0])
        value, gradient = value_and_gradient(x, *arguments[1:])
        assert not jnp.isnan(value).any(), f"value at {extreme}"
        assert not jnp.isnan(gradient).any(), f"gradient at {extreme}"
