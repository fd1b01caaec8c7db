"""TensorNode, Layer and tensor_layer: arguments, shapes, and what runs when."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

import nengo_dl
from nengo_dl.graph.trainability import is_trainable
from nengo_dl.tensor_node import validate_output


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        yield net


def double(x):
    return 2 * x


class Affine(keras.layers.Layer):
    """``x @ kernel + bias``, with weights that are created in `build`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="ones"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        return keras.ops.matmul(x, self.kernel) + self.bias


class Stack(keras.layers.Layer):
    """A layer around another one, which is created but not built."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x):
        return self.layer(x)


# -- arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("func", [1, None, [tf.identity], np.zeros(3)])
def test_not_callable(net, func):
    with pytest.raises(ValidationError, match="function or Keras Layer"):
        nengo_dl.TensorNode(func)
    assert net.nodes == []


def test_layer_class(net):
    with pytest.raises(ValidationError, match="create an instance"):
        nengo_dl.TensorNode(keras.layers.Dense, shape_in=(2,), pass_time=False)


@pytest.mark.parametrize("name", ["shape_in", "shape_out"])
@pytest.mark.parametrize(
    "shape, message",
    [((0,), "must be >= 1"), ((None, 2), "must be an int"), (3, "castable|iterable")],
)
def test_invalid_shapes(net, name, shape, message):
    shapes = {"shape_in": (2,), "shape_out": (2,), name: shape}
    with pytest.raises(ValidationError, match=message):
        nengo_dl.TensorNode(tf.identity, pass_time=False, **shapes)
    if name == "shape_out" or shape == (None, 2):
        with pytest.raises(ValidationError, match=message):
            nengo_dl.Layer(tf.identity)(nengo.Node([0, 0]), **shapes)


@pytest.mark.parametrize("shape_in", [None, ()])
def test_nothing_to_work_on(net, shape_in):
    with pytest.raises(ValidationError, match="either shape_in or pass_time"):
        nengo_dl.TensorNode(double, shape_in=shape_in, pass_time=False)


def test_shapes(net):
    node = nengo_dl.TensorNode(lambda t: tf.zeros((5, 2)))
    assert (node.size_in, node.size_out) == (0, 2)
    assert node.shape_in is None and node.shape_out == (2,)
    assert node.pass_time and node.seed is None and len(node) == 2

    node = nengo_dl.TensorNode(
        lambda t, x: tf.reduce_sum(x, axis=1), shape_in=[2, np.int64(6)]
    )
    assert (node.size_in, node.size_out) == (12, 6)
    assert type(node.shape_out) is tuple and type(node.size_out) is int

    node = nengo_dl.TensorNode(lambda t: tf.zeros(5))
    assert (node.shape_out, node.size_out) == ((), 1)


def test_functions_are_tried_once(net):
    calls = []

    def func(t, x):
        calls.append((t.numpy(), x.numpy()))
        return x

    nengo_dl.TensorNode(func, shape_in=(2, 3))
    ((t, x),) = calls
    assert t == 0.0
    np.testing.assert_array_equal(x, np.zeros((1, 2, 3)))

    nengo_dl.TensorNode(func, shape_in=(2, 3), shape_out=(2, 3))
    assert len(calls) == 1


def test_trial_in_the_float_type_of_the_network(net):
    nengo_dl.configure_settings(dtype="float64")
    one = tf.constant(1, tf.float64)
    with nengo.Network():
        node = nengo_dl.TensorNode(lambda t, x: t + x + one, shape_in=(2,))
    assert node.size_out == 2


def test_layers_are_not_built_by_inference_of_shapes(net):
    layer = keras.layers.Dense(4)
    node = nengo_dl.Layer(layer)(nengo.Node([0, 0]))
    assert node.size_out == 4
    assert not layer.built and layer.weights == []


@pytest.mark.parametrize(
    "make_layer",
    [
        lambda: Affine(3),
        lambda: Stack(keras.layers.Dense(3)),
        lambda: Stack(Stack(Affine(3))),
        lambda: keras.Sequential([keras.layers.Dense(5), Affine(3)]),
        lambda: keras.layers.Lambda(lambda x: x[:, :3]),
    ],
)
def test_shapes_of_layers_that_do_not_know_them(net, make_layer):
    assert nengo_dl.Layer(make_layer())(nengo.Node(np.zeros(6))).size_out == 3


# -- errors, with the node, the function, and their cause -----------------------------


def test_function_fails(net):
    def faulty(x):
        raise KeyError("from the function")

    with pytest.raises(ValidationError, match="function produced an error") as info:
        nengo_dl.TensorNode(faulty, label="my node")  # is called with the time
    assert "`faulty`" in str(info.value) and "'my node'" in str(info.value)
    assert isinstance(info.value.__cause__, KeyError)

    with pytest.raises(ValidationError, match="function produced an error") as info:
        nengo_dl.TensorNode(lambda a, b, c: a)
    assert isinstance(info.value.__cause__, TypeError)


def test_layer_fails(net):
    with pytest.raises(ValidationError, match="signature produced an error") as info:
        nengo_dl.TensorNode(
            keras.layers.Lambda(lambda a, b: a, name="my_layer"), label="my node"
        )
    assert "`my_layer`" in str(info.value) and "'my node'" in str(info.value)
    assert info.value.__cause__ is not None

    conv = keras.layers.Conv2D(3, 3)
    with pytest.raises(ValidationError, match="signature produced an error"):
        nengo_dl.TensorNode(conv, shape_in=(5,), pass_time=False)


@pytest.mark.parametrize("output", [None, [tf.zeros((1, 2))], np.zeros((1, 2)), 3])
def test_not_a_tensor(net, output):
    with pytest.raises(ValidationError, match="must return a Tensor"):
        nengo_dl.TensorNode(lambda t: output)


def test_layer_without_output(net):
    with pytest.raises(ValidationError, match="must return a Tensor|signature"):
        nengo_dl.TensorNode(keras.layers.Lambda(lambda t: None))


def test_no_batch_axis(net):
    with pytest.raises(ValidationError, match="needs a batch axis"):
        nengo_dl.TensorNode(lambda t: t)


def test_layer_of_unknown_output(net):
    class Python(keras.layers.Layer):
        def call(self, x):
            return tf.numpy_function(np.sin, [x], tf.float32)

    layer, x = nengo_dl.Layer(Python()), nengo.Node([0, 0])
    with pytest.raises(ValidationError, match="pass `shape_out`"):
        layer(x)
    assert layer(x, shape_out=(2,)).size_out == 2


@pytest.mark.parametrize(
    "output, shape_out, message",
    [
        (lambda t: None, (2,), "must return a Tensor"),
        (lambda t: [t], (2,), "must return a Tensor"),
        (lambda t: tf.zeros((1, 2, 2)), (2,), "should have batch size 2"),
        (lambda t: tf.zeros((2, 2, 2)), (2,), "should have size 2"),
        (lambda t: tf.zeros((3, 2)), (2,), "should have batch size 2"),
        (lambda t: tf.zeros(()), (1,), "should have batch size 2"),
        (lambda t: tf.zeros((2, 2)), (3,), "should have size 3"),
        (lambda t: tf.zeros((2, 2), tf.int32), (2,), "should have dtype"),
        (lambda t: 1 / 0, (2,), "produced an error: ZeroDivisionError"),
    ],
)
def test_errors_when_the_simulator_is_built(net, Simulator, output, shape_out, message):
    nengo_dl.TensorNode(output, shape_out=shape_out, label="my node")
    with pytest.raises(ValidationError, match=message) as info:
        Simulator(net, minibatch_size=2)
    assert "`<lambda>`" in str(info.value) and "'my node'" in str(info.value)


def test_cause_of_errors_when_the_simulator_is_built(net, Simulator):
    nengo_dl.TensorNode(lambda t: {}["key"], shape_out=(2,))
    with pytest.raises(ValidationError, match="KeyError") as info:
        Simulator(net)
    assert isinstance(info.value.__cause__, KeyError)


def test_layer_that_cannot_be_built(net, Simulator):
    class Faulty(Affine):
        def build(self, input_shape):
            raise KeyError("from the layer")

    layer = nengo_dl.Layer(Faulty(2, name="faulty"))
    x = nengo.Node([0, 0])
    with pytest.raises(ValidationError, match="signature produced an error") as info:
        layer(x)
    assert isinstance(info.value.__cause__, KeyError)
    layer(x, shape_out=(2,), label="my node")
    with pytest.raises(ValidationError, match="from the layer") as info:
        Simulator(net)
    assert "`faulty`" in str(info.value) and "'my node'" in str(info.value)
    assert isinstance(info.value.__cause__, KeyError)


def test_valid_output(net, Simulator):
    nengo_dl.TensorNode(lambda t: tf.zeros((2, 2), t.dtype), shape_out=(2,))
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)


def test_validate_output():
    validate_output(
        tf.zeros((2, 3, 4)), minibatch_size=2, output_d=12, dtype=tf.float32
    )
    validate_output(tf.zeros((2, 3, 4)))
    with pytest.raises(ValidationError, match="should have dtype float64"):
        validate_output(tf.zeros((2, 3)), dtype="float64")
    with pytest.raises(ValidationError, match="should have size 4"):
        validate_output(tf.zeros((2, 3)), output_d=4)


# -- other simulators -----------------------------------------------------------------


def test_nengo_builds_but_does_not_run(net):
    node = nengo_dl.TensorNode(lambda t: tf.zeros((1, 1)), label="my node")
    nengo.Probe(node)
    for model in (
        None,
        nengo_dl.builder.NengoModel(builder=nengo_dl.builder.NengoBuilder()),
    ):
        with nengo.Simulator(net, model=model, progress_bar=False) as sim:
            with pytest.raises(
                SimulationError, match="Cannot call TensorNode output"
            ) as info:
                sim.step()
        assert "nengo_dl.Simulator" in str(info.value)
        assert "my node" in str(info.value)


def test_as_a_node(net):
    """What Nengo's GUI (and everybody else) reads of Nodes."""
    node = nengo_dl.TensorNode(double, shape_in=(2,), pass_time=False)
    assert isinstance(node, nengo.Node) and net.nodes == [node]
    assert callable(node.output)
    assert "output" not in node.params
    with pytest.raises(SimulationError, match="Cannot call TensorNode output"):
        node.output(0.0, np.zeros(2))
    assert node.probeable == ("output",)
    assert node[1].size_in == node[1].size_out == 1


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, nengo.Network.copy, lambda n: pickle.loads(pickle.dumps(n))],
)
def test_copies(Simulator, copied):
    with nengo.Network(seed=0) as net:
        nengo_dl.TensorNode(double, shape_in=(2, 3), pass_time=False, label="double")
        nengo_dl.Layer(keras.layers.Dense(4))(nengo.Node([1, 2]))
    new = copied(net)
    for node, new_node in zip(net.nodes, new.nodes):
        assert new_node is not node
        assert (new_node.size_in, new_node.size_out) == (node.size_in, node.size_out)
    assert new.nodes[0].shape_in == (2, 3) and not new.nodes[0].pass_time
    assert new.nodes[0].tensor_func is double
    with Simulator(new) as sim:
        sim.run_steps(10)


# -- running --------------------------------------------------------------------------


def test_time_and_input(net, Simulator):
    time = nengo_dl.TensorNode(lambda t: tf.fill((3, 1), t))
    sine = nengo_dl.TensorNode(lambda t, x: tf.sin(x) + 0 * t, shape_in=(1,))
    nengo.Connection(time, sine, synapse=None)
    times, sines = nengo.Probe(time), nengo.Probe(sine)
    with Simulator(net, minibatch_size=3) as sim:
        sim.run_steps(10)
        for item in range(3):
            np.testing.assert_allclose(sim.data[times][item, :, 0], sim.trange())
            np.testing.assert_allclose(
                sim.data[sines][item, :, 0], np.sin(sim.trange()), rtol=1e-6
            )


def test_time_is_in_seconds(net, Simulator):
    probe = nengo.Probe(nengo_dl.TensorNode(lambda t: tf.reshape(t, (1, 1))))
    with Simulator(net, dt=0.25) as sim:
        sim.run_steps(10)
    np.testing.assert_allclose(sim.data[probe][:, 0], 0.25 * np.arange(1, 11))


class TimedLayer(keras.layers.Layer):
    """Takes the time and an input, and remembers their shapes."""

    shapes = None

    def build(self, input_shape):
        self.shapes = [tuple(shape) for shape in input_shape]

    def call(self, inputs):
        t, x = inputs
        assert tuple(t.shape) == () and tuple(x.shape) == (1, 1, 1)
        return t + 0 * x


def test_layer_with_time(net, Simulator):
    layer = TimedLayer()
    node = nengo_dl.TensorNode(layer, shape_in=(1, 1))
    probe = nengo.Probe(node)
    with Simulator(net) as sim:
        assert layer.shapes == [(), (1, 1, 1)]
        sim.run_steps(10)
        np.testing.assert_allclose(sim.data[probe][:, 0], sim.trange())
        sim.reset()
        sim.run_steps(10)
        np.testing.assert_allclose(sim.data[probe][:, 0], sim.trange())


class ShapedLayer(Affine):
    def compute_output_shape(self, input_shape):
        return tf.TensorShape((input_shape[0], self.units))


def test_layer_with_weights(net, Simulator):
    layer = nengo_dl.Layer(ShapedLayer(3))
    probe = nengo.Probe(layer(nengo.Node([1, 1])))
    with Simulator(net) as sim:
        for _ in range(2):
            sim.run_steps(10)
            np.testing.assert_array_equal(sim.data[probe], np.full((10, 3), 2))
            sim.reset()


def test_without_input(net, Simulator):
    """Nobody connects to the node."""
    node = nengo_dl.TensorNode(lambda x: x + 1, shape_in=(2,), pass_time=False)
    probe = nengo.Probe(node)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
    np.testing.assert_array_equal(sim.data[probe], np.ones((2, 10, 2)))


def test_among_neurons(Simulator):
    """The same network with a Node, in Nengo."""

    def build(make_square):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(dtype="float64")
            stimulus = nengo.Node(lambda t: np.sin(20 * t))
            a, b = nengo.Ensemble(20, 1), nengo.Ensemble(20, 1)
            square = make_square()
            for pre, post in [(stimulus, a), (a, square), (square, b), (b, a)]:
                nengo.Connection(pre, post)
            return net, nengo.Probe(b.neurons)

    net, probe = build(lambda: nengo.Node(lambda t, x: x**2, size_in=1))
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(100)
        assert np.any(reference.data[probe] > 0)

    net, same_probe = build(
        lambda: nengo_dl.TensorNode(tf.square, shape_in=(1,), pass_time=False)
    )
    with Simulator(net) as sim:
        sim.run_steps(100)
        assert sim.tensor_graph.step.compiles
    np.testing.assert_allclose(sim.data[same_probe], reference.data[probe])


# -- Layer ----------------------------------------------------------------------------


def test_layer_doubles(net, Simulator):
    node = nengo_dl.Layer(tf.identity)(nengo.Node([1, 2]), transform=2)
    assert isinstance(node, nengo_dl.TensorNode)
    probe = nengo.Probe(node)
    with Simulator(net) as sim:
        sim.run_steps(10)
    np.testing.assert_array_equal(sim.data[probe], [[2, 4]] * 10)


class Sum:
    def __init__(self, axis):
        self.axis = axis

    def __call__(self, x):
        return tf.reduce_sum(x, axis=self.axis)


@pytest.mark.parametrize("func", [partial(tf.reduce_sum, axis=1), Sum(axis=1)])
def test_partials_and_callable_objects(net, Simulator, func):
    values = np.arange(12.0)
    node = nengo_dl.Layer(func)(nengo.Node(values), shape_in=(2, 6))
    assert node.size_out == 6
    probe = nengo.Probe(node)
    with Simulator(net) as sim:
        sim.run_steps(10)
    np.testing.assert_array_equal(sim.data[probe][-1], values[:6] + values[6:])


def test_keras_ops(net, Simulator):
    probe = nengo.Probe(nengo_dl.Layer(keras.ops.softmax)(nengo.Node([0, np.log(3)])))
    with Simulator(net) as sim:
        sim.run_steps(10)
    np.testing.assert_allclose(sim.data[probe], [[0.25, 0.75]] * 10, rtol=1e-6)


def test_neurons(net, Simulator):
    x = nengo.Node(np.arange(0, 40, 10))
    gain, bias = nengo.dists.Choice([1]), nengo.dists.Choice([-20])
    neurons = nengo_dl.Layer(nengo.RectifiedLinear())(x, gain=gain, bias=bias)
    assert isinstance(neurons, nengo.ensemble.Neurons)
    assert neurons.ensemble.gain is gain and neurons.ensemble.bias is bias
    assert neurons.ensemble.neuron_type == nengo.RectifiedLinear()
    probe = nengo.Probe(neurons)
    with Simulator(net) as sim:
        sim.run_steps(10)
    np.testing.assert_allclose(sim.data[probe], [[0, 0, 0, 10]] * 10)


def test_size_of_input(net):
    x = nengo.Node(np.zeros(6))
    layer = nengo_dl.Layer(tf.identity)
    assert layer(x).size_in == 6
    assert layer(x[:2]).size_in == 2
    assert layer(x, transform=np.ones((1, 6))).size_in == 1
    assert layer(x, transform=nengo.dists.Uniform(0, 1), shape_in=(2,)).size_in == 2
    assert layer(x, transform=nengo.Convolution(4, (3, 2), (1,), (1,))).size_in == 12
    assert layer(x, shape_in=(2, 3)).shape_in == (2, 3)

    neurons = nengo_dl.Layer(nengo.RectifiedLinear())
    assert neurons(x).size_in == 6
    assert neurons(x, transform=np.ones((1, 6))).size_in == 1
    transform = nengo.dists.Uniform(0, 1)
    assert neurons(x, transform=transform, shape_in=(2, 2)).size_in == 4


def test_connection(net):
    x = nengo.Node(np.zeros(6))
    node, conn = nengo_dl.Layer(tf.identity)(x, synapse=0.1, return_conn=True)
    assert conn.pre is x and conn.post is node
    assert conn.synapse == nengo.Lowpass(0.1)
    with nengo.Network() as inner:
        _, conn = nengo_dl.Layer(tf.identity)(x, return_conn=True)
    assert conn in inner.connections and conn.synapse is None
    assert net.config[conn].trainable is False
    assert inner.config[conn].trainable is False


def test_connections_are_not_trained(net, Simulator):
    x = nengo.Node(np.zeros(2))
    with nengo.Network():
        _, fixed = nengo_dl.Layer(tf.identity)(x, transform=3, return_conn=True)
        trained = nengo.Connection(x, nengo.Node(size_in=2), transform=3)
    assert net.config[nengo.Connection].trainable is None
    with Simulator(net) as sim:
        assert is_trainable(sim.model.sig[fixed]["weights"]) is False
        expected = not sim.tensor_graph.inference_only
        assert is_trainable(sim.model.sig[trained]["weights"]) is expected


def test_settings_of_the_user_stay(net):
    nengo_dl.configure_settings(trainable=True)
    _, conn = nengo_dl.Layer(tf.identity)(nengo.Node([0]), return_conn=True)
    assert net.config[nengo.Connection].trainable is True
    assert net.config[conn].trainable is False


def test_tensor_layer(net, Simulator):
    x = nengo.Node([1, 2])
    with pytest.warns(DeprecationWarning, match="nengo_dl.Layer instead"):
        node = nengo_dl.tensor_layer(x, double, synapse=None)
    probe = nengo.Probe(node)
    with Simulator(net) as sim:
        sim.run_steps(10)
    np.testing.assert_array_equal(sim.data[probe], [[2, 4]] * 10)


def test_strings(net):
    assert str(nengo_dl.Layer(double)) == "Layer(double)"
    assert str(nengo_dl.Layer(keras.layers.Dense(10, name="dense"))) == "Layer(dense)"
    assert str(nengo_dl.Layer(Affine(1, name="affine"))) == "Layer(affine)"
    assert str(nengo_dl.Layer(nengo.LIF())) == f"Layer({nengo.LIF()})"
    node = nengo_dl.TensorNode(lambda t: tf.zeros((1, 1)))
    assert "TensorNode (unlabeled)" in str(node)
    node.label = "test_func"
    assert str(node) == "<TensorNode 'test_func'>"
