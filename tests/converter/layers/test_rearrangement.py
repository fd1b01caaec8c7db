"""Tests of operations that move elements around."""

import keras
import nengo
import pytest
from converter.comparing import check, convert

from nengo_dl.converter import Converter


def test_all():
    ops = keras.ops
    a, b = keras.Input((4, 6)), keras.Input((4, 6))
    relu = keras.layers.Activation("relu")(b)
    outputs = [
        a[:, 1:3],
        a[..., 0],
        relu[:, None, 2, ::-2],
        a[:, -1],
        ops.reshape(relu, (-1, 24)),
        ops.reshape(a, (-1, 3, 8)),
        ops.transpose(a, (0, 2, 1)),
        ops.swapaxes(a, 1, 2),
        ops.moveaxis(relu, -1, 1),
        ops.concatenate([a, relu, a], 1),
        ops.concatenate([a, b], -1),
        ops.stack([a, b], 2),
        ops.squeeze(ops.expand_dims(a, 1), 1),
        ops.flip(a, 2),
        ops.roll(a, 2, 1),
        ops.repeat(a, 2, 1),
        ops.tile(a, (1, 2, 1)),
        ops.take(a, [2, 0], axis=1),
        *ops.split(relu, 2, 2),
        ops.pad(a, ((0, 0), (1, 2), (0, 1))),
        ops.pad(relu, ((0, 0), (1, 2), (0, 1)), mode="reflect"),
    ]
    check(keras.Model([a, b], outputs))


def test_unchanged_order_needs_no_object():
    inp = keras.Input((2, 3))
    model = keras.Model(inp, keras.ops.reshape(inp, (-1, 6)))
    converter = convert(model)
    assert converter.net.all_nodes == [converter.inputs[inp]]


def test_connections_have_no_weights():
    inp = keras.Input((2, 3))
    x = keras.ops.transpose(keras.layers.Activation("relu")(inp), (0, 2, 1))
    (_, conn) = convert(keras.Model(inp, x)).net.all_connections
    assert isinstance(conn.transform, nengo.transforms.NoTransform)
    assert conn.pre.slice.tolist() == [0, 3, 1, 4, 2, 5]


def test_temporal():
    inp = keras.Input((None, 4))
    outputs = [inp[:, :, 1:], keras.ops.reshape(inp, (-1, 5, 2, 2))]
    check(keras.Model(inp, outputs[:1]), n_steps=3, temporal_model=True)
    with pytest.raises(TypeError, match="steps in time|items of a batch"):
        Converter(keras.Model(inp, inp[:, -1]), temporal_model=True)


def test_refused():
    inp = keras.Input((4,))
    for x, reason in (
        (keras.ops.pad(inp, ((0, 0), (1, 1)), constant_values=2), "not zero"),
        (keras.ops.flip(inp, 0), "it mixes items of a batch"),
        (keras.ops.transpose(inp), "items of a batch"),
    ):
        with pytest.raises(TypeError, match=reason):
            convert(keras.Model(inp, x))
