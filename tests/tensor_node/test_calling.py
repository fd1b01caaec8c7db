"""What functions and layers are called with, and what they must return."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from tensor_node.layers import Affine

import nengo_dl
from nengo_dl.tensor_node import validate_output


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
