"""Layers that compute many steps at once, against the same layers step by step."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.signal import Signal
from tensor_node.layers import Affine

import nengo_dl
from nengo_dl.tensor_node import SimTensorNode, builder, prepare_layers
from nengo_dl.tensor_node.timeless import is_itemwise

layers = keras.layers
BATCH, N_STEPS = 2, 20


def functional(make_output):
    x = keras.Input((4,))
    return keras.Model(x, make_output(x))


class OwnDense(layers.Dense):
    """May do anything."""


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(3, activation="relu", kernel_regularizer="l2"),
        layers.Conv2D(3, 2, activation=layers.LeakyReLU()),
        layers.Activation("softmax"),
        layers.LayerNormalization(axis=[1, -1]),
        keras.Sequential([layers.Dense(3), layers.Reshape((3, 1)), layers.Flatten()]),
        functional(lambda x: layers.Concatenate()([x, layers.Dense(3)(x)])),
        functional(keras.Sequential([functional(layers.Dense(3)), layers.ReLU()])),
    ],
)
def test_itemwise(layer):
    assert is_itemwise(layer, (False, True))


@pytest.mark.parametrize(
    "layer",
    [
        tf.sin,
        Affine(3),
        OwnDense(3),
        layers.Lambda(lambda x: x - tf.reduce_mean(x, axis=0)),
        layers.Dense(3, activation=lambda x: x - tf.reduce_mean(x, axis=0)),
        layers.Dense(3, activation=OwnDense(3)),
        layers.Dense(3, activity_regularizer="l2"),
        layers.Softmax(axis=0),
        layers.Softmax(axis=None),
        layers.Concatenate(axis=-2),
        layers.LayerNormalization(axis=[-1, -2]),
        layers.Reshape(()),
        layers.LSTM(3, stateful=True),
        keras.Sequential([layers.Dense(3), layers.Lambda(tf.sin)]),
        functional(lambda x: x + keras.ops.mean(x, axis=0)),
        functional(layers.Dense(3, activity_regularizer="l2")),
        type("Subclassed", (keras.Model,), {})(),
    ],
)
def test_not_known_to_be_itemwise(layer):
    assert not is_itemwise(layer, (False,))


@pytest.mark.parametrize(
    "layer", [layers.Dropout(0.5), keras.Sequential([layers.BatchNormalization()])]
)
def test_layers_that_do_something_else_in_training(layer):
    assert is_itemwise(layer, (False,))
    assert not is_itemwise(layer, (False, True))
    assert not is_itemwise(layer, (True,))


def traits(layer, time=None, shape_in=(4,), phases=(False, True)):
    signals = Signal(shape=(4,)), Signal(shape=(4,))
    op = SimTensorNode(layer, time, *signals, shape_in)
    prepare_layers([op], 3, "float32", phases)
    return op.traits


def test_traits():
    found = traits(keras.Sequential([layers.Dense(5), layers.Dense(4)]))
    assert found.timeless
    assert found.work == (4 * 5 + 5 * 4, 0, 5)
    found = traits(
        keras.Sequential(
            [layers.Reshape((4, 1)), layers.Conv1D(6, 2, padding="same")]
            + [layers.Flatten(), layers.Dense(4)]
        )
    )
    assert found.timeless
    assert found.work == (4 * 2 * 6 + 24 * 4, 4 * 2 * 6, 24)
    t, x = keras.Input(batch_shape=()), keras.Input((4,))
    timed = keras.Model([t, x], layers.Dense(4)(x))
    assert not traits(timed, time=Signal(shape=())).timeless
    assert not traits(tf.sin).timeless
    assert traits(layers.Dropout(0.5), phases=(False,)).timeless
    assert not traits(layers.Dropout(0.5)).timeless


def test_layers_for_minibatches_of_one_size():
    """What every item is multiplied by depends on its position."""
    scale = np.arange(12.0).reshape(3, 4)
    assert traits(layers.Rescaling(scale[:1])).timeless
    assert not traits(layers.Rescaling(scale)).timeless


def test_layers_that_change_variables(monkeypatch):
    class Counting(layers.Identity):
        def build(self, input_shape):
            self.n_calls = self.add_weight(shape=(), trainable=False)

        def call(self, x):
            self.n_calls.assign_add(1)
            return x

    assert not traits(Counting()).timeless
    monkeypatch.setattr("nengo_dl.tensor_node.trial.is_itemwise", lambda *_: True)
    assert traits(layers.Identity()).timeless
    assert not traits(Counting()).timeless


def dense(units, seed, **kwargs):
    initializer = keras.initializers.GlorotUniform(seed)
    return layers.Dense(
        units, kernel_initializer=initializer, dtype="float64", **kwargs
    )


def conv(filters, seed, **kwargs):
    initializer = keras.initializers.HeUniform(seed)
    return layers.Conv2D(
        filters, 3, kernel_initializer=initializer, dtype="float64", **kwargs
    )


class Net:
    """Layers, and spikes after each of them."""

    def __init__(self, layers, shapes, **settings):
        self.layers, self.shapes = layers, shapes
        rates = {
            "gain": nengo.dists.Choice([50]),
            "bias": nengo.dists.Choice([20]),
            "neuron_type": nengo.SpikingRectifiedLinear(),
        }
        with nengo.Network(seed=0) as self.net:
            nengo_dl.configure_settings(dtype="float64", **settings)
            self.inp = x = nengo.Node(np.zeros(np.prod(shapes[0])))
            self.into, self.outof = [], []
            for layer, shape in zip(layers, shapes):
                node = nengo_dl.TensorNode(layer, shape_in=shape, pass_time=False)
                nengo.Connection(x, node, synapse=None)
                self.into.append(nengo.Probe(x))
                self.outof.append(nengo.Probe(node))
                neurons = nengo.Ensemble(node.size_out, 1, **rates).neurons
                nengo.Connection(node, neurons, synapse=None)
                x = nengo.Node(size_in=node.size_out)
                nengo.Connection(neurons, x, transform=0.01, synapse=0.005)
            self.out = nengo.Probe(x)

    def simulator(self):
        return nengo_dl.Simulator(
            self.net,
            minibatch_size=BATCH,
            unroll_simulation=1,
            progress_bar=False,
            device="/cpu:0",
            seed=0,
        )


def images(n_steps=N_STEPS, size=49):
    return np.random.RandomState(0).uniform(-1, 1, (BATCH, n_steps, size))


def in_batches(sim):
    """Return the functions of the TensorNodes that compute many steps at once."""
    sections = sim.tensor_graph.program.sections
    ops = [op for section in sections if section.is_batch for op in section.operators]
    return [op.func for op in ops if isinstance(op, SimTensorNode)]


@pytest.mark.parametrize("is_large", [False, True])
def test_same_as_keras_and_step_by_step(monkeypatch, is_large):
    """Large convolutions are left to TensorFlow, between loops that XLA compiles."""
    if is_large:
        monkeypatch.setattr(builder, "MAX_XLA_PRODUCTS", 0)
    inner = keras.Sequential(
        [conv(3, 1, activation="relu"), layers.Flatten(dtype="float64")]
        + [dense(5, 2, activation="tanh")]
    )
    net = Net(
        [conv(2, 0), inner],
        [(7, 7, 1), (5, 5, 2)],
        layerwise=True,
        jit_compile="auto" if is_large else False,
    )
    x = images(70)
    with net.simulator() as sim:
        assert set(in_batches(sim)) == set(net.layers)
        (at_once,) = sim.tensor_graph.engine.layerwise.values()
        assert at_once.compiles is False
        predicted = sim.predict(x, stateful=False, verbose=0)[net.out]
        sim.run_steps(70, data={net.inp: x})
        ran = sim.data[net.out]
        np.testing.assert_allclose(predicted, ran, atol=1e-12)
        for layer, shape, *probes in zip(net.layers, net.shapes, net.into, net.outof):
            given, values = (sim.data[p].reshape(BATCH * 70, -1) for p in probes)
            expected = layer(given.reshape(-1, *shape)).numpy().reshape(values.shape)
            np.testing.assert_allclose(values, expected, atol=1e-12)
        assert np.ptp(ran) > 0.1
        if is_large:
            return
        # short runs are computed step by step
        sim.reset()
        for start in range(0, 70, 14):
            sim.run_steps(14, data={net.inp: x[:, start : start + 14]})
        np.testing.assert_allclose(sim.data[net.out], ran, atol=1e-12)


def feedforward(**settings):
    return Net(
        [conv(2, 0), dense(2, 3, kernel_regularizer="l2")],
        [(4, 4, 1), (8,)],
        **settings,
    )


def changing(**settings):
    model = keras.Sequential(
        [layers.BatchNormalization(momentum=0.5, dtype="float64")]
        + [layers.Dropout(0.5, seed=1, dtype="float64"), dense(2, 3)]
    )
    return Net([dense(4, 0), model], [(16,), (4,)], **settings)


@pytest.mark.training
@pytest.mark.parametrize(
    "make, n_in_batches, jit_compile",
    [(feedforward, 2, "auto"), (changing, 1, False)],
)
def test_same_training(make, n_in_batches, jit_compile, monkeypatch):
    """Convolutions that XLA does not compile included."""
    monkeypatch.setattr(builder, "MAX_XLA_PRODUCTS", 0)
    results = []
    for layerwise in (True, False):
        net = make(layerwise=layerwise, jit_compile=jit_compile)
        with net.simulator() as sim:
            assert len(in_batches(sim)) == (n_in_batches if layerwise else 0)
            sim.compile(keras.optimizers.SGD(0.1), loss={net.out: "mse"})
            y = np.full((BATCH, N_STEPS, 2), 0.3)
            history = sim.fit(images(size=16), {net.out: y}, epochs=2, verbose=0)
            weights = [w for layer in net.layers for w in layer.get_weights()]
        results.append((history.history["loss"], *weights))
    for found, expected in zip(*results):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    assert results[0][0][0] != results[0][0][1]


@pytest.mark.training
def test_layers_that_add_losses_run_step_by_step():
    net = Net(
        [dense(4, 0), dense(2, 1, activity_regularizer="l2")],
        [(4,), (4,)],
        layerwise=True,
        jit_compile=False,
    )
    with net.simulator() as sim:
        assert in_batches(sim) == net.layers[:1]
        assert not sim.tensor_graph.engine.layerwise
        sim.compile(loss={net.out: "mse"})
        y = {net.out: np.zeros((BATCH, N_STEPS, 2))}
        losses = sim.evaluate(images(size=4), y, verbose=0, return_dict=True)
        assert losses.pop("loss") > sum(losses.values())


@pytest.mark.training
def test_same_gradients_as_keras():
    """Of a network that is nothing but layers."""
    model = keras.Sequential(
        [keras.Input((7, 7, 1)), conv(2, 0), layers.Flatten(dtype="float64")]
        + [dense(3, 1)]
    )
    x, y = images(), np.random.RandomState(1).uniform(size=(BATCH, N_STEPS, 3))
    with tf.GradientTape() as tape:
        output = model(x.reshape(-1, 7, 7, 1))
        loss = tf.reduce_mean((output - y.reshape(-1, 3)) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    before = model.get_weights()
    with nengo.Network() as net:
        nengo_dl.configure_settings(dtype="float64", layerwise=True, jit_compile=False)
        inp = nengo.Node(np.zeros(49))
        hidden = nengo_dl.Layer(keras.Sequential(model.layers[:1]))(
            inp, shape_in=(7, 7, 1)
        )
        # (a loop between the two)
        delayed = nengo.Node(size_in=hidden.size_out)
        nengo.Connection(hidden, delayed, synapse=None)
        rest = keras.Sequential(model.layers[1:])
        probe = nengo.Probe(nengo_dl.Layer(rest)(delayed, shape_in=(5, 5, 2)))
    with nengo_dl.Simulator(
        net, minibatch_size=BATCH, unroll_simulation=1, progress_bar=False
    ) as sim:
        assert len(in_batches(sim)) == 2
        sim.compile(keras.optimizers.SGD(1.0), loss={probe: "mse"})
        sim.fit(x, {probe: y}, verbose=0)
    for old, new, gradient in zip(before, model.get_weights(), gradients):
        np.testing.assert_allclose(old - new, gradient.numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.training
def test_training_of_large_convolutions_beside_heavy_loops(monkeypatch):
    def layerwise(heavy=True, **settings):
        with nengo.Network() as net:
            nengo_dl.configure_settings(**settings)
            layer = layers.Conv2D(16, 3)
            x = nengo_dl.Layer(layer)(nengo.Node(np.ones(900)), shape_in=(30, 30, 1))
            if heavy:
                x = nengo_dl.Layer(nengo.AdaptiveLIF())(x)
            nengo.Probe(x)
        sim = nengo_dl.Simulator(
            net, unroll_simulation=1, progress_bar=False, device="/cpu:0"
        )
        with sim:
            assert sim.tensor_graph.engine.layerwise
            return sim.tensor_graph._layerwise_steps(sim.tensor_graph.step, 20)

    assert layerwise() is not None
    monkeypatch.setattr(builder, "MAX_XLA_PRODUCTS", 0)
    assert layerwise() is None
    assert layerwise(heavy=False).compiles is False
    assert layerwise(layerwise=True) is not None
    assert layerwise(jit_compile=False) is not None


def test_chosen_for_large_layers():
    def sections(layer, **settings):
        with nengo.Network() as net:
            nengo_dl.configure_settings(inference_only=True, **settings)
            nengo.Probe(nengo_dl.Layer(layer)(nengo.Node(np.ones(300))))
        sim = nengo_dl.Simulator(
            net, unroll_simulation=1, progress_bar=False, device="/cpu:0"
        )
        with sim:
            text = str(sim.tensor_graph.program)
            assert ("many steps at once" in text) == bool(in_batches(sim))
            return in_batches(sim)

    large = keras.Sequential([layers.BatchNormalization(), layers.Dense(300)])
    assert sections(large) == [large]
    assert sections(large, layerwise=False) == []
    assert sections(layers.Dense(10)) == []
    assert sections(layers.Lambda(lambda x: x @ tf.ones((300, 300)))) == []
