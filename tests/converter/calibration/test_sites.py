import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.converter.calibration.sites import find_sites, forward


def test_sites_are_in_order(converter):
    sites = find_sites(converter)
    assert [site.name for site in sites] == ["relu", "second"]
    assert [site.shape for site in sites] == [(20,), (16,)]
    assert [site.n_channels for site in sites] == [20, 16]


def test_current_is_what_the_activation_is_applied_to(model, converter, points):
    """The input of a ReLU layer, and what a Dense layer would put out without it."""
    currents = []

    def note(index, current):
        currents.append(current.numpy())
        return keras.ops.relu(current)

    (output,) = forward(converter, find_sites(converter), [points[0]], note)
    np.testing.assert_allclose(output, model(points[0]), atol=1e-5)
    first = model.get_layer("first")(points[0])
    np.testing.assert_allclose(currents[0], first, atol=1e-6)
    hidden = keras.ops.relu(first)
    kernel, bias = model.get_layer("second").get_weights()
    np.testing.assert_allclose(currents[1], hidden @ kernel + bias, atol=1e-5)
    assert currents[1].min() < 0


def test_neurons_that_are_probed_have_one_threshold():
    """What a probe shows has one unit."""
    inp = keras.Input((3,))
    output = keras.layers.Dense(4, activation="relu")(inp)
    (site,) = find_sites(nengo_dl.Converter(keras.Model(inp, output)))
    assert site.channel_axis is None
    assert site.per_channel(np.array([2.0])).shape == (1, 1)


def test_neurons_with_another_amplitude_are_left_alone():
    """Their output is not that of Keras, on purpose."""
    inp = keras.Input((3,))
    output = keras.layers.Dense(2)(keras.layers.Dense(4, activation="relu")(inp))
    converter = nengo_dl.Converter(
        keras.Model(inp, output),
        swap_activations={"relu": nengo.RectifiedLinear(amplitude=2)},
    )
    assert find_sites(converter) == []


@pytest.mark.parametrize("neuron_type", [nengo.LIF(), nengo.Sigmoid()], ids=str)
def test_only_linear_neurons(model, neuron_type):
    converter = nengo_dl.Converter(model, swap_activations={"relu": neuron_type})
    assert find_sites(converter) == []
