import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from rings import first_of
from tolerances import assert_close

from jaxnn import losses, optimizers, training
from jaxnn.layers import (
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerModel,
    MaxPool,
    ReLU,
    Tanh,
    chain,
    graph,
    softmax_head,
)
from jaxnn.layers.hand_written import run

COVERS = {"layers.LayerModel", "layers.chain", "layers.graph"}

KEY = jax.random.key(0)
NETWORKS = {
    "two layers": (chain(Dense(16), Tanh(), Dense(5)), (7,)),
    "lenet": (
        chain(
            *(Convolution(6, (5, 5), padding="SAME"), ReLU(), MaxPool((2, 2))),
            *(Convolution(16, (5, 5), padding="VALID"), ReLU(), MaxPool((2, 2))),
            *(Flatten(), Dense(120), ReLU(), Dense(84), ReLU(), Dense(5)),
        ),
        (28, 28, 1),
    ),
    "residual with batch norm": (
        graph(
            {
                "stem": (Convolution(4, (3, 3)), "input"),
                "norm": (BatchNorm(), "stem"),
                "relu": (ReLU(), "norm"),
                "branch": (chain(Convolution(4, (3, 3)), BatchNorm(), ReLU(), Dropout(0.3)), "relu"),
                "sum": (Add(), "branch", "relu"),
                "both": (Concatenate(axis=-1), "sum", "stem"),
                "flat": (Flatten(), "both"),
                "logits": (Dense(5), "flat"),
            }
        ),
        (6, 6, 2),
    ),
}
EVERY_NETWORK = first_of(("network", "shape"), NETWORKS.values(), ids=NETWORKS)


def examples(shape, n=40, classes=5):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(n, *shape))), jnp.asarray(rng.integers(classes, size=n))


def by_hand(network):
    """`(params, state, x, labels, key) -> (gradients, state)` without automatic differentiation."""

    def gradients(params, state, x, labels, key):
        logits, residuals = run(network, params, x, state=state, train=True, key=key)
        _, head = softmax_head.forward(labels, logits)
        _, dlogits = softmax_head.backward(head, jnp.full(len(x), 1 / len(x), logits.dtype))
        return network.backward(residuals, dlogits)[0], network.advance(state, residuals)

    return gradients


def automatic(network):
    """The same by `jax.grad` of the forward pass alone."""

    def gradients(params, state, x, labels, key):
        def loss(params):
            logits, residuals = run(network, params, x, state=state, train=True, key=key)
            return losses.cross_entropy(logits, labels).mean(), network.advance(state, residuals)

        return jax.grad(loss, has_aux=True)(params)

    return gradients


def descend(gradients, network, x, labels, steps=8):
    """Momentum descent on batches of a quarter of the examples."""
    optimizer = optimizers.sgd(0.05, momentum=0.9)
    params, state = network.init(KEY, x[:1]), network.init_state(x[:1])

    @jax.jit
    def step(carry, i):
        params, state, opt_state = carry
        start = (i % 4) * (len(x) // 4)
        batch, targets = (jax.lax.dynamic_slice_in_dim(a, start, len(x) // 4) for a in (x, labels))
        grads, state = gradients(params, state, batch, targets, jax.random.fold_in(KEY, i))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optimizers.apply_updates(params, updates), state, opt_state), None

    start = (params, state, optimizer.init(params))
    return params, jax.lax.scan(step, start, jnp.arange(steps))[0][:2]


@pytest.mark.full
@EVERY_NETWORK
def test_trains_without_automatic_differentiation_to_the_same_parameters(network, shape, x64):
    x, labels = examples(shape)
    start, (params, state) = descend(by_hand(network), network, x, labels)
    _, (expected, expected_state) = descend(automatic(network), network, x, labels)
    flat = lambda *trees: ravel_pytree(trees)[0]
    assert_close(flat(params, state), flat(expected, expected_state), rtol=1e-10)
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), params, start)
    kernels = [size for path, size in jax.tree.leaves_with_path(moved) if "kernel" in jax.tree_util.keystr(path)]
    assert min(kernels) > 1e-4, moved


@pytest.mark.full
@EVERY_NETWORK
def test_the_trainer_takes_a_network_as_a_model(network, shape):
    x, labels = map(np.asarray, examples(shape))
    learnt = {"image": x, "label": labels}
    fitted = training.fit(
        LayerModel(network), learnt, validation=learnt, optimizer=optimizers.adam(1e-2), epochs=60, batch_size=10
    )
    assert fitted.history[-1]["validation/accuracy"] > 0.8  # learnt by heart; by chance 0.2
    assert bool(jax.tree.leaves(fitted.state.model_state)) == (network is NETWORKS["residual with batch norm"][0])


def test_running_statistics_move_only_in_training():
    network, (x, _) = chain(Dense(3), BatchNorm(decay=0.5)), examples((4,))
    model = LayerModel(network)
    variables = model.init({"params": KEY}, x)
    y = model.apply(variables, x)
    trained, changed = model.apply(variables, x, train=True, rngs={"dropout": KEY}, mutable=["state"])
    assert abs(trained.mean()) < 1e-6 < abs(y.mean())  # normalized by the batch, and not
    hidden = run(Dense(3), variables["params"]["0"], x)[0]
    assert_close(changed["state"]["1"].mean, 0.5 * hidden.mean(axis=0))


def test_a_value_that_two_nodes_read_gets_the_sum_of_their_gradients(x64):
    network = graph({"a": (Tanh(), "input"), "b": (Tanh(), "a"), "c": (Add(), "a", "b"), "d": (Add(), "c", "input")})
    x = examples((3,))[0]
    y, residuals = network.forward(dict.fromkeys("abcd", ()), x)
    assert_close(y, x + jnp.tanh(x) + jnp.tanh(jnp.tanh(x)))
    dy = jnp.cos(x)
    expected = jax.vjp(lambda x: x + jnp.tanh(x) + jnp.tanh(jnp.tanh(x)), x)[1](dy)[0]
    assert_close(network.backward(residuals, dy)[1], expected)


@settings(max_examples=10)
@given(st.data())
def test_any_graph_has_the_gradient_of_automatic_differentiation(data_):
    """Random graphs of sums: every node reads one or two of those above; what nobody reads is summed at the end."""
    nodes, names = {}, ["input"]
    for i in range(data_.draw(st.integers(1, 6))):
        sources = data_.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        nodes[f"n{i}"] = (Tanh() if len(sources) == 1 else Add(), *sources)
        names.append(f"n{i}")
    read = {source for _, *sources in nodes.values() for source in sources}
    unread = [name for name in names if name not in read]
    if len(unread) > 1:
        nodes["last"] = (Add(), *unread)
    network, params = graph(nodes), dict.fromkeys(nodes, ())
    with jax.enable_x64(True):
        x = examples((3,), n=2)[0]
        y, residuals = network.forward(params, x)
        expected = jax.vjp(lambda x: network.forward(params, x)[0], x)[1](jnp.cos(y))[0]
        assert_close(network.backward(residuals, jnp.cos(y))[1], expected)


def test_integers_may_come_in():
    network = chain(Embedding(10, 4), Flatten(), Dense(3))
    ids = jnp.array([[1, 2], [3, 9]])
    params = network.init(KEY, ids)
    assert params["0"]["embedding"].dtype == jnp.float32
    y, residuals = network.forward(params, ids)
    dparams, dx = network.backward(residuals, jnp.ones_like(y))
    assert dx is None
    expected = jax.grad(lambda params: network.forward(params, ids)[0].sum())(params)
    assert_close(dparams, expected)


def test_parameters_take_the_dtype_of_the_input(x64):
    network = chain(Dense(3), ReLU())
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        assert network.init(KEY, jnp.ones((1, 2), dtype))["0"]["kernel"].dtype == dtype


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({}, "at least one layer; received none"),
        ({"a": (Tanh(), "inptu")}, "unknown source of node 'a' 'inptu'; did you mean 'input'"),
        ({"a": (Tanh(), "b"), "b": (Tanh(), "input")}, "unknown source of node 'a' 'b'"),
        ({"a": (Tanh(),)}, "unknown source of node 'a'"),
        ({"a": (Tanh(), "input"), "b": (Tanh(), "input")}, "nobody reads a"),
    ],
)
def test_refuses_what_is_no_network(nodes, message):
    with pytest.raises(ValueError, match=message):
        graph(nodes)


def test_a_chain_must_not_be_empty():
    with pytest.raises(ValueError, match="at least one layer"):
        chain()
