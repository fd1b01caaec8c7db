"""Tests of activations, which are recognized however they are written."""

import warnings

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from converter.comparing import check, compare, convert

from nengo_dl.converter import Converter
from nengo_dl.converter.activations import DEFAULT_ACTIVATIONS, canonical
from nengo_dl.neurons import GELU, LeakyReLU, ReLU

L = keras.layers


def test_one_activation_in_many_ways():
    relus = [
        "relu",
        tf.nn.relu,
        keras.activations.relu,
        keras.ops.relu,
        L.ReLU(),
        L.Activation("relu"),
        L.LeakyReLU(negative_slope=0),
    ]
    assert {canonical(activation) for activation in relus} == {keras.activations.relu}
    linear = [None, "linear", keras.activations.linear, L.Activation(None)]
    assert {canonical(a) for a in linear} == {keras.activations.linear}
    assert canonical(tf.nn.swish) is canonical("swish") is canonical(keras.ops.silu)
    assert canonical(tf.nn.relu6) is canonical(L.ReLU(max_value=6))
    assert canonical(L.LeakyReLU(negative_slope=0.2)) is canonical(tf.nn.leaky_relu)


def test_what_is_not_the_same():
    assert canonical(keras.ops.gelu) == GELU(approximate=True)
    assert canonical(tf.nn.gelu) is canonical("gelu")
    assert canonical(L.LeakyReLU(negative_slope=0.1)) == LeakyReLU(negative_slope=0.1)
    assert canonical(L.ReLU(1, threshold=0.5)) == ReLU(1, 0, 0.5)
    unknown = [1, 2]  # cannot be hashed
    assert canonical(unknown) is unknown


def all_activations():
    """Returns a model with all activations that there are neuron types for."""
    inp = keras.Input((12,))
    x = inp * 3
    names = [name for name in DEFAULT_ACTIVATIONS if name not in (None, "linear")]
    outputs = [L.Activation(name)(x) for name in names]
    outputs += [
        getattr(keras.ops, name)(x) for name in names if hasattr(keras.ops, name)
    ]
    outputs += [
        L.ReLU(max_value=1, negative_slope=0.1, threshold=0.5)(x),
        L.LeakyReLU(negative_slope=0.3)(x),
        L.ELU(0.5)(x),
        keras.activations.relu(x, max_value=2.0),
        keras.activations.elu(x, alpha=0.7),
        keras.ops.leaky_relu(x, 0.4),
        keras.ops.gelu(x, approximate=False),
        keras.ops.exp(x),
        L.Activation(keras.ops.gelu)(x),
        L.Dense(3, activation=L.LeakyReLU(negative_slope=0.1))(x),
    ]
    if hasattr(keras.ops, "threshold"):
        outputs.append(keras.ops.threshold(x, 0.5, -1.0))
    return keras.Model(inp, outputs)


def test_values():
    check(all_activations())


def test_unknown_activations():
    inp = keras.Input((3,))
    x = L.Dense(3, activation="softmax", bias_initializer="ones")(inp)
    model = keras.Model(inp, L.Activation(keras.ops.square)(x))
    with pytest.raises(TypeError, match="(?s)Unsupported activation type.*square"):
        convert(model)
    with pytest.warns(UserWarning, match="falling back to a TensorNode"):
        Converter(model)
    compare(convert(model, native=False), native=False)


def test_layers_with_weights_or_axes():
    inp = keras.Input((3,))
    outputs = [L.PReLU(alpha_initializer="ones")(inp), L.Softmax()(inp)]
    with pytest.raises(TypeError, match="(?s)Softmax.*PReLU"):
        convert(keras.Model(inp, outputs))


@pytest.mark.parametrize("key", ["relu", tf.nn.relu, L.ReLU(), nengo.RectifiedLinear()])
def test_swapped(key):
    inp = keras.Input((3,))
    x = L.Dense(2, activation="relu")(inp)
    y = keras.ops.relu(L.ReLU()(inp))
    neurons = nengo.SpikingRectifiedLinear()
    converter = convert(keras.Model(inp, [x, y]), swap_activations={key: neurons})
    types = [ensemble.neuron_type for ensemble in converter.net.all_ensembles]
    assert types == [neurons] * 3
    assert not converter.swap_activations.unused_keys()


def test_scaled_rates():
    """Neurons that are not linear above a threshold are not scaled."""
    inp = keras.Input((4,))
    model = keras.Model(inp, [L.Activation("silu")(inp), L.LeakyReLU()(inp)])
    with pytest.warns(UserWarning, match="has no firing rates"):
        converter = Converter(model, scale_firing_rates=5)
    compare(converter)
    gains = [ensemble.gain.options[0] for ensemble in converter.net.all_ensembles]
    assert sorted(gains) == [1, 5]


def test_activity_regularizer():
    inp = keras.Input((4,))
    model = keras.Model(inp, L.Activation("relu", activity_regularizer="l2")(inp))
    with pytest.raises(TypeError, match="activity_regularizer has value"):
        convert(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(model, inference_only=True)


def test_order_of_arguments():
    """Every neuron type has the value of the function of the same name."""
    x = np.linspace(-3, 3, 13)
    for name, neurons in DEFAULT_ACTIVATIONS.items():
        if neurons is not None:
            expected = canonical(name)(keras.ops.convert_to_tensor(x))
            rates = neurons.rates(x, np.ones(1), np.zeros(1))
            np.testing.assert_allclose(rates.ravel(), expected, atol=1e-6)
