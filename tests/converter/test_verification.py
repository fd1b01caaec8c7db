"""Tests of `verify`, which compares a network with its Keras model."""

import warnings

import keras
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_dl.converter import Converter


@pytest.fixture(scope="module")
def converter():
    """Returns a network that is right, of a model with two inputs and outputs."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((3,)), keras.Input((2, 2))
    x = keras.layers.Dense(4, activation="relu", bias_initializer="ones")(a)
    y = keras.layers.Dense(2)(x)
    z = keras.layers.Activation("tanh")(b)
    return Converter(keras.Model([a, b], [y, z]))


def test_equal_outputs(converter, capsys):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        assert converter.verify()
    assert capsys.readouterr().out == ""


def test_inputs(converter, rng):
    x, y = rng.uniform(-1, 1, (5, 3)), rng.uniform(-1, 1, (5, 2, 2))
    a, b = converter.model.inputs
    assert converter.verify(inputs={a: x, b: y}, atol=1e-6)
    for inputs, message in (
        (x, "2 arrays, one for every input"),
        ([x, y[:, 0]], "must have shape"),
        ({a: x}, "an array for every input"),
        ({a: x, b: y, "c": y}, "nothing else"),
    ):
        with pytest.raises(ValidationError, match=message):
            converter.verify(inputs=inputs)


@pytest.mark.training
def test_training_changes_neither_model_nor_network(converter):
    model = converter.model
    before = model.get_weights()
    assert converter.verify(training=True, atol=1e-5)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert not model.compiled
    assert converter.verify()


def test_different_outputs():
    inp = keras.Input((3,))
    out = keras.layers.Activation("sigmoid")(inp)
    converter = Converter(keras.Model(inp, out), swap_activations={"sigmoid": "relu"})
    with pytest.raises(ValueError, match="does not match output.* 6 of 6"):
        converter.verify()


@pytest.mark.training
def test_different_number_of_parameters():
    layer = keras.layers.Dense(3)
    inp = keras.Input((3,))
    converter = Converter(
        keras.Model(inp, layer(layer(inp))), split_shared_weights=True
    )
    assert converter.verify(atol=1e-6)
    with pytest.raises(ValueError, match="number of trainable parameters"):
        converter.verify(training=True)


def test_repeated_outputs_and_time():
    inp = keras.Input((None, 3))
    x = keras.layers.Activation("relu")(inp)
    converter = Converter(keras.Model(inp, [x, inp, x]), temporal_model=True)
    assert converter.verify()
