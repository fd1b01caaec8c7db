"""Tests of pooling layers."""

import keras
import numpy as np
import pytest
from converter.comparing import (
    compare,
    convert,
    expected_outputs,
    outputs_in_nengo,
    random_inputs,
)
from converter.layers.spatial_layers import (
    branches,
    check_branches,
    check_channels_first,
    n_trainable,
)

from nengo_dl.converter.layers.pooling import averages

L = keras.layers


def adaptive(name, *args, **kwargs):
    """Returns layers that are not in all versions of Keras, if they are in this one."""
    return [getattr(L, name)(*args, **kwargs)] if hasattr(L, name) else []


def test_one_axis():
    layers = [
        L.AveragePooling1D(2),
        L.AveragePooling1D(3, 2, padding="same"),
        L.AveragePooling1D(4, 1, padding="same"),
        L.AveragePooling1D(2, 3),
        L.GlobalAveragePooling1D(),
        L.GlobalAveragePooling1D(keepdims=True),
        *adaptive("AdaptiveAveragePooling1D", 4),
    ]
    assert n_trainable(check_branches((7, 3), layers)) == 0


def test_two_axes():
    layers = [
        L.AveragePooling2D((2, 3)),
        L.AveragePooling2D(3, 2, padding="same"),
        L.GlobalAveragePooling2D(),
        *adaptive("AdaptiveAveragePooling2D", (4, 3)),
    ]
    check_branches((6, 7, 2), layers)


def test_three_axes():
    layers = [
        L.AveragePooling3D((1, 2, 3), padding="same"),
        L.AveragePooling3D(2),
        L.GlobalAveragePooling3D(keepdims=True),
        *adaptive("AdaptiveAveragePooling3D", (2, 3, 1)),
    ]
    check_branches((3, 4, 5, 2), layers)


def test_channels_first():
    check_channels_first(
        (3, 6, 7),
        [
            (L.AveragePooling2D, {"pool_size": 3, "padding": "same"}),
            (L.AveragePooling2D, {"pool_size": (3, 2)}),
            (L.GlobalAveragePooling2D, {}),
            (L.GlobalAveragePooling2D, {"keepdims": True}),
        ],
        outputs_in_nengo,
    )


def test_maxima():
    layers = [L.MaxPooling1D(2), L.GlobalMaxPooling1D()]
    model = branches((6, 2), layers)
    with pytest.raises(TypeError, match="consider setting max_to_avg_pool=True"):
        convert(model)
    averages_of_keras = branches(
        (6, 2), [L.AveragePooling1D(2), L.GlobalAveragePooling1D()]
    )
    arrays = random_inputs(model)
    outputs = outputs_in_nengo(convert(model, max_to_avg_pool=True), arrays)
    expected = expected_outputs(averages_of_keras, arrays)
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, value, atol=1e-6)


def test_maxima_of_adaptive_windows():
    layers = adaptive("AdaptiveMaxPooling2D", (2, 3))
    if layers:
        model = branches((3, 4, 2), layers)
        with pytest.raises(TypeError, match="consider setting max_to_avg_pool=True"):
            convert(model)
        converter = convert(model, max_to_avg_pool=True)
        compare(converter, [np.ones((2, 3, 4, 2))])


def test_averages():
    indices, weights = averages(
        (3, 2),
        [(np.array([0, 1]), np.array([2, 3])), (np.array([0]), np.array([2]))],
    )
    matrix = np.zeros((2, 6))
    matrix[tuple(indices.T)] = weights
    assert matrix.tolist() == [[0.25] * 4 + [0, 0], [0, 0] + [0.25] * 4]
