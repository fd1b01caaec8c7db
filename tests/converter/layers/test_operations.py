"""Tests of operations that are called without a layer: arithmetic, sums, and means."""

import keras
import numpy as np
import pytest
from converter.comparing import check, convert

from nengo_dl.converter import Converter


def test_linear_operations():
    a, b, c = keras.Input((4, 6)), keras.Input((4, 6)), keras.Input((1, 6))
    array = np.arange(1, 7)
    relu = keras.layers.Activation("relu")(a)
    sums = [a + 1, 1 - relu, a - array, relu + array, a + b, relu - b, a - c, c + a]
    products = [a * 2, relu * array, a / 3, a / array, -relu, c * np.ones((4, 1))]
    ops = keras.ops
    means = [
        ops.mean(a, 1),
        ops.mean(a, (1, 2), keepdims=True),
        ops.sum(relu, -1),
        ops.sum(relu, (2, 1)),
        ops.sum(a, 1, keepdims=True),
    ]
    outputs = [*sums, *products, *means]
    check(
        keras.Model(
            [a, b, c], [keras.ops.reshape(x, (-1, *x.shape[1:])) for x in outputs]
        )
    )


def test_temporal():
    inp = keras.Input((None, 4))
    x = keras.ops.mean(inp + np.arange(4) - 2 * inp, axis=-1, keepdims=True) / 2
    check(keras.Model(inp, [x, inp + x]), n_steps=3, temporal_model=True)


def test_what_is_not_linear():
    a, b = keras.Input((3,)), keras.Input((3,))
    i = keras.Input((3,), dtype="uint8")
    outputs = [a * b, 1 / a, a / b, i + np.uint8(1), a / 0]
    with pytest.raises(TypeError) as err:
        convert(keras.Model([a, b, i], outputs))
    message = str(err.value)
    assert message.count("is not linear") == 3
    assert "(Add): it computes with integers" in message
    assert "it divides by zero" in message


@pytest.mark.parametrize("function", [keras.ops.sum, lambda x: keras.ops.mean(x, 0)])
def test_mixed_items(function):
    inp = keras.Input((3,))
    with pytest.raises(TypeError, match="items of a batch"):
        Converter(keras.Model(inp, function(inp)))
