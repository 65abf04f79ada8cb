"""Every leaf is moved by the optimizer of its group alone; mistakes in patterns are told before the first step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tolerances import assert_close

from jaxnn.optimizers import adam, adamw, adjustable, lamb, lion, nadam, radam, rmsprop, sgd
from jaxnn.optimizers.adjustable_hyperparameters import with_hyperparameters
from jaxnn.optimizers.chaining import chain
from jaxnn.optimizers.gradient_clipping import clip_by_global_norm
from jaxnn.optimizers.gradient_transformation import apply_updates
from jaxnn.optimizers.parameter_grouping import explain_groups, parameter_groups
from jaxnn.optimizers.plateau import reduce_on_plateau
from jaxnn.optimizers.weight_decay import add_decayed_weights
from jaxnn.parameter_paths import path_names

COVERS = {"optimizers.explain_groups"}


def params():
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return {
        "encoder": [{"kernel": draw(3, 2), "bias": draw(2)}, {"kernel": draw(2, 2), "bias": draw(2)}],
        "head": {"kernel": draw(2, 4), "bias": draw(4)},
    }


def walk(optimizer, start, steps=5):
    state = optimizer.init(start)

    @jax.jit
    def step(w, state):
        updates, state = optimizer.update(jax.tree.map(lambda p: p**3 + 1, w), state, w)
        return apply_updates(w, updates), state

    for _ in range(steps):
        start, state = step(start, state)
    return start, state


def test_walks_as_optaxs_partition():
    ours = parameter_groups({"encoder/0/*": None, "bias": sgd(0.1, momentum=0.9)}, rest=adam(0.01))

    def label(path):
        return "frozen" if path.startswith("encoder/0") else "fast" if path.endswith("bias") else "rest"

    theirs = optax.partition(
        {"frozen": optax.set_to_zero(), "fast": optax.sgd(0.1, momentum=0.9), "rest": optax.adam(0.01)},
        lambda params: jax.tree.map(label, path_names(params)),
    )
    start = params()
    (a, _), (b, _) = walk(ours, start), walk(theirs, start)
    assert_close(a, b)
    assert (a["head"]["kernel"] != start["head"]["kernel"]).all()
    jax.tree.map(np.testing.assert_array_equal, a["encoder"][0], start["encoder"][0])


def test_a_frozen_group_has_no_state_and_others_only_their_own():
    optimizer = parameter_groups({"encoder/*": None}, rest=adam(0.1))
    frozen, rest = optimizer.init(params()).groups
    assert frozen == ()
    assert sum(x.size for x in jax.tree.leaves(rest)) == 1 + 2 * 12  # step, and two moments of the head
    paths = jax.tree.leaves(path_names(optimizer.init(params())))
    assert "groups/1/m/head/kernel" in paths


def test_the_gradient_of_what_is_frozen_is_not_computed():
    """A matrix product is missing in the compiled step."""
    layers = {"a": jnp.ones((8, 8)), "b": jnp.ones((8, 8))}
    loss = lambda w, x: jnp.sum(jnp.tanh(jnp.tanh(x @ w["a"]) @ w["b"]))

    def products(optimizer):
        def step(w, state, x):
            updates, state = optimizer.update(jax.grad(loss)(w, x), state, w)
            return apply_updates(w, updates), state

        compiled = jax.jit(step).lower(layers, optimizer.init(layers), jnp.ones((4, 8))).compile()
        return compiled.as_text().count(" dot(") + compiled.as_text().count("__onednn$matmul")

    assert products(parameter_groups({"a": None}, rest=sgd(0.1))) < products(sgd(0.1))


def test_the_first_pattern_decides():
    g = {"conv": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}}
    optimizer = parameter_groups({"bias": sgd(1.0), "conv/*": sgd(2.0)})
    updates, _ = optimizer.update(g, optimizer.init(g))
    assert (float(updates["conv"]["bias"][0]), float(updates["conv"]["kernel"][0])) == (-1.0, -2.0)


def test_a_norm_is_the_groups_own():
    g = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    optimizer = parameter_groups({"a": chain(clip_by_global_norm(1.0), sgd(1.0))}, rest=sgd(1.0))
    updates, _ = optimizer.update(g, optimizer.init(g))
    assert (float(updates["a"][0]), float(updates["b"][0])) == (-1.0, -4.0)


def test_params_and_extra_arguments_reach_the_groups():
    decayed = chain(add_decayed_weights(1.0), sgd(1.0), reduce_on_plateau(0.5, patience=1))
    optimizer = parameter_groups({"a": decayed, "b": optax.sgd(1.0)})
    w = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    zero, state = jax.tree.map(jnp.zeros_like, w), optimizer.init(w)
    for expected in (-3.0, -1.5):
        updates, state = optimizer.update(zero, state, w, value=1.0)
        assert float(updates["a"][0]) == expected
        assert float(updates["b"][0]) == 0.0


def test_adjustable_numbers_in_a_group():
    optimizer = parameter_groups({"a": adjustable(sgd)(learning_rate=1.0)}, rest=adjustable(adam)(learning_rate=1.0))
    g = {"a": jnp.ones(1), "b": jnp.ones(1)}
    state = with_hyperparameters(optimizer.init(g), learning_rate=0.25)
    updates, _ = jax.jit(optimizer.update)(g, state)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], -0.25, rtol=1e-5)


def test_integers_and_none_pass_in_any_group():
    w = {"a": {"w": jnp.ones(2), "n": jnp.arange(2), "none": None}, "b": {"w": jnp.ones(2), "n": jnp.arange(2)}}
    optimizer = parameter_groups({"a/*": adam(0.1)}, rest=None)
    grads = jax.grad(lambda w: jnp.sum(w["a"]["w"] ** 2 + w["b"]["w"]), allow_int=True)(w)
    new = apply_updates(w, optimizer.update(grads, optimizer.init(w), w)[0])
    assert new["a"]["n"].tolist() == new["b"]["n"].tolist() == [0, 1]
    assert new["a"]["none"] is None
    assert new["b"]["w"].tolist() == [1, 1]
    assert (new["a"]["w"] < 1).all()


def test_explains_itself():
    optimizers = {
        "encoder/*": None,
        lambda path: path == "head/bias": adjustable(sgd)(learning_rate=0.1),
        ("kernel", "nothing"): chain(adam(0.1)),
    }
    lines = explain_groups(optimizers, params(), rest=optax.adam(0.1)).splitlines()
    assert [line.split()[0] for line in lines] == ["group", "encoder/*", "<lambda>", "('kernel',", "rest"]
    assert lines[1].split(maxsplit=4)[1:] == [
        "frozen",
        "4",
        "14",
        "encoder/0/bias, encoder/0/kernel, encoder/1/bias, ...",
    ]
    assert lines[2].split()[1:] == ["sgd", "1", "4", "head/bias"]
    assert lines[3].split()[2:] == ["chain", "1", "8", "head/kernel"]
    assert lines[4].split()[1:] == ["chain", "0", "0"]  # Optax's Adam is a chain


ERRORS = {
    "unfitting": ({"encodr/*": None}, {"rest": None}, r"received 'encodr/\*'. Did you mean 'encoder'"),
    "no group": ({"encoder/*": None}, {}, r"received none for head/bias, head/kernel. Add a pattern, or `rest="),
    "shadowed": ({"*": None, "head/*": None}, {}, r"received 'head/\*', whose leaves all fit an earlier pattern"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_in_patterns_are_told_at_init(name):
    groups, rest, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        parameter_groups(groups, **rest).init(params())
    with pytest.raises(ValueError, match=message):
        explain_groups(groups, params(), **rest)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(parameter_groups, {"a": sgd}), r"`groups\['a'\]` must be a pair .* Did you forget to call it"),
        (partial(parameter_groups, {"a": None}, rest=0.1), "`rest` must be a pair"),
    ],
)
def test_what_is_no_optimizer_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("factory", [adam, adamw, lamb, lion, nadam, radam, rmsprop, sgd], ids=lambda f: f.__name__)
def test_every_optimizer_is_called_by_its_name(factory):
    table = explain_groups({}, {"w": jnp.ones(2)}, rest=factory(0.1))
    assert table.splitlines()[1].split()[1] == ("adam" if factory is nadam else factory.__name__)  # it is an adam
