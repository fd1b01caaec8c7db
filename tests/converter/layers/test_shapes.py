"""Tests of layers that move elements around."""

import keras
import nengo
import pytest
from converter.comparing import check, convert, outputs_in_nengo
from converter.layers.spatial_layers import (
    branches,
    check_branches,
    check_channels_first,
    n_trainable,
)

L = keras.layers


def test_one_axis():
    converter = check_branches(
        (6, 3),
        [
            L.Flatten(),
            L.Reshape((2, -1, 3)),
            L.Permute((2, 1)),
            L.Cropping1D((1, 2)),
            L.ZeroPadding1D((2, 1)),
            L.UpSampling1D(3),
            keras.Sequential([keras.Input((6, 3)), L.Flatten(), L.RepeatVector(2)]),
        ],
    )
    assert n_trainable(converter) == 0


def test_two_axes():
    layers = [
        L.Flatten(data_format="channels_first"),
        L.Permute((3, 1, 2)),
        L.Cropping2D(((1, 2), (0, 3))),
        L.ZeroPadding2D(((0, 1), (2, 3))),
        L.UpSampling2D((2, 3)),
    ]
    check_branches((4, 5, 2), layers)


def test_three_axes():
    layers = [
        L.Cropping3D(((1, 0), (0, 2), (1, 1))),
        L.ZeroPadding3D(((0, 1), (2, 0), (1, 1))),
        L.UpSampling3D((1, 2, 3)),
    ]
    check_branches((2, 3, 4, 2), layers)


def test_channels_first():
    check_channels_first(
        (3, 6, 7),
        [
            (L.Cropping2D, {"cropping": ((1, 2), (0, 3))}),
            (L.ZeroPadding2D, {"padding": ((0, 1), (2, 3))}),
            (L.UpSampling2D, {"size": (2, 3)}),
        ],
        outputs_in_nengo,
    )


def test_no_objects_for_the_same_order():
    inp = keras.Input((6, 3))
    x = L.Flatten()(L.Reshape((3, 6))(inp))
    converter = convert(keras.Model(inp, x))
    assert converter.layers[x] is converter.inputs[inp]
    assert len(converter.net.all_objects) == 2  # the Node and the Probe


def test_moved_neurons_are_weighted():
    """What was repeated can be multiplied by a dense matrix, and comes by a synapse."""
    inp = keras.Input((4,))
    x = L.UpSampling1D(2)(L.Reshape((2, 2))(L.Dense(4, "relu")(inp)))
    model = keras.Model(inp, L.Dense(2)(L.Flatten()(x)))
    check(model)
    conn = next(
        conn
        for conn in convert(model, synapse=0.1).net.all_connections
        if isinstance(conn.pre_obj, nengo.ensemble.Neurons)
    )
    assert conn.synapse == nengo.Lowpass(0.1)


def test_interpolation():
    model = branches((2, 2, 1), [L.UpSampling2D(2, interpolation="bilinear")])
    with pytest.raises(TypeError, match="interpolation has value bilinear != nearest"):
        convert(model)
