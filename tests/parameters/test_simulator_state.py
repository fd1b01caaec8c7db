"""The state of a simulator as an object."""

import copy
import pickle

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulatorClosed, ValidationError
from numpy_operators import Delay
from python_parts import Noisy, Walk

import nengo_dl
from nengo_dl.config import configure_settings
from nengo_dl.parameters.simulator_state import SimulatorState

FIXED = {"unroll_simulation": 1}

pytestmark = pytest.mark.filterwarnings("ignore:Python is called in every step")


def make_network(seed=0, **settings):
    """Return a network with state of all kinds."""
    with nengo.Network(seed=seed) as net:
        configure_settings(**{"dtype": "float64", "jit_compile": False, **settings})
        net.constant = nengo.Node([0.5], label="constant")
        signal = nengo.Node(nengo.processes.WhiteSignal(0.1, high=100), size_out=1)
        walk = nengo.Node(Walk(), size_in=1, size_out=1)
        nengo.Connection(signal, walk)
        net.a = nengo.Ensemble(8, 1, label="a", neuron_type=nengo.AdaptiveLIF())
        net.a.noise = nengo.processes.FilteredNoise()
        b = nengo.Ensemble(8, 1, neuron_type=Noisy(nengo.LIFRate()))
        nengo.Connection(walk, net.a, transform=0.1)
        nengo.Connection(net.constant, b)
        net.conn = nengo.Connection(
            net.a, b, synapse=nengo.Alpha(0.01), learning_rule_type=nengo.PES(0.01)
        )
        nengo.Connection(b, net.conn.learning_rule)
        with nengo.Network(label="inner"):
            stochastic = nengo.StochasticSpiking(nengo.RectifiedLinear())
            c = nengo.Ensemble(8, 1, neuron_type=stochastic)
            probe = nengo.Probe(c.neurons)
        nengo.Connection(b, c)
        net.recorded = [
            nengo.Probe(net.a, synapse=nengo.Triangle(0.004), label="of a"),
            nengo.Probe(b.neurons),
            nengo.Probe(walk),
            nengo.Probe(net.conn, "weights", sample_every=0.002),
            probe,
        ]
    return net


def run(sim, n_steps=10, probes=None):
    sim.clear_probes()
    sim.run_steps(n_steps)
    return [sim.data[probe] for probe in probes or sim.model.probes]


def assert_equal(data, expected):
    for values, others in zip(data, expected):
        np.testing.assert_array_equal(values, others)


# -- what it is ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sim(Simulator):
    with pytest.warns(UserWarning, match="Python is called"):
        sim = Simulator(make_network(), minibatch_size=2, **FIXED)
    with sim:
        sim.run_steps(7)
        yield sim


@pytest.fixture(scope="module")
def state(sim):
    return sim.get_state()


def test_names_and_values(sim, state):
    assert (state.n_steps, state.minibatch_size, state.seed) == (7, 2, 1)
    assert state.time == sim.time
    assert list(state) == list(dict.fromkeys(state)) and len(state) == len(list(state))
    net = sim.model.toplevel
    for name, obj, attr in [
        ("ensembles['a'].neurons.voltage", net.a.neurons, "voltage"),
        ("ensembles['a'] -> ensembles[1].weights", net.conn, "weights"),
        ("ensembles['a'] -> ensembles[1].weighted", net.conn, "weighted"),
    ]:
        np.testing.assert_array_equal(
            state[name], sim.signals[sim.model.sig[obj][attr]]
        )
    for name, shape in {
        "step": (),
        "ensembles['a'].encoders": (8, 1),
        "ensembles['a'] -> ensembles[1].Alpha.X": (2, 2, 1),
        "(ensembles['a'] -> ensembles[1]).learning_rule.activities": (2, 8),
        "nodes[2].Walk.position": (2, 1),
        "ensembles['a'].neurons.FilteredNoise.X[1]": (1, 8),
        "probes['of a'].Triangle.Y": (2, 1),
        "nodes['constant'].output": (2, 1),
    }.items():
        assert state[name].shape == shape
        assert name in str(state)
    assert not any("0x" in name for name in state)
    with pytest.raises(KeyError):
        state["ensembles['b']"]
    assert repr(state).startswith("<SimulatorState after 7 steps: ")


def test_arrays_are_copies(sim, state):
    voltage = state["ensembles['a'].neurons.voltage"]
    before = voltage.copy()
    with pytest.raises(ValueError, match="read-only"):
        voltage[...] = 0
    for same in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert isinstance(same, SimulatorState) and same != state
        assert_equal(same.values(), state.values())
        assert not same["ensembles['a'].neurons.voltage"].flags.writeable
    sim.run_steps(3)
    assert_equal([voltage], [before])


# -- going on from it ------------------------------------------------------------------


@pytest.mark.parametrize("is_same", [True, False])
def test_goes_on(is_same, sim, state, Simulator):
    """What follows is what followed then, also after a pickle, and elsewhere."""
    sim.set_state(state)
    expected = run(sim)
    assert sim.n_steps == 17
    if is_same:
        sim.set_state(pickle.loads(pickle.dumps(state)))
        assert sim.n_steps == 7
        assert_equal(run(sim), expected)
        return
    with Simulator(make_network(), seed=9, minibatch_size=2, **FIXED) as b:
        b.run_steps(10)
        b.set_state(state)
        assert (b.seed, b.n_steps) == (1, 7)
        assert_equal(run(b), expected)
        b.reset()
        again = run(b)
    sim.reset()
    assert_equal(again, run(sim))


def test_same_as_nengo(Simulator):
    """Items go on as `nengo.Simulator` does in one run."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", layerwise=True)
        inp = nengo.Node(lambda t: np.sin(50 * t))
        ens = nengo.Ensemble(10, 1)
        nengo.Connection(inp, ens, synapse=nengo.Alpha(0.01))
        probe = nengo.Probe(ens, synapse=0.01)
    with nengo.Simulator(net, progress_bar=False, optimize=False) as reference:
        reference.run_steps(140)
    with Simulator(net, unroll_simulation=1) as sim:
        assert sim.tensor_graph.program.sections
        sim.run_steps(70)
        state = sim.get_state()
        sim.run_steps(70)
        assert np.allclose(sim.data[probe], reference.data[probe], rtol=0, atol=1e-10)
    with Simulator(net, unroll_simulation=5) as sim:
        sim.set_state(state)
        sim.run_steps(70)
        end = reference.data[probe][70:]
        assert np.allclose(sim.data[probe], end, rtol=0, atol=1e-10)


def test_parameters(sim):
    """They are put back, unless one of the two methods is told not to."""
    sim.reset()
    net, values = sim.model.toplevel, sim.tensor_graph.values
    encoders = sim.model.sig[net.a]["encoders"]
    weights = sim.model.sig[net.conn]["weights"]
    full, small = sim.get_state(), sim.get_state(include_trainable=False)
    assert small.parameters is None
    assert set(small) == set(full) - set(full.parameters)
    sim.run_steps(5)
    learned = sim.signals[weights]
    sim.signals[encoders] = 2 * encoders.initial_value
    for state, include_trainable in [(small, True), (small, False), (full, False)]:
        sim.set_state(state, include_trainable=include_trainable)
        assert sim.n_steps == 0
        assert_equal([sim.signals[weights]], [learned])
        assert_equal([sim.signals[encoders]], [2 * encoders.initial_value])
    sim.set_state(full)
    assert_equal([sim.signals[weights]], [[weights.initial_value] * 2])
    assert_equal([values.live_value(encoders)], [encoders.initial_value])


def test_layers_in_nodes(Simulator):
    layer = keras.layers.Dense(1)
    with nengo.Network() as net:
        nengo_dl.Layer(layer)(nengo.Node([1.0]), shape_in=(1,))
    with Simulator(net) as sim:
        state = sim.get_state()
        layer.set_weights([np.full((1, 1), 7.0), np.ones(1)])
        sim.set_state(state)
        assert layer.get_weights()[1].item() == 0
        assert state["nodes[1].kernel"].shape == (1, 1)


def test_recurrent_layers(Simulator):
    """Keras does not count their states among the weights."""
    layer = keras.layers.LSTM(2, stateful=True)
    with nengo.Network() as net:
        configure_settings(jit_compile=False)
        node = nengo_dl.Layer(layer)(nengo.Node([1.0]), shape_in=(1, 1))
        probe = nengo.Probe(node)
    with Simulator(net, minibatch_size=2, **FIXED) as sim:
        first = run(sim, 3, [probe])
        state = sim.get_state()
        assert state["nodes[1].state"].shape == (2, 2)
        second = run(sim, 3, [probe])
        sim.set_state(state)
        assert_equal(run(sim, 3, [probe]), second)
        sim.reset(items=[1])
        (values,) = run(sim, 3, [probe])
        assert_equal([values[1]], [first[0][1]])
        assert not np.allclose(values[0], first[0][0])
        sim.reset()
        assert_equal(run(sim, 3, [probe]), first)


@pytest.mark.training
def test_training_goes_on(Simulator):
    """The order of items, and the random numbers of layers, are those of then."""
    with nengo.Network(seed=0) as net:
        configure_settings(jit_compile=False)
        inp = nengo.Node([0.0])
        dropout = nengo_dl.Layer(keras.layers.Dropout(0.5))(inp, shape_in=(1,))
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(dropout, ens, synapse=None)
        probe = nengo.Probe(ens)
    x = np.linspace(-1, 1, 8).reshape(8, 1, 1)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit({inp: x}, {probe: x}, verbose=0)
        state = sim.get_state()
        losses = [sim.fit({inp: x}, {probe: x}, verbose=0).history["loss"]]
        assert not np.allclose(losses, sim.fit(x, x, verbose=0).history["loss"])
        sim.set_state(state)
        losses.append(sim.fit({inp: x}, {probe: x}, verbose=0).history["loss"])
    assert losses[0] == losses[1]


def test_models_without_network(Simulator):
    """Signals that belong to no object are told apart by their order."""
    model = nengo.builder.Model()
    for value in (1.0, 2.0):
        signal = nengo.builder.Signal(np.array([value]), name="x")
        one = model.sig["common"][1]
        model.add_op(nengo.builder.operator.ElementwiseInc(one, signal, signal))
    with pytest.warns(UserWarning, match="No top-level network"):
        sim = Simulator(None, model=model, **FIXED)
    with sim:
        state = sim.get_state()
        sim.step()
        assert sim.get_state()["signals [1]"].tolist() == [[4.0]]
        sim.set_state(state)
        assert state["signals"].tolist() == [[1.0]]
        assert sim.get_state()["signals [1]"].tolist() == [[2.0]]


def test_what_is_not_in_the_state(Simulator):
    """Python functions that may remember something are named."""
    with nengo.Network() as net:
        node = nengo.Node(lambda t, x: x, size_in=1, label="node")
        nengo.Connection(nengo.Node(np.sin), node, synapse=Delay(2))
    with Simulator(net, **FIXED) as sim:
        state = sim.get_state()
    assert len(state.functions) == 3
    text = str(state).partition("Not in the state")[2]
    assert all(part in text for part in ("`sin`", "`<lambda>`", "SimDelay"))


# -- other networks --------------------------------------------------------------------


def simple_network(neuron_type=None, n_neurons=5, dtype="float32"):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype=dtype)
        ens = nengo.Ensemble(n_neurons, 1)
        ens.neuron_type = neuron_type or nengo.SpikingRectifiedLinear()
        nengo.Probe(ens.neurons)
    return net


OTHERS = {
    "`dt` is 0.002 in the state, and 0.001": {"dt": 0.002},
    "`minibatch_size` is 3 in the state, and 2": {"minibatch_size": 3},
    "`dtype` is float64 in the state": {"network": {"dtype": "float64"}},
    r"voltage` is float32 \(2, 6\) .*\(2, 5\)": {"network": {"n_neurons": 6}},
    "refractory_time` is in the state, but not": {
        "network": {"neuron_type": nengo.LIF()}
    },
    "voltage` is missing in the state": {"network": {"neuron_type": nengo.LIFRate()}},
    "voltage` is RegularSpiking in the state": {
        "network": {"neuron_type": nengo.RegularSpiking(nengo.RectifiedLinear())}
    },
}


@pytest.fixture(scope="module")
def simple_sim(Simulator):
    with Simulator(simple_network(), minibatch_size=2, **FIXED) as sim:
        yield sim


@pytest.mark.parametrize("message", OTHERS)
def test_state_of_another_network(message, simple_sim, Simulator):
    kwargs = {"minibatch_size": 2, **FIXED, **OTHERS[message]}
    network = simple_network(**kwargs.pop("network", {}))
    with Simulator(network, **kwargs) as other:
        state = other.get_state()
    before = simple_sim.get_state()
    with pytest.raises(ValidationError, match=f"state: .*(another|same) .*{message}"):
        simple_sim.set_state(state)
    assert_equal(simple_sim.get_state().values(), before.values())


def test_what_is_no_state(simple_sim):
    for wrong in ({}, None, simple_sim):
        with pytest.raises(ValidationError, match="state: must be what .*received"):
            simple_sim.set_state(wrong)


def test_closed(Simulator):
    with Simulator(simple_network()) as sim:
        state = sim.get_state()
    for method in (sim.get_state, lambda: sim.set_state(state)):
        with pytest.raises(SimulatorClosed):
            method()
