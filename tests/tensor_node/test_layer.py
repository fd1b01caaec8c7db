"""`Layer` and `tensor_layer`: a TensorNode and the Connection into it."""

from __future__ import annotations

from functools import partial

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from tensor_node.layers import Affine, double

import nengo_dl
from nengo_dl.graph.trainability import is_trainable


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


@pytest.mark.parametrize(
    "layer_func, message",
    [
        (nengo.LIF, r"create an instance, such as `LIF\(...\)`"),
        (keras.layers.Dense, r"create an instance, such as `Dense\(...\)`"),
        (nengo.Direct(), "Direct mode has no neurons"),
        (None, "must be a function"),
        ("relu", "must be a function"),
    ],
)
def test_what_is_no_layer(layer_func, message):
    with pytest.raises(ValidationError, match=f"layer_func: .*{message}"):
        nengo_dl.Layer(layer_func)


@pytest.mark.parametrize("layer_func", [tf.identity, nengo.LIF()])
@pytest.mark.parametrize(
    "value",
    [
        None,
        tf.ones(3),
        np.ones(3),
        keras.Input((3,)),
        nengo.Network(add_to_container=0),
    ],
)
def test_what_layers_are_applied_to(net, layer_func, value):
    with pytest.raises(ValidationError, match="input: Layers are applied to Nengo obj"):
        nengo_dl.Layer(layer_func)(value)
    assert net.all_objects == []


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
