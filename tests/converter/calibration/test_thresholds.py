import keras
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.converter.calibration.sites import find_sites
from nengo_dl.converter.calibration.thresholds import (
    METHODS,
    MIN_SHARE,
    find_thresholds,
)

N_STEPS = 4


@pytest.fixture
def activations(model, points):
    """Activations of the two hidden layers."""
    first = model.get_layer("relu").output
    second = model.get_layer("second").output
    both = keras.Model(model.inputs[0], [first, second])(points[0])
    return [values.numpy() for values in both]


def thresholds_of(converter, points, method, **kwargs):
    batches = [[points[0][:150]], [points[0][150:]]]
    return find_thresholds(
        converter, find_sites(converter), batches, method, N_STEPS, **kwargs
    )


def at_least(values):
    return np.maximum(values, MIN_SHARE * values.max())


def test_percentile(converter, points, activations):
    found = thresholds_of(converter, points, "percentile", percentile=90)
    for thresholds, values in zip(found, activations):
        expected = at_least(np.percentile(values, 90, axis=0))
        np.testing.assert_allclose(thresholds, expected, rtol=1e-5)


def test_max(converter, points, activations):
    found = thresholds_of(converter, points, "max")
    for thresholds, values in zip(found, activations):
        np.testing.assert_allclose(thresholds, at_least(values.max(axis=0)), rtol=1e-5)


def squared_error(values, theta):
    n = np.clip(np.floor(values / theta * N_STEPS + 0.5), 0, N_STEPS)
    return np.sum((values - theta / N_STEPS * n) ** 2, axis=0)


def test_least_squares(converter, points, activations):
    """No other threshold does better than the best, and most do much worse."""
    found = thresholds_of(converter, points, "least_squares")
    values = activations[0]
    active = values.max(axis=0) > 0
    best = squared_error(values, found[0])
    for share in np.linspace(0.06, 1, 95):
        other = squared_error(values, np.maximum(values.max(axis=0) * share, 1e-9))
        assert np.all(best[active] <= other[active] * (1 + 1e-4))


def test_local_threshold_balancing(converter, points, activations):
    """Thresholds rise towards the maxima, by twice what is above them on average."""
    first = thresholds_of(converter, points, "ltb")[0]
    expected = np.zeros(20)
    for _ in range(16):
        for part in (activations[0][:150], activations[0][150:]):
            expected += 2 * np.maximum(part - expected, 0).mean(axis=0)
    np.testing.assert_allclose(first, at_least(expected), rtol=1e-4)
    assert np.all(first <= activations[0].max(axis=0) * 1.5 + 0.1)


@pytest.mark.parametrize("method", METHODS)
def test_channels_that_are_never_active(method):
    """They get a small share of the largest threshold; silent layers get one."""
    inp = keras.Input((2,))
    hidden = keras.layers.Dense(3, activation="relu", name="mixed")(inp)
    silent = keras.layers.Dense(3, activation="relu", name="silent")(inp)
    output = keras.layers.Dense(1)(keras.layers.Concatenate()([hidden, silent]))
    model = keras.Model(inp, output)
    model.get_layer("mixed").set_weights([np.eye(2, 3), np.array([0, 0, -9])])
    model.get_layer("silent").set_weights([np.zeros((2, 3)), np.full(3, -1)])
    converter = nengo_dl.Converter(model, allow_fallback=True)
    x = np.random.RandomState(0).uniform(size=(40, 2)).astype(np.float32)
    sites = find_sites(converter)
    mixed, silent = find_thresholds(converter, sites, [[x]], method, N_STEPS)
    assert mixed[2] == pytest.approx(MIN_SHARE * mixed.max())
    np.testing.assert_array_equal(silent, 1)


def test_channels_first_and_last():
    """Thresholds belong to channels, wherever their axis is."""
    x = np.random.RandomState(0).normal(size=(8, 5, 5, 3)).astype(np.float32)
    for data_format, axis in (("channels_last", 2), ("channels_first", 0)):
        first = data_format == "channels_first"
        inputs = np.moveaxis(x, -1, 1) if first else x
        inp = keras.Input(inputs.shape[1:])
        hidden = keras.layers.ReLU()(inp)
        output = keras.layers.Conv2D(2, 3, data_format=data_format)(hidden)
        converter = nengo_dl.Converter(keras.Model(inp, output))
        (site,) = find_sites(converter)
        assert site.channel_axis == axis
        (found,) = find_thresholds(converter, [site], [[inputs]], "max", N_STEPS)
        np.testing.assert_allclose(found, tf.nn.relu(x).numpy().max(axis=(0, 1, 2)))
