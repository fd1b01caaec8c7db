"""Tests of layers with several inputs."""

import keras
import pytest
from converter.comparing import check, convert

L = keras.layers


def test_merging():
    a, b = keras.Input((4, 3)), keras.Input((4, 3))
    column, row, vector = keras.Input((4, 1)), keras.Input((1, 3)), keras.Input((3,))
    neurons = L.Activation("relu")(a)
    outputs = [
        L.Add()([a, b, a]),
        L.Add()([neurons, row]),
        L.Add()([column, row]),
        L.Add()([a, vector]),
        L.Subtract()([neurons, b]),
        L.Subtract()([row, b]),
        L.Average()([a, neurons, a]),
        L.Concatenate()([a, neurons]),
        L.Concatenate(1)([a, row, neurons]),
        L.Concatenate(-1)([a, column]),
        L.Concatenate(-2)([row, b]),
    ]
    check(keras.Model([a, b, column, row, vector], outputs))


def test_axis_of_the_batch():
    inp = keras.Input((4,))
    model = keras.Model(inp, L.Concatenate(axis=0)([inp, inp]))
    with pytest.raises(TypeError, match="concatenate along batch dimension"):
        convert(model)
    model = keras.Model(inp, L.Concatenate(axis=-2)([inp, inp]))
    with pytest.raises(TypeError, match="concatenate along batch dimension"):
        convert(model)
