import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adjustable, apply_updates
from jaxnn.optimizers.adagrad_family import adadelta
from jaxnn.optimizers.adam_family import adam, adamw, nadam, nadamw
from jaxnn.optimizers.adam_variants import amsgrad
from jaxnn.optimizers.half_precision import in_float32
from jaxnn.optimizers.lars_and_lamb import lamb, lars
from jaxnn.optimizers.sign_methods import lion
from jaxnn.parameter_paths import WEIGHTS
from jaxnn.schedules import linear

COVERS = {"optimizers.in_float32"}

pytestmark = pytest.mark.full  # ring 1 has the rows of the catalog

PARAMS = {
    "dense": {"kernel": jnp.asarray([[0.5, -1.0], [2.0, 0.3]]), "bias": jnp.asarray([0.1, -0.2])},
    "norm": {"scale": jnp.asarray([1.0, 2.0])},
}
TREE = {"dense": {"kernel": True, "bias": False}, "norm": {"scale": False}}
GRADS = jax.tree.map(lambda x: jnp.cos(3 * x), PARAMS)


def two_steps(optimizer, grads=GRADS, params=PARAMS):
    state = optimizer.init(params)
    for _ in range(2):
        updates, state = optimizer.update(grads, state, params)
        params = apply_updates(params, updates)
    return params


@pytest.mark.parametrize("ours", [adamw, nadamw, lion, lamb])
@pytest.mark.parametrize(
    "mask",
    [TREE, lambda params: TREE, "kernel", WEIGHTS, {"dense": {"kernel": True, "bias": False}, "norm": False}],
    ids=["tree", "function", "glob", "globs", "prefix"],
)
def test_every_kind_of_mask_is_the_tree_of_optax(ours, mask):
    theirs = getattr(optax, ours.__name__)(0.1, weight_decay=0.3, mask=TREE)
    unmasked = two_steps(ours(0.1, weight_decay=0.3))
    masked = two_steps(ours(0.1, weight_decay=0.3, mask=mask))
    assert_close(masked, two_steps(theirs))
    assert (masked["dense"]["bias"] != unmasked["dense"]["bias"]).any()


def test_masks_of_lars_and_adadelta_are_those_of_optax():
    flags = {"weight_decay_mask": TREE, "trust_ratio_mask": {"dense": True, "norm": False}}
    ours, theirs = (f(0.1, weight_decay=0.3, trust_coefficient=0.1, **flags) for f in (lars, optax.lars))
    assert_close(two_steps(ours), two_steps(theirs))
    ours, theirs = (f(0.1, weight_decay=0.3, weight_decay_mask=TREE) for f in (adadelta, optax.adadelta))
    assert_close(two_steps(ours), two_steps(theirs))


def test_a_tree_of_bools_under_adjustable_and_a_glob():
    expected = two_steps(adamw(0.1, weight_decay=0.3, mask=TREE))
    assert_close(two_steps(adjustable(adamw)(learning_rate=0.1, weight_decay=0.3, mask=TREE)), expected)
    assert_close(two_steps(adjustable(adamw)(learning_rate=0.1, weight_decay=0.3, mask="kernel")), expected)


def test_a_glob_that_fits_nothing_is_refused():
    with pytest.raises(ValueError, match="must fit at least one path; received 'kernle'"):
        two_steps(adamw(0.1, mask="kernle"))


def test_no_decay_needs_no_parameters_and_a_schedule_decays():
    adamw(0.1, weight_decay=0.0).update(GRADS, adamw(0.1).init(PARAMS))
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    optimizer = adamw(0.1, weight_decay=linear(0.0, 1.0, steps=1))
    after = two_steps(optimizer, grads=zero)  # 0 at step 0, then 1: w <- w - 0.1 w
    assert_close(after, jax.tree.map(lambda w: 0.9 * w, PARAMS))


def test_decay_is_decoupled():
    """With zero gradients AdamW shrinks the weights by lr times the decay; an L2 penalty would move them by lr."""
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    assert_close(two_steps(adamw(0.1, weight_decay=0.5), grads=zero), jax.tree.map(lambda w: 0.95**2 * w, PARAMS))


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_amsgrad_without_corrections_is_that_of_optax(flags):
    named = dict(zip(("bias_correction_mu", "bias_correction_nu"), flags, strict=True))
    assert_close(two_steps(amsgrad(0.1, **named)), two_steps(optax.amsgrad(0.1, **named)))


@pytest.mark.parametrize("ours", [adam, adamw, amsgrad, lion, nadam, nadamw])
def test_mu_dtype_is_that_of_optax(ours):
    ours, theirs = ours(0.1, mu_dtype="bfloat16"), getattr(optax, ours.__name__)(0.1, mu_dtype="bfloat16")
    state, expected = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(2):
        updates, state = ours.update(GRADS, state, PARAMS)
        their_updates, expected = theirs.update(GRADS, expected, PARAMS)
    assert_close(updates, their_updates, rtol=2**-7)  # Optax rounds b1 m to bfloat16, ours does not
    assert_close(state.m, expected[0].mu, rtol=2**-7)
    assert {str(x.dtype) for x in jax.tree.leaves(state.m)} == {"bfloat16"}


@pytest.mark.parametrize("factory", [adam, optax.adam, adjustable(adam)], ids=["ours", "optax", "adjustable"])
def test_in_float32_the_second_moment_does_not_stand_still(factory):
    """In bfloat16, 0.999 v + 0.001 g^2 stops long before g^2: here all is as in float32, rounded at the end."""
    half = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.arange(3), "x": jnp.ones(1)}
    grads = {"w": jnp.full(2, 0.3, jnp.bfloat16), "n": np.zeros(3, jax.dtypes.float0), "x": jnp.ones(1)}
    if factory is optax.adam:
        half.pop("n"), grads.pop("n")
    wide = lambda tree: {k: x.astype("float32") if x.dtype == "bfloat16" else x for k, x in tree.items()}
    plain, careful = factory(learning_rate=0.1), in_float32(factory(learning_rate=0.1))

    def after(optimizer, grads, params):
        step = lambda _, state: optimizer.update(grads, state, params)[1]
        return jax.jit(lambda: jax.lax.fori_loop(0, 1500, step, optimizer.init(params)))()

    state, expected = after(careful, grads, half), after(plain, wide(grads), wide(half))
    assert jax.tree.map(jnp.result_type, state) == jax.tree.map(jnp.result_type, expected)
    assert_close(state, expected)
    second = lambda state: [x for x in jax.tree.leaves(state) if x.shape == (2,)][-1].astype("float32")
    assert (second(after(plain, grads, half)) < 0.8 * second(state)).all()
    updates, _ = careful.update(grads, state, half)
    assert updates["w"].dtype == jnp.bfloat16
    assert_close(updates["w"], plain.update(wide(grads), expected, wide(half))[0]["w"])
    assert "n" not in half or updates["n"].dtype == jax.dtypes.float0
