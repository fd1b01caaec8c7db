"""Steps that are computed again for their gradients: the same numbers."""

import weakref

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl import tensor_graph
from nengo_dl.execution.recomputation import RecomputedStep
from tests.execution.traced_gradients import operations
from tests.references import are_freed

pytestmark = pytest.mark.training


def network():
    """Builds a network with all kinds of state, of which some is not read later."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", layerwise=False)
        net.inp = nengo.Node([0.5])
        first = nengo.Ensemble(6, 1, neuron_type=nengo.AdaptiveLIFRate())
        second = nengo.Ensemble(5, 1, neuron_type=nengo.LIF())
        nengo.Connection(net.inp, first, synapse=None)
        nengo.Connection(first, second, synapse=0.002)
        nengo.Connection(second, first, synapse=nengo.Alpha(0.003))
        learned = nengo.Connection(first, second, learning_rule_type=nengo.PES())
        nengo.Connection(net.inp, learned.learning_rule)
        net.p = nengo.Probe(second, synapse=0.01)
        net.last = nengo.Probe(first)
        nengo_dl.configure_settings(keep_history=True)
        net.config[net.last].keep_history = False
    return net


def gradients(Simulator, compiles, x, **kwargs):
    """Returns values and gradients of all that is trained, and of the input."""
    with Simulator(network(), minibatch_size=2, seed=0, **kwargs) as sim:
        graph = sim.tensor_graph
        variables = graph.trainable_variables

        @tf.function(autograph=False, jit_compile=compiles)
        def compute(x):
            inputs = [x, tf.fill((2, 1), x.shape[1])]
            with tf.GradientTape() as tape:
                tape.watch(x)
                carried, outputs = graph.simulate(inputs, training=True)
                numbers = [v for v in carried if v.dtype.is_floating]
                loss = sum(tf.reduce_sum(v**2) for v in outputs[:2] + numbers)
            sources = [x, *(v.value for v in variables)]
            found = tape.gradient(loss, sources, unconnected_gradients="zero")
            return carried, outputs, found

        values = tf.nest.map_structure(np.array, compute(tf.constant(x)))
        return values, bool(graph._recomputed)


def test_same_gradients(Simulator, monkeypatch):
    x = np.random.RandomState(0).uniform(-1, 1, size=(2, 6, 1))
    expected, recomputed = gradients(Simulator, False, x, unroll_simulation=1)
    assert not recomputed
    assert any(np.any(g != 0) for g in expected[2][1:])
    monkeypatch.setattr(tensor_graph, "MAX_COMPILED_GROUPS", 0)
    for compiles, unroll in ((False, 2), (True, 1)):
        values, recomputed = gradients(Simulator, compiles, x, unroll_simulation=unroll)
        assert recomputed
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
            values,
            expected,
        )


def test_keeps_little(Simulator, monkeypatch):
    """Loops keep the state of each step, and not all that is computed in it."""

    def n_kept():
        with Simulator(network(), unroll_simulation=1) as sim:
            graph = sim.tensor_graph
            n_begins_with = len(graph.program.carried) + len(graph.program.feeds)
            return operations(graph, 4).count("TensorListPushBack"), n_begins_with

    many, n_begins_with = n_kept()
    assert many > 2 * n_begins_with
    monkeypatch.setattr(tensor_graph, "MAX_COMPILED_GROUPS", 0)
    # (and counters, and what finds a place in a buffer)
    assert n_kept()[0] <= n_begins_with + 4


def test_what_has_no_part(Simulator):
    """Python, and layers with weights of their own, are not computed again."""
    with nengo.Network() as net:
        node = nengo.Node([1.0])
        nengo.Probe(nengo_dl.Layer(tf.keras.layers.Dense(1))(node))
    with Simulator(net) as sim:
        assert not RecomputedStep.possible(sim.tensor_graph.step)
    with nengo.Network() as net:
        out = nengo.Node(lambda t, x: x, size_in=1)
        nengo.Connection(nengo.Node([1.0]), out)
        nengo.Probe(out)
    with pytest.warns(UserWarning, match="Python is called"), Simulator(net) as sim:
        assert not RecomputedStep.possible(sim.tensor_graph.step)


def test_freed(Simulator, monkeypatch):
    """TensorFlow keeps the name of a gradient, but not the simulator."""
    monkeypatch.setattr(tensor_graph, "MAX_COMPILED_GROUPS", 0)
    with Simulator(network(), unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse", jit_compile=False)
        y = {sim.model.toplevel.p: np.zeros((1, 2, 1))}
        y[sim.model.toplevel.last] = np.zeros((1, 1, 1))
        sim.fit(n_steps=2, y=y, verbose=0)
        (step,) = sim.tensor_graph._recomputed.values()
        step = weakref.ref(step)
    del sim
    assert are_freed([step])
