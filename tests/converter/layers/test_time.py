"""Tests of layers that are applied to every step in time."""

import keras
import pytest
from converter.comparing import check, convert

from nengo_dl.converter import Converter

L = keras.layers


@pytest.mark.parametrize("n_steps", [3, None])
def test_time_distributed(n_steps):
    inp = keras.Input((n_steps, 4))
    dense = L.Dense(6, activation="relu", bias_initializer="ones")
    distributed = L.TimeDistributed(dense, name="distributed")
    x = distributed(inp)
    y = L.TimeDistributed(L.ReLU())(x)
    converter = check(keras.Model(inp, [x, y]), n_steps=3, temporal_model=True)
    # nobody has called it with symbolic tensors
    with pytest.raises(AttributeError):
        _ = dense.output
    assert converter.layers[distributed].ensemble.label == f"{dense.name}.0"


@pytest.mark.training
def test_training():
    inp = keras.Input((3, 4))
    x = L.TimeDistributed(L.Dense(2, activation="tanh"))(inp)
    converter = convert(keras.Model(inp, x), temporal_model=True)
    assert converter.verify(training=True, atol=1e-6)


def test_model_without_time():
    inp = keras.Input((3, 4))
    model = keras.Model(inp, L.TimeDistributed(L.Dense(2))(inp))
    with pytest.raises(TypeError, match="only be converted when temporal_model=True"):
        Converter(model)
    inp = keras.Input((None, 4))
    model = keras.Model(inp, L.TimeDistributed(L.Dense(2))(inp))
    with pytest.raises(ValueError, match="Input.*fully specified.*temporal_model=True"):
        Converter(model)


def test_inner_layers_that_are_not_native():
    inp = keras.Input((None, 4))
    x = keras.Input((4,))
    inner = keras.Model(x, L.Dense(2)(x))
    outputs = [
        L.TimeDistributed(inner, name="a")(inp),
        L.TimeDistributed(L.Softmax(), name="b")(inp),
        L.TimeDistributed(L.Dense(2, activation="softmax"), name="c")(inp),
    ]
    model = keras.Model(inp, outputs)
    with pytest.raises(TypeError, match="(?s)`c`.*`b`.*`a`"):
        convert(model, temporal_model=True)
    with pytest.warns(UserWarning, match="the layer in it, .* no neuron type"):
        Converter(model, temporal_model=True)
    check(model, native=False, n_steps=3, temporal_model=True)


def test_shared_weights():
    inp = keras.Input((None, 4))
    layer = L.TimeDistributed(L.Dense(4))
    model = keras.Model(inp, layer(layer(inp)))
    with pytest.raises(ValueError, match="unless split_shared_weights=True"):
        Converter(model, temporal_model=True)
    check(model, n_steps=2, temporal_model=True, split_shared_weights=True)
