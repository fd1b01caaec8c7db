import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

import nengo_dl
from nengo_dl.efficiency.activity import Counts, observe, spike_value
from nengo_dl.execution import engine
from nengo_dl.parameters.live import find_parameters, write_values


def test_counts_of_spikes():
    counts = Counts.of(3, unit=500.0, is_spiking=True)
    counts.add(np.array([[[0, 500, -1000], [0, 0, 500]]]))
    counts.add(np.array([[500, 0, 0]], np.float32))
    assert counts.nonzero.tolist() == [1, 1, 2]
    assert counts.amount.tolist() == [1, 1, 3]
    assert counts.largest == 2


def test_counts_of_outputs_that_are_no_multiple_of_a_spike():
    counts = Counts.of(2, unit=1000.0, is_spiking=True)
    counts.add(np.array([[0.5, 2600]]))
    assert counts.amount.tolist() == [1, 3]


def test_counts_of_numbers():
    counts = Counts.of(2, unit=2.0, is_spiking=False)
    counts.add(np.array([[0.5, 0], [-3, 0]]))
    assert counts.nonzero.tolist() == [2, 0]
    assert counts.amount.tolist() == [1.75, 0]
    assert counts.largest == 1.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_cannot_be_counted(value):
    with pytest.raises(SimulationError, match="NaN or infinite"):
        Counts.of(1, 1.0, True).add(np.array([[value]]))


@pytest.mark.parametrize(
    "neuron_type, value",
    [
        (nengo.SpikingRectifiedLinear(amplitude=0.5), 500),
        (nengo.Izhikevich(), 1000),
        (nengo.LIFRate(amplitude=0.5), 0.5),
        (nengo.Tanh(), 1),
    ],
    ids=str,
)
def test_spike_value(neuron_type, value):
    assert spike_value(neuron_type, dt=0.001) == pytest.approx(value)


def test_a_block_at_a_time(sim, parts, monkeypatch):
    """Memory is that of one minibatch, and of one block of steps of it."""
    signal = sim.model.sig[parts.hidden.neurons]["out"]
    seen = []

    class Spy(Counts):
        def add(self, values):
            seen.append(values.copy())
            super().add(values)

    monkeypatch.setattr(engine, "MAX_BLOCK_STEPS", 5)
    pieces = {signal: Spy.of(4, 500.0, True)}
    assert observe(sim, {parts.inp: parts.data}, None, pieces) == (4, 10)
    assert [values.shape for values in seen] == [(2, 5, 4)] * 4

    # every minibatch starts from the initial state
    monkeypatch.undo()
    seen.clear()
    again = {signal: Spy.of(4, 500.0, True)}
    order = [2, 3, 0, 1]
    observe(sim, {parts.inp: parts.data[order]}, None, again)
    assert [values.shape for values in seen] == [(2, 10, 4)] * 2
    np.testing.assert_array_equal(pieces[signal].amount, again[signal].amount)


@pytest.mark.training
def test_learned_weights_functions_and_layers(Simulator):
    """Items have weights of their own; layers, which are shared, stay as they are."""
    layers = [keras.layers.Dropout(0.5), keras.layers.BatchNormalization()]
    layer = keras.Sequential(layers)
    times = []
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(
            jit_compile=False, keep_history=False, learning_phase=True
        )
        inp = nengo.Node([0.0])
        relu = nengo.RectifiedLinear()
        pre = nengo.Ensemble(5, 1, neuron_type=relu, gain=np.ones(5), bias=np.zeros(5))
        # five steps of silence, and no more after that
        currents = np.outer([-1000, 1000, 1000, 1000], np.ones(5))
        pre.noise = nengo.processes.PresentInput(currents, 0.005)
        post = nengo.Node(lambda t, x: x, size_in=1)
        conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES(1e-2))
        nengo.Connection(inp, pre, synapse=None)
        nengo.Connection(post, conn.learning_rule)
        nengo.Node(lambda t: times.append(t))
        node = nengo_dl.TensorNode(layer, shape_in=(1,), pass_time=False)
        nengo.Connection(inp, node, synapse=None)
        probe = nengo.Probe(post)
    with Simulator(net, minibatch_size=2, device="/cpu:0", unroll_simulation=1) as sim:
        sim.run_steps(15)
        weights = next(p for p in find_parameters(sim.tensor_graph) if p.minibatched)
        learned = sim.data[conn].weights * [[[0]], [[1]]]
        write_values(sim.tensor_graph, {weights: learned})
        before = [np.array(value) for value in layer.get_weights()]
        random_state = sim.tensor_graph.values.random_state()
        times.clear()
        report = nengo_dl.efficiency.measure(sim, {inp: np.ones((4, 10, 1))})

        np.testing.assert_array_equal(sim.data[conn].weights, learned)
        for value, now in zip(before, layer.get_weights()):
            np.testing.assert_array_equal(value, now)
        for state, now in zip(random_state, sim.tensor_graph.values.random_state()):
            np.testing.assert_array_equal(state, now)
        assert sim.n_steps == 15 and sim.data[probe].shape == (2, 1, 1)
    # for each minibatch, time starts at zero
    np.testing.assert_allclose(times, np.tile(np.arange(1, 11) / 1000, 2))
    # five biases, encoders and decoders, and the weights of the layer
    assert report.totals.parameters == 15 + 4
    assert [text.split(": ")[1] for text in report.not_counted] == [
        "the function or process of a Node",
        "what is computed in a TensorNode",
        "the learning rule `PES`",
    ]
    (decoders,) = (row for row in report.connections if row.transform == "decoders")
    assert decoders.synapses == 5
    # the history that Probes do not keep is counted all the same
    (row,) = report.ensembles
    assert row.sparsity == 0.5 and row.updates == 50
