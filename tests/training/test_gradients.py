"""Where gradients flow, and what is said where they do not."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from reference_rows import SquareRoot

import nengo_dl

pytestmark = pytest.mark.training


class Sum(nengo.Process):
    """A process that only NumPy can run, with state."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"sum": np.zeros(shape_in)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        def step(t, x):
            state["sum"] += x
            return state["sum"]

        return step


class MyLowpass(nengo.Lowpass):
    """A synapse that only NumPy can run."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        return lambda t, x: 2 * x

    def make_state(self, shape_in, shape_out, dt, dtype=None, y0=0):
        return {}


def python_neurons():
    ens = nengo.Ensemble(3, 1, neuron_type=SquareRoot(), gain=[1] * 3, bias=[1] * 3)
    return ens.neurons, ens.neurons


def python_process():
    node = nengo.Node(Sum(), size_in=3, size_out=3)
    return node, node


def python_synapse():
    first, last = nengo.Node(size_in=3), nengo.Node(size_in=3)
    nengo.Connection(first, last, synapse=MyLowpass(0.1))
    return first, last


def izhikevich():
    ens = nengo.Ensemble(3, 1, neuron_type=nengo.Izhikevich())
    return ens.neurons, ens.neurons


def tensor_node(func):
    def make():
        node = nengo_dl.TensorNode(func, shape_in=(3,), pass_time=False, label="middle")
        return node, node

    return make


def through(make):
    """Returns a network with trained connections to and from something."""
    with nengo.Network(seed=0) as net:
        net.inp = nengo.Node([0.5])
        first, last = make()
        out = nengo.Node(size_in=1)
        net.before = nengo.Connection(
            net.inp, first, transform=np.ones((3, 1)), synapse=None
        )
        net.after = nengo.Connection(last, out, transform=np.ones((1, 3)), synapse=None)
        net.p = nengo.Probe(out)
    return net


@pytest.mark.parametrize("n_steps", [1, 4])
@pytest.mark.parametrize(
    "make, name",
    [
        (python_neurons, r"the neurons SquareRoot\(\)"),
        (python_process, r"the process Sum\(\)"),
        (python_synapse, "the process MyLowpass"),
        (izhikevich, r"the neurons Izhikevich\(\)"),
        (tensor_node(tf.round), "<TensorNode 'middle'>"),
        (tensor_node(tf.stop_gradient), "<TensorNode 'middle'>"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*NumPy code will be called")
@pytest.mark.filterwarnings("ignore:The data have one timestep")
def test_broken_paths_are_named(make, name, n_steps, Simulator):
    net = through(make)
    y = np.ones((2, n_steps, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        with pytest.warns(UserWarning, match=f"No gradient flows through {name}"):
            sim.fit({net.inp: 10 * y}, y, verbose=0)
        np.testing.assert_array_equal(sim.data[net.before].weights, np.ones((3, 1)))
        # Izhikevich neurons do not spike so soon, and synapses take a step
        if make is not izhikevich and (make, n_steps) != (python_synapse, 1):
            assert np.all(sim.data[net.after].weights != 1)


@pytest.mark.filterwarnings("ignore:.*NumPy code will be called")
def test_python_in_training_is_that_of_the_simulation(Simulator):
    net = through(python_process)
    with net:
        nengo_dl.configure_settings(learning_phase=True)
    x = np.ones((1, 4, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        for _ in range(2):  # calls start with the same state
            output = sim.predict({net.inp: x})[net.p]
            np.testing.assert_allclose(output[0, :, 0], 3 * np.arange(1, 5))


def test_layers_before_an_obstacle_are_trained_parameters(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        hidden = nengo_dl.Layer(tf.keras.layers.Dense(3))(inp)
        out = nengo_dl.Layer(tf.round)(hidden)
        nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        with pytest.warns(UserWarning, match="No gradient flows through"):
            sim.fit(n_steps=1, y=np.ones((1, 1, 3)), verbose=0)


def test_python_functions_with_gradient(Simulator):
    def square(x):
        return tf.ensure_shape(tf.py_function(tf.square, [x], x.dtype), x.shape)

    net = through(tensor_node(square))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        sim.fit(n_steps=1, y=np.ones((1, 1, 1)), verbose=0)
        assert np.all(sim.data[net.before].weights != 1)
        with pytest.raises(nengo.exceptions.SimulationError, match="one timestep"):
            sim.fit(n_steps=2, y=np.ones((1, 2, 1)), verbose=0)


@pytest.mark.parametrize("n_steps", [1, 5])
@pytest.mark.parametrize("neuron_type", [nengo.RectifiedLinear(), nengo.LIFRate()])
def test_training_in_inference_mode(neuron_type, n_steps, Simulator):
    def neurons():
        ens = nengo.Ensemble(3, 1, neuron_type=neuron_type, gain=[1] * 3, bias=[2] * 3)
        return ens.neurons, ens.neurons

    net = through(neurons)
    with net:
        nengo_dl.configure_settings(learning_phase=False)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.01), loss="mse")
        sim.fit(n_steps=n_steps, y=np.ones((1, n_steps, 1)), verbose=0)
        assert np.all(sim.data[net.before].weights != 1)
        sim.check_gradients([np.ones((1, n_steps, 1))], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("use_loop", [True, False])
def test_python_functions_stop_gradients(use_loop, Simulator):
    def double(t, x):
        return x * 2

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(use_loop=use_loop)
        inp = nengo.Node([1])
        hidden = nengo.Node(double, size_in=1)
        out = nengo.Node(size_in=1)
        conns = [
            nengo.Connection(inp, hidden, synapse=None, transform=1.0),
            nengo.Connection(hidden, out, synapse=None, transform=1.0),
        ]
        probe = nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss={probe: "mse"})
        before = sim.data.get_params(*((conn, "weights") for conn in conns))
        with pytest.warns(UserWarning, match="the function `double`"):
            sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), epochs=3, verbose=0)
        after = sim.data.get_params(*((conn, "weights") for conn in conns))
        # the second one comes after the function
        np.testing.assert_array_equal(before[0], after[0])
        assert np.all(before[1] != after[1])
        # warned once
        sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), verbose=0)


def test_nothing_to_train_but_python(Simulator):
    with nengo.Network() as net:
        inp = nengo.Node([1])
        conn = nengo.Connection(
            inp, nengo.Node(lambda t, x: x, size_in=1), synapse=None, transform=1.0
        )
        nengo.Probe(conn.post)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(100.0), loss="mse")
        before = sim.data[conn].weights
        with pytest.warns(UserWarning, match="No gradient flows"):
            sim.fit(n_steps=2, y=np.zeros((1, 2, 1)), verbose=0)
        np.testing.assert_array_equal(sim.data[conn].weights, before)
