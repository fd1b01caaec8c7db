"""Whole Keras models in networks: inserted whole or in pieces, and made to spike."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

import nengo_dl

IMAGE_SHAPE = (8, 8, 1)
N_TRAIN = 1500
BATCH = 99  # a third of the images that are left
# The spiking network sees an image for so many steps, and answers in the second half.
N_STEPS = 100
# An activation of 1 is a firing rate of so many hertz.
MAX_RATE = 200


@pytest.fixture(scope="module")
def digits():
    """Images and labels, in random order."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(images))
    return (images[order] / 16).astype("float32"), labels[order]


@pytest.fixture(scope="module")
def pretrained(digits):
    """A Keras model that reads digits; the images that it has not seen."""
    images, labels = digits
    images = images.reshape((-1, *IMAGE_SHAPE))
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.2, seed=0),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(images[:N_TRAIN], labels[:N_TRAIN], 50, epochs=5, verbose=0)
    outputs = model.predict(images[N_TRAIN:], verbose=0)
    assert np.mean(outputs.argmax(axis=1) == labels[N_TRAIN:]) > 0.95
    return model, outputs


def predict(net, digits, n_steps=1):
    """Return what the only Probe shows for the images that were not trained with."""
    images = np.repeat(digits[0][N_TRAIN:, None], n_steps, axis=1)
    with nengo_dl.Simulator(
        net, minibatch_size=BATCH, device="/cpu:0", progress_bar=False
    ) as sim:
        (outputs,) = sim.predict(images, verbose=0).values()
        return outputs


def test_inserted_whole(pretrained, digits):
    model, expected = pretrained
    with nengo.Network() as net:
        inp = nengo.Node(np.zeros(64))
        nengo.Probe(nengo_dl.Layer(model)(inp, shape_in=IMAGE_SHAPE))
    assert_same_answers(predict(net, digits)[:, 0], expected)


def assert_same_answers(outputs, expected):
    """The classes are the same, too, except where two are even to rounding errors."""
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    clear = first - second > 1e-5
    assert np.sum(~clear) <= 1
    np.testing.assert_array_equal(
        outputs[clear].argmax(axis=1), expected[clear].argmax(axis=1)
    )


def in_pieces(model, make_activation):
    """Return a network with a TensorNode for each layer."""
    with nengo.Network(seed=0) as net:
        x = nengo.Node(np.zeros(64))
        for layer in model.layers:
            if isinstance(layer, layers.ReLU):
                x = make_activation(layer, x)
            else:
                x = nengo_dl.Layer(layer)(
                    x,
                    shape_in=layer.input.shape[1:],
                    synapse=0.01 if isinstance(x, nengo.ensemble.Neurons) else None,
                )
        nengo.Probe(x)
    return net


def test_in_pieces(pretrained, digits):
    model, expected = pretrained
    net = in_pieces(model, lambda layer, x: nengo_dl.Layer(layer)(x))
    assert_same_answers(predict(net, digits)[:, 0], expected)


def test_with_spikes(pretrained, digits):
    """Spiking neurons come within two points of the accuracy of the model."""
    model, expected = pretrained
    labels = digits[1][N_TRAIN:]
    neurons = nengo_dl.Layer(nengo.SpikingRectifiedLinear(amplitude=1 / MAX_RATE))
    net = in_pieces(
        model,
        lambda _, x: neurons(
            x, gain=nengo.dists.Choice([MAX_RATE]), bias=nengo.dists.Choice([0])
        ),
    )
    outputs = predict(net, digits, N_STEPS)[:, N_STEPS // 2 :].mean(axis=1)
    accuracy = np.mean(outputs.argmax(axis=1) == labels)
    assert accuracy > np.mean(expected.argmax(axis=1) == labels) - 0.02
    # these are not the rates, by another name
    assert not np.allclose(outputs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.training
def test_trained_further(pretrained, digits):
    """A copy of the model learns within a network, next to neurons, as in Keras."""
    images, labels = digits[0][:200], digits[1][:200]
    model, reference = (keras.models.clone_model(pretrained[0]) for _ in range(2))
    for copy in (model, reference):
        copy.set_weights(pretrained[0].get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kwargs = {"epochs": 3, "shuffle": False, "verbose": 0}
    reference.compile(keras.optimizers.SGD(0.01), loss=loss)
    expected = reference.fit(
        images.reshape((-1, *IMAGE_SHAPE)), labels, batch_size=50, **kwargs
    )
    with nengo.Network() as net:
        nengo_dl.configure_settings(trainable=False)
        inp = nengo.Node(np.zeros(64))
        nengo.Connection(inp, nengo.Ensemble(10, 64), synapse=None)
        probe = nengo.Probe(nengo_dl.Layer(model)(inp, shape_in=IMAGE_SHAPE))
    with nengo_dl.Simulator(
        net, minibatch_size=50, device="/cpu:0", progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.SGD(0.01), loss={probe: loss})
        actual = sim.fit(
            {inp: images[:, None]}, {probe: labels[:, None, None]}, **kwargs
        )
    np.testing.assert_allclose(
        actual.history["loss"], expected.history["loss"], rtol=1e-3
    )
    for weight, other in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(weight, other, rtol=1e-3, atol=1e-4)


@pytest.mark.training
def test_model_cloned_by_a_layer():
    class Wrapper(layers.Layer):
        def __init__(self, model):
            super().__init__()
            self.wrapped = model

        def build(self, input_shape):
            self.model = keras.models.clone_model(self.wrapped)
            self.model.set_weights(self.wrapped.get_weights())

        def call(self, x):
            return self.model(x)

    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    inner.compile(loss="mse")
    layer = Wrapper(inner)
    with nengo.Network() as net:
        x = nengo.Node([1, 2, 3])
        probe = nengo.Probe(nengo_dl.Layer(layer)(x))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.compile(loss="mse", metrics=["accuracy"])
        known = {id(weight) for weight in sim.keras_model.weights}
        assert {id(weight) for weight in layer.model.weights} <= known
        before = inner.get_weights()
        sim.fit(n_steps=1, y={probe: np.zeros((1, 1, 2))}, verbose=0)
        np.testing.assert_array_equal(inner.get_weights()[0], before[0])
        assert np.all(layer.model.get_weights()[0] != before[0])


def test_saved_parameters(tmp_path):
    """Layers are saved with the network, for another network of the same structure."""

    def build():
        model = keras.Sequential(
            [layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)]
        )
        with nengo.Network(seed=0) as net:
            neurons = nengo.Ensemble(5, 1)
            nengo.Connection(nengo.Node([0.5]), neurons, synapse=None)
            nengo.Probe(nengo_dl.Layer(model)(neurons.neurons))
        return model, nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False)

    model, sim = build()
    with sim:
        rng = np.random.RandomState(0)
        saved = [rng.uniform(1, 2, size=w.shape) for w in model.weights]
        model.set_weights(saved)
        sim.save_params(tmp_path / "params")
        sim.run_steps(5)
        data = [sim.data[probe] for probe in sim.model.probes]

    model, sim = build()
    with sim:
        assert not np.allclose(model.get_weights()[0], saved[0])
        sim.load_params(tmp_path / "params")
        for weight, value in zip(model.get_weights(), saved):
            np.testing.assert_allclose(weight, value, rtol=1e-6)
        sim.run_steps(5)
        np.testing.assert_allclose(
            [sim.data[probe] for probe in sim.model.probes], data, rtol=1e-5
        )
