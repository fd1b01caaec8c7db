"""Parts of the state return to their beginning in mid-run."""

import keras
import nengo
import numpy as np
import pytest
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError, ValidationError
from numpy_operators import Delay
from python_parts import Noisy, Walk

import nengo_dl
from nengo_dl.config import configure_settings

N_STEPS = 15
INPUT = np.random.RandomState(0).uniform(-1, 1, size=(3, 2 * N_STEPS, 1))


def make_network():
    """Return a network with state of several objects, which share arrays."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", jit_compile=False)
        net.inp = nengo.Node([0.0])
        with nengo.Network() as net.inner:
            net.a = nengo.Ensemble(8, 1)
            net.b = nengo.Ensemble(8, 1, neuron_type=nengo.AdaptiveLIF())
        delay = nengo.synapses.Triangle(0.004)
        net.delayed = nengo.Connection(net.inp, net.a, synapse=delay)
        net.plain = nengo.Connection(net.inp, net.b, synapse=0.01)
        net.learned = nengo.Connection(
            net.a, net.b, synapse=nengo.Alpha(0.005), learning_rule_type=nengo.PES(0.01)
        )
        nengo.Connection(net.b, net.learned.learning_rule, synapse=None)
        net.voja = nengo.Connection(
            net.a, net.b, synapse=0.005, learning_rule_type=[nengo.Voja()]
        )
        net.recorded = [
            nengo.Probe(net.a.neurons, "voltage"),
            nengo.Probe(net.b, synapse=0.02),
            nengo.Probe(net.b.neurons, synapse=nengo.Alpha(0.01)),
            nengo.Probe(net.learned, "weights"),
            nengo.Probe(net.b, "scaled_encoders"),
        ]
    return net


NET = make_network()
PARTS = {
    "ensemble": [NET.a],
    "neurons": NET.b.neurons,
    "delay": [NET.delayed],
    "learned": [NET.learned],
    "rule": [NET.learned.learning_rule, NET.a],
    "voja": [NET.voja, NET.b],
    "probes": [NET.recorded[1], NET.recorded[2]],
    "synapse": [NET.learned.synapse],
    "inner": NET.inner,
    "all": NET,
    "nothing": [],
}


@pytest.fixture(scope="module")
def sim(Simulator):
    with Simulator(NET, minibatch_size=3, unroll_simulation=1) as sim:
        yield sim


def signals_of(model, part, include_trainable):
    """Return the signals whose state belongs to objects, by the names of the build."""
    neurons = {
        "a": [model.sig[NET.a.neurons][k] for k in ("voltage", "refractory_time")],
        "b": [model.sig[NET.b.neurons][k] for k in NET.b.neuron_type.state],
    }
    decoded, filtered = NET.recorded[1:3]
    (conn,) = (
        obj
        for obj in model.sig
        if isinstance(obj, nengo.Connection) and obj.post_obj is decoded
    )
    outputs = {
        name: [model.sig[obj][attr]]
        for name, obj, attr in [
            ("delay", NET.delayed, "weighted"),
            ("plain", NET.plain, "weighted"),
            ("learned", NET.learned, "weighted"),
            ("voja", NET.voja, "weighted"),
            ("pes_rule", NET.learned.learning_rule, "activities"),
            ("voja_rule", NET.voja.learning_rule[0], "post_filtered"),
            ("decoded", conn, "weighted"),
            ("filtered", filtered, "filtered"),
        ]
    }
    synapses = {
        name: [*output, *op.state.values()]
        for name, output in outputs.items()
        for op in model.operators
        if isinstance(op, SimProcess) and op.output is output[0]
    }
    synapses["pes_rule"].append(model.sig[NET.learned.learning_rule]["delta"])
    synapses["voja_rule"].append(model.sig[NET.voja.learning_rule[0]]["delta"])
    weights = [model.sig[NET.learned]["weights"]] * include_trainable
    encoders = [model.sig[NET.b]["encoders"]] * include_trainable
    groups = {
        "ensemble": [neurons["a"]],
        "neurons": [neurons["b"]],
        "delay": [synapses["delay"]],
        "learned": [synapses["learned"], synapses["pes_rule"], weights],
        "rule": [synapses["pes_rule"], neurons["a"]],
        "voja": [synapses["voja"], synapses["voja_rule"], neurons["b"], encoders],
        "probes": [synapses["decoded"], synapses["filtered"]],
        "synapse": [synapses["learned"]],
        "inner": [*neurons.values(), encoders],
        "all": [*neurons.values(), *synapses.values(), weights, encoders],
        "nothing": [],
    }
    return [signal for group in groups[part] for signal in group]


def run_reference(item, part, include_trainable):
    """Return what `nengo.Simulator` records for an item; ``part`` None resets none."""
    NET.inp.output = lambda t: INPUT[item, round(t * 1000) - 1]
    try:
        with nengo.Simulator(NET, progress_bar=False, optimize=False) as ref:
            ref.run_steps(N_STEPS)
            if part is not None:
                for signal in signals_of(ref.model, part, include_trainable):
                    ref.signals.reset(signal)
            ref.run_steps(N_STEPS)
            return [ref.data[probe].copy() for probe in NET.recorded]
    finally:
        NET.inp.output = [0.0]


@pytest.fixture(scope="module")
def uninterrupted():
    return run_reference(1, None, True)


@pytest.mark.parametrize("include_trainable", [True, False])
@pytest.mark.parametrize("part", PARTS)
def test_parts_of_items(part, include_trainable, uninterrupted, sim):
    """Items that return, and those that do not, are as in unbatched simulations."""
    sim.reset()
    sim.run_steps(N_STEPS, {NET.inp: INPUT[:, :N_STEPS]})
    sim.reset(
        objects=PARTS[part], items=np.array([2]), include_trainable=include_trainable
    )
    assert sim.n_steps == N_STEPS
    sim.run_steps(N_STEPS, {NET.inp: INPUT[:, N_STEPS:]})
    assert sim.trange().shape == (2 * N_STEPS,)
    expected = run_reference(2, part, include_trainable)
    for probe, *values in zip(NET.recorded, uninterrupted, expected):
        data = sim.data[probe]
        np.testing.assert_allclose(data[1:], values, rtol=0, atol=1e-10)


@pytest.mark.parametrize("include_trainable", [True, False])
def test_all_of_an_item(include_trainable, sim):
    """Without objects, an item begins again, in the middle of the run."""
    sim.reset()
    sim.run_steps(N_STEPS, {NET.inp: INPUT[:, :N_STEPS]})
    sim.reset(items=[0, 2], include_trainable=include_trainable)
    sim.run_steps(N_STEPS, {NET.inp: INPUT[:, :N_STEPS]})
    again = [repeats(sim.data[probe]) for probe in NET.recorded]
    assert all(items[0] and items[2] for items in again) == include_trainable
    assert all(items[0] and items[2] for items in again[:1])
    assert not any(items[1] for items in again)


def repeats(data):
    """Return for each item whether the second half is the first half again."""
    first, second = np.split(data, 2, axis=1)
    same = np.isclose(first, second, rtol=0, atol=1e-12)
    return same.reshape(len(same), -1).all(axis=1)


def test_parameters_of_objects(sim):
    """Those of chosen objects return, unless items are chosen, which share them."""
    sim.reset()
    graph = sim.tensor_graph
    encoders = sim.model.sig[NET.a]["encoders"]
    bias = sim.model.sig[NET.b.neurons]["bias"]
    for signal in (encoders, bias):
        sim.signals[signal] = 2 * signal.initial_value
    sim.reset(objects=NET.a, items=[0, 1, 2])
    sim.reset(objects=[NET.a], include_trainable=False)
    assert (graph.get_tensor(encoders) == 2 * encoders.initial_value).numpy().all()
    sim.reset(objects=[NET.a])
    assert (graph.get_tensor(encoders) == encoders.initial_value).numpy().all()
    assert (graph.get_tensor(bias) == 2 * bias.initial_value).numpy().all()


def test_removed_parameters(Simulator):
    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
    with Simulator(net) as sim:
        encoders = sim.model.sig[ens]["encoders"]
        removed = sim.tensor_graph.values.removed_parameters
        removed[encoders] = 2 * encoders.initial_value
        sim.reset(objects=net, include_trainable=False)
        assert encoders in removed
        sim.reset(objects=net)
        assert not removed


# -- what runs in Python ---------------------------------------------------------------


def python_network(delays):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        constant = nengo.Node([0.5])
        net.noise = nengo.Node(Walk(), size_out=1)
        net.walk = nengo.Node(Walk(), size_in=1, size_out=1)
        nengo.Connection(constant, net.walk, synapse=None)
        net.ens = nengo.Ensemble(5, 1, neuron_type=Noisy(nengo.LIFRate()))
        net.ens.noise = nengo.processes.FilteredNoise()
        delayed = nengo.Node(size_in=1)
        net.delay = nengo.Connection(
            constant, delayed, synapse=Delay(3) if delays else nengo.Lowpass(0.1)
        )
        objects = [net.noise, net.walk, net.ens.neurons, delayed]
        net.recorded = [nengo.Probe(obj) for obj in objects]
    return net


@pytest.mark.filterwarnings("ignore:Python is called in every step")
@pytest.mark.parametrize("delays", [True, False])
def test_python_of_items(delays, Simulator):
    net = python_network(delays)
    with Simulator(net, minibatch_size=3, unroll_simulation=1) as sim:

        def run(**kwargs):
            """Return which items begin again, for each Probe; others go on."""
            sim.reset()
            sim.run_steps(6)
            if kwargs:
                sim.reset(**kwargs)
            sim.run_steps(6)
            data = [sim.data[probe] for probe in net.recorded]
            again = np.array([repeats(values) for values in data])
            for values, expected, items in zip(data, uninterrupted or data, again):
                assert np.array_equal(values[~items], expected[~items])
            if not kwargs:
                uninterrupted.extend(data)
            return again.astype(int).tolist()

        uninterrupted = []
        none, one = [0, 0, 0], [0, 1, 0]
        assert run() == run(items=[]) == [none, none, none, none]
        assert run(items=[1]) == [one, one, one, one]
        assert run(objects=net) == [[1, 1, 1]] * 4
        for i, obj in enumerate([net.noise, net.walk, net.ens, net.delay]):
            expected = [one if k == i else none for k in range(4)]
            assert run(objects=[obj], items=[1]) == expected
        assert run(objects=net.noise.output) == [[1, 1, 1], none, none, none]
        assert run(objects=net.noise, include_processes=False) == [none] * 4


def test_seed_of_the_beginning(Simulator):
    """Processes begin as they have begun, whatever seed the simulator had at first."""
    with nengo.Network(seed=0) as net:
        probe = nengo.Probe(nengo.Node(Walk(), size_out=1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        with pytest.warns(UserWarning, match="does not affect TensorFlow"):
            sim.reset(seed=3)
        sim.run_steps(4)
        sim.reset(items=[1])
        sim.run_steps(4)
        assert repeats(sim.data[probe]).tolist() == [False, True]


def test_constant_nodes(Simulator):
    with nengo.Network() as net:
        nodes = [nengo.Node([1.0, 2.0]), nengo.Node([3.0])]
        probes = [nengo.Probe(node) for node in nodes]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        for node in nodes:
            sim.signals[sim.model.sig[node]["out"]] = 5
        sim.reset(objects=[nodes[0]], items=[1])
        sim.step()
        assert sim.data[probes[0]][:, -1].tolist() == [[5, 5], [1, 2]]
        assert sim.data[probes[1]][:, -1].tolist() == [[5], [5]]
        sim.reset(objects=nodes)
        sim.step()
        assert sim.data[probes[0]][:, -1].tolist() == [[1, 2]] * 2
        sim.reset(items=[0])
        sim.step()
        assert sim.data[probes[1]][:, -1].tolist() == [[3], [3]]


def test_layers_in_nodes(Simulator):
    """Weights of Keras layers belong to their TensorNodes, and to all items."""
    layers = [keras.layers.Dense(1) for _ in range(2)]
    with nengo.Network() as net:
        inp = nengo.Node([1.0])
        nodes = [nengo_dl.Layer(layer)(inp, shape_in=(1,)) for layer in layers]
    with Simulator(net, minibatch_size=2) as sim:
        initial = [layer.get_weights() for layer in layers]
        for layer in layers:
            layer.set_weights([np.full((1, 1), 7.0), np.ones(1)])
        sim.reset(objects=nodes, items=[0, 1])
        sim.reset(objects=nodes, include_trainable=False)
        sim.reset(objects=net.probes)
        assert all(layer.get_weights()[0].item() == 7 for layer in layers)
        sim.reset(objects=[nodes[0]])
        assert layers[0].get_weights() == initial[0]
        assert layers[1].get_weights()[0].item() == 7


# -- what cannot be reset --------------------------------------------------------------


@pytest.mark.parametrize(
    "items, message",
    [
        ([3], r"integers from 0 to 2.*\[3\]"),
        ([0, -1], r"integers from 0 to 2.*\[0, -1\]"),
        ([1, 1], r"all different.*\[1, 1\]"),
        ([True, False, True], "flatnonzero.*True, False"),
        (np.array([False, True, False]), "flatnonzero"),
        ([0.0], r"list of integers.*\[0.0\]"),
        (1, "list of integers.*received 1"),
        (np.array(1), "list of integers"),
        ([[0], [1, 2]], "list of integers"),
        ("0", "list of integers.*'0'"),
    ],
)
def test_wrong_items(items, message, sim):
    with pytest.raises(ValidationError, match=f"items: must be a .*{message}"):
        sim.reset(items=items)


def test_wrong_objects(sim):
    with nengo.Network() as other:
        foreign = nengo.Ensemble(5, 1)
    wrong = {
        "Ensemble": foreign,
        "Network": other,
        "Neurons": foreign.neurons,
        "'a'": "a",
        "None": [None],
        "Lowpass": nengo.Lowpass(0.3),
        r"Neurons of .*\[:2\]": NET.a.neurons[:2],
    }
    before = sim.get_state()
    for message, objects in wrong.items():
        with pytest.raises(ValidationError, match=f"simulated network: .*{message}"):
            sim.reset(objects=objects)
        if not isinstance(objects, (str, list)):
            with pytest.raises(ValidationError, match=f"received .*{message}"):
                sim.reset(objects=[NET.a, objects])
    for name, value in sim.get_state().items():
        np.testing.assert_array_equal(value, before[name])


def test_arguments_for_all(sim):
    with pytest.raises(ValidationError, match=r"seed: is for all .*\(received 3\)"):
        sim.reset(seed=3, items=[0])
    with pytest.raises(ValidationError, match="include_probes: is for all .*True"):
        sim.reset(include_probes=True, objects=[NET.a])
    sim.run_steps(N_STEPS)
    sim.reset(objects=[NET.a], include_probes=False)
    assert sim.data[NET.recorded[0]].shape[1] > 0
    sim.reset(include_probes=False)
    assert sim.data[NET.recorded[0]].shape[1] > 0


def test_during_a_run(Simulator):
    actions = []
    with nengo.Network() as net:
        nengo.Node(lambda t: [action() for action in actions], size_out=0)
    with Simulator(net, unroll_simulation=1) as sim:
        state = sim.get_state()
        for action in (
            lambda: sim.reset(items=[0]),
            lambda: sim.get_state(),
            lambda: sim.set_state(state),
        ):
            actions[:] = [action]
            with pytest.raises(SimulationError, match="while `run` is running"):
                sim.step()
