"""Types and shapes of what TensorNodes get and return."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from tensor_node.simulating import NOT_COMPILED, simulate

import nengo_dl


def test_float_types(net):
    """Layers compute in their own type."""
    nengo_dl.configure_settings(dtype="float64")
    x = nengo.Node([1 / 3])
    types = {}

    def remember(name):
        def func(x):
            types[name] = x.dtype
            return x

        return func

    nodes = [
        nengo_dl.Layer(keras.layers.Lambda(remember(dtype), dtype=dtype))(x)
        for dtype in ("float64", "float32", "mixed_float16")
    ]
    nodes.append(nengo_dl.Layer(remember("function"))(x))
    for node in nodes:
        nengo.Probe(node)
    _, data = simulate(net)
    assert types == {
        "float64": tf.float64,
        "float32": tf.float32,
        "mixed_float16": tf.float16,
        "function": tf.float64,
    }
    # XLA may leave out the rounding
    for values, rtol in zip(data, [0, 1e-7, 1e-3, 0]):
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, np.full((5, 1), 1 / 3), rtol=rtol)


def test_layer_in_double_precision(net):
    nengo.Probe(nengo_dl.Layer(keras.layers.Dense(3, dtype="float64"))(nengo.Node([1])))
    _, (data,) = simulate(net)
    assert data.dtype == np.float32


def test_integers(net):
    layer = keras.layers.Lambda(lambda x: tf.cast(x, tf.int32))
    nengo_dl.Layer(layer)(nengo.Node([1]))
    with pytest.raises(nengo.exceptions.ValidationError, match="should have dtype"):
        simulate(net)


def test_unknown_shapes(net):
    """What is not known when the graph is built is known when it runs."""
    func = NOT_COMPILED["numpy_function"]
    nengo.Probe(nengo_dl.Layer(func)(nengo.Node(np.ones(6)), shape_in=(3, 2)))
    _, (data,) = simulate(net)
    np.testing.assert_allclose(data, np.full((5, 6), np.sin(1)), rtol=1e-6)


def test_several_inputs(net):
    """Side by side, as the documentation of TensorNode says."""

    class Product(keras.layers.Layer):
        def call(self, x):
            a, b = keras.ops.split(x, 2, axis=-1)
            return a * b

    node = nengo_dl.TensorNode(Product(), shape_in=(4,), pass_time=False)
    nengo.Connection(nengo.Node([1, 2]), node[:2], synapse=None)
    nengo.Connection(nengo.Node([3, 4]), node[2:], synapse=None)
    nengo.Probe(node)
    _, (data,) = simulate(net)
    np.testing.assert_array_equal(data, [[3, 8]] * 5)
