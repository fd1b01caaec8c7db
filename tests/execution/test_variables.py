import nengo
import numpy as np
import pytest
import tensorflow as tf
from graphs import make_graph
from nengo.builder.operator import Copy
from nengo.builder.signal import Signal

from nengo_dl.builder import build_model
from nengo_dl.config import configure_settings
from nengo_dl.execution import variables
from nengo_dl.execution.variables import constant_tensor
from nengo_dl.tensor_graph import TensorGraph


@pytest.fixture
def learning():
    """Return a network with parameters of all kinds."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", trainable=None)
        inp = nengo.Node([1])
        net.ens, net.post = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
        nengo.Connection(inp, net.ens)
        net.conn = nengo.Connection(
            net.ens, net.post, learning_rule_type=nengo.PES(1e-3)
        )
        nengo.Connection(net.post, net.conn.learning_rule)
        nengo.Probe(net.post)
        net.config[net.post].trainable = False
    return net


def simulate(graph, n_steps=5):
    """Return the state after some steps in which nothing is fed in."""
    capacity = graph.engine.capacity(n_steps)
    feeds = [
        np.ones((graph.minibatch_size, capacity, feed.signal.size))
        for feed in graph.program.feeds
    ]
    return graph.engine.run_block(graph.values.packed_state(), feeds, n_steps)[0]


def test_variables(learning):
    graph = make_graph(learning)
    sig = graph.model.sig
    trainable = {v.name for v in graph.trainable_weights}
    assert trainable == {k for k in graph.base_params if k.startswith("trainable")}
    assert len(graph.weights) == len(graph.base_params)

    conn = graph.get_tensor(sig[learning.conn]["weights"])
    assert conn.shape == (3, 1, 10)
    assert np.allclose(conn, graph.model.params[learning.conn].weights)
    encoders = graph.get_tensor(sig[learning.ens]["encoders"])
    assert encoders.shape == (10, 1) and encoders.dtype == tf.float64
    voltage = graph.get_tensor(sig[learning.ens.neurons]["voltage"])
    assert voltage.shape == (3, 10)

    places = graph.program.layout.places
    assert places[sig[learning.ens]["encoders"].base][0] in trainable
    assert places[sig[learning.post]["encoders"].base][0] not in trainable
    assert places[sig[learning.conn]["weights"].base][0] in graph.saved_state


def test_integers(learning):
    """They are in reach of XLA on a GPU, where TensorFlow keeps int32 on the host."""
    graph = make_graph(learning)
    step = graph.model.step
    key = graph.program.layout.places[step.base][0]
    assert graph.program.layout.arrays[key].dtype == "int32"
    graph.values.commit(simulate(graph), stateful=True)
    types = {tf.as_dtype(v.dtype) for v in graph.saved_state.values()}
    assert types == {tf.int64, tf.float64}
    assert graph.saved_state[key].numpy() == 5
    for value in (graph.values.state_tensor(key), graph.get_tensor(step)):
        assert value.dtype == tf.int32 and value.numpy() == 5
    assert graph.values.get_arrays()[key].dtype == np.int32
    graph.values.set_arrays({**graph.values.get_arrays(), key: np.int32(7)})
    assert graph.values.n_steps() == 7
    assert graph.values.packed_state()[1].dtype == tf.int32


def test_parameters_that_are_integers(learning):
    """No operator of Nengo has any, but operators from outside may."""
    signal = Signal(np.array([1, 2]), name="numbers", readonly=True)
    model = build_model(learning, 0.001)
    model.sig[learning.post.neurons]["bias"] = signal
    target = Signal(np.zeros(2, dtype=int), name="target")
    model.add_op(Copy(signal, target))
    graph = TensorGraph(model, 0.001, 1, 3, None)
    graph.build()
    key = graph.program.layout.places[signal][0]
    assert graph.base_params[key].dtype == "int64"
    assert graph.get_tensor(signal).dtype == tf.int32
    np.testing.assert_array_equal(graph.get_tensor(signal), [1, 2])
    simulate(graph)


def test_what_is_not_kept(learning):
    graph = make_graph(learning)
    current = graph.model.sig[learning.ens.neurons]["in"]
    with pytest.raises(KeyError, match="computed afresh in every step.*use a Probe"):
        graph.get_tensor(current)
    assert current.base not in graph.values.kept_signals()
    assert (
        graph.model.sig[learning.ens.neurons]["voltage"] in graph.values.kept_signals()
    )


def test_commit_and_reset(learning):
    graph = make_graph(learning)
    sig = graph.model.sig
    weights = sig[learning.conn]["weights"]
    voltage = sig[learning.ens.neurons]["voltage"]
    initial = {s: graph.get_tensor(s).numpy() for s in (weights, voltage)}

    def has_changed():
        return [
            bool(np.any(graph.get_tensor(s).numpy() != initial[s]))
            for s in (weights, voltage)
        ]

    state = simulate(graph)
    assert has_changed() == [False, False]
    graph.values.commit(state, stateful=False)
    assert has_changed() == [True, False]
    graph.values.commit(state, stateful=True)
    assert has_changed() == [True, True]
    graph.values.reset(include_trainable=False)
    assert has_changed() == [True, False]
    graph.values.reset()
    assert has_changed() == [False, False]


def test_reset_of_trained_parameters(learning):
    graph = make_graph(learning)
    encoders = graph.model.sig[learning.ens]["encoders"]
    initial = graph.get_tensor(encoders).numpy()
    for variable in graph.trainable_weights:
        variable.assign(variable + 1)
    assert np.allclose(graph.get_tensor(encoders), initial + 1)
    graph.values.reset(include_trainable=False)
    assert np.allclose(graph.get_tensor(encoders), initial + 1)
    graph.values.reset()
    assert np.allclose(graph.get_tensor(encoders), initial)


def test_variables_and_tensors_agree(learning):
    """Whoever looks at a variable sees the newest state, and can change it."""
    graph = make_graph(learning)
    voltage = graph.model.sig[learning.ens.neurons]["voltage"]
    key = graph.program.layout.places[voltage.base][0]
    graph.values.commit(simulate(graph), stateful=True)
    expected = graph.values.state_tensor(key).numpy()
    assert (graph.saved_state[key].numpy() == expected).all()

    graph.saved_state[key].assign(expected + 1)
    assert (graph.values.state_tensor(key).numpy() == expected + 1).all()
    graph.values.assign({key: expected + 2})
    assert (graph.saved_state[key].numpy() == expected + 2).all()
    assert key in graph.saved_state and len(graph.saved_state) == len(
        list(graph.saved_state)
    )


def test_arrays_make_a_copy(learning):
    first, second = make_graph(learning), make_graph(learning)
    first.values.commit(simulate(first), stateful=True)
    for variable in first.trainable_weights:
        variable.assign(variable + 1)
    second.values.set_arrays(first.values.get_arrays())
    for key, value in second.values.get_arrays().items():
        assert (value == first.values.get_arrays()[key]).all()


def test_parameters_are_not_compiled_in(learning):
    """A parameter that is changed counts in the next step."""
    graph = make_graph(learning)
    before = simulate(graph)
    for variable in graph.trainable_weights:
        variable.assign(10 * variable)
    after = simulate(graph)
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(before, after))


def test_large_constants_are_not_part_of_the_program():
    n_floats = variables.SMALL_CONSTANT_BYTES // 4
    assert isinstance(constant_tensor(np.zeros(n_floats, "float32")), np.ndarray)
    large = constant_tensor(np.zeros(n_floats + 1, "float32"))
    assert isinstance(large, tf.Tensor) and large.dtype == tf.float32
