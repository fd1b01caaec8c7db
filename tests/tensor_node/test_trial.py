"""Functions and layers are tried out; what can go wrong then."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from tensor_node.layers import Affine

import nengo_dl


class Stack(keras.layers.Layer):
    """A layer around another one, which is created but not built."""

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x):
        return self.layer(x)


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
