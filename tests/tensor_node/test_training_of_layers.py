"""Layers in training and out of it: their state, losses, and gradients."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from tensor_node.simulating import printing, simulate

import nengo_dl


class Phase(keras.layers.Layer):
    """Puts out 1 in training, else 0."""

    def call(self, t, training=None):
        assert isinstance(training, bool)
        return tf.fill((2, 1), 1.0 if training else 0.0)


@pytest.mark.training
def test_training_argument(net):
    node = nengo_dl.TensorNode(Phase(), shape_in=None)
    probe = nengo.Probe(node)
    kwargs = {"minibatch_size": 2, "device": "/cpu:0", "progress_bar": False}
    with nengo_dl.Simulator(net, **kwargs) as sim:
        assert np.all(sim.predict(n_steps=3, verbose=0)[probe] == 0)
        sim.run_steps(3)
        assert np.all(sim.data[probe] == 0)
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        target = np.zeros((2, 3, 1))
        assert sim.fit(n_steps=3, y=target, verbose=0).history["loss"] == [1]
        assert sim.evaluate(n_steps=3, y=target, verbose=0)["loss"] == 0

    with net:
        nengo_dl.configure_settings(learning_phase=True)
    with nengo_dl.Simulator(net, **kwargs) as sim:
        assert np.all(sim.predict(n_steps=3, verbose=0)[probe] == 1)
        sim.run_steps(3)
        assert np.all(sim.data[probe] == 1)


@pytest.mark.training
def test_state_of_layers_in_a_loop(net, default_device):
    """In every step as in a call of the Keras layer, in one compiled loop."""
    nengo_dl.configure_settings(learning_phase=True)
    kwargs = {"momentum": 0.5}
    ours = keras.layers.BatchNormalization(**kwargs)
    with tf.device(default_device):
        dropout = keras.layers.Dropout(0.5, seed=3)
    x = nengo.Node(np.zeros(4))
    nengo.Probe(nengo_dl.Layer(ours)(x))
    probe = nengo.Probe(nengo_dl.Layer(dropout)(x))
    data = np.random.RandomState(0).normal(size=(3, 7, 4)).astype("float32")

    theirs = keras.layers.BatchNormalization(**kwargs)
    their_dropout = keras.layers.Dropout(0.5, seed=3)
    dropped = []

    @tf.function(jit_compile=True)  # XLA has random numbers of its own
    def drop(x):
        return their_dropout(x, training=True)

    for step in range(7):
        theirs(data[:, step], training=True)
        dropped.append(drop(data[:, step]).numpy())

    with nengo_dl.Simulator(
        net, minibatch_size=3, device="/cpu:0", progress_bar=False
    ) as sim:
        assert sim.tensor_graph.step.compiles
        sim.run_steps(7, data={x: data})
        for weight, expected in zip(ours.get_weights(), theirs.get_weights()):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            sim.data[probe], np.stack(dropped, axis=1), rtol=1e-6
        )


@pytest.mark.training
@pytest.mark.parametrize("jit_compile", [False, True])
def test_state_of_layers_in_training_over_time(net, jit_compile, default_device):
    """The same in `fit`, with gradients through the loop."""
    normalize, their_normalize = (
        keras.layers.BatchNormalization(momentum=0.5, epsilon=0.1) for _ in range(2)
    )
    with tf.device(default_device):
        optimizer = keras.optimizers.SGD(0.1)
        model = keras.Sequential(
            [
                normalize,
                keras.layers.Dropout(0.5, seed=1),
                keras.layers.Reshape((2, 2)),
                keras.layers.LSTM(3),
            ]
        )
        probe = nengo.Probe(nengo_dl.Layer(model)(nengo.Node(np.zeros(4))))
    data = np.random.RandomState(0).normal(size=(3, 5, 4)).astype("float32")
    for step in range(5):
        their_normalize(data[:, step], training=True)
    with nengo_dl.Simulator(
        net, minibatch_size=3, device="/cpu:0", progress_bar=False
    ) as sim:
        before = model.layers[-1].get_weights()
        sim.compile(optimizer, loss="mse", jit_compile=jit_compile)
        sim.fit(data, {probe: np.ones((3, 5, 3))}, verbose=0)
        assert sim.keras_model.facts.jit_compile is jit_compile
        for weight, expected in zip(
            normalize.non_trainable_weights, their_normalize.non_trainable_weights
        ):
            np.testing.assert_allclose(weight.numpy(), expected.numpy(), rtol=1e-4)
        for old, new in zip(before, model.layers[-1].get_weights()):
            assert np.all(np.isfinite(new)) and np.any(new != old)


def test_inference_leaves_state_alone(net):
    layer = keras.layers.BatchNormalization()
    nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([3, 4])))
    simulate(net)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), [0, 0])


class Penalty(keras.layers.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_mean(x))
        return x


@pytest.mark.training
@pytest.mark.parametrize("n_steps", [1, 5])
def test_losses_of_activity(net, n_steps):
    """They are averaged over the steps, like the losses of Probes."""
    nodes, models = [], []
    for _ in range(2):
        layer = keras.layers.Dense(
            2,
            kernel_regularizer=keras.regularizers.L1(10.0),
            activity_regularizer=keras.regularizers.L1(1.0),
        )
        penalty = Penalty()
        nodes.append(nengo.Node([0, 0]))
        output = nengo_dl.Layer(penalty)(nengo_dl.Layer(layer)(nodes[-1]))
        models.append(keras.Sequential([keras.Input((2,)), layer, penalty]))
    probe = nengo.Probe(output)
    values = np.random.RandomState(0).normal(size=(4, n_steps, 2)).astype("float32")
    data = dict.fromkeys(nodes, values)
    target = {probe: np.zeros((4, n_steps, 2))}
    with nengo_dl.Simulator(
        net, minibatch_size=4, device="/cpu:0", progress_bar=False
    ) as sim:
        expected = []
        for step in range(n_steps):
            outputs = [model(values[:, step]) for model in models]
            losses = [loss.numpy() for model in models for loss in model.losses]
            assert len(losses) == 2 * 3  # activity, penalty, and kernel
            expected.append(np.mean(outputs[-1].numpy() ** 2) + sum(losses))
        expected = np.mean(expected)

        sim.compile(keras.optimizers.SGD(0.0), loss={probe: "mse"})
        loss = sim.fit(data, target, verbose=0).history["loss"]
        np.testing.assert_allclose(loss, [expected], rtol=1e-5)
        loss = sim.evaluate(data, target, verbose=0)["loss"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        sim.run_steps(n_steps)  # Keras must not find losses of other functions
        loss = sim.evaluate(data, target, verbose=0)["loss"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    # nor must the user
    assert len(models[0].losses) == 1


@pytest.mark.training
@pytest.mark.parametrize(
    "n_steps, func",
    [
        (1, tf.square),
        (4, tf.square),
        (4, lambda x: printing(x) * 0 + x**2),
        # in a loop, TensorFlow does not find its gradient
        (1, lambda x: tf.py_function(tf.square, [x], tf.float32)),
    ],
)
def test_gradients_through_functions(net, n_steps, func):
    """Also where XLA does not compile; without any warning."""
    layer = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    x = nengo.Node([2.0])
    probe = nengo.Probe(nengo_dl.Layer(func)(nengo_dl.Layer(layer)(x)))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(0.01), loss=lambda _, y: tf.reduce_mean(y))
        sim.fit(n_steps=n_steps, y={probe: np.zeros((1, n_steps, 1))}, verbose=0)
    # d/dw (2 w)**2 = 8 w
    np.testing.assert_allclose(layer.get_weights()[0], [[1 - 0.01 * 8]], rtol=1e-5)


@pytest.mark.training
@pytest.mark.parametrize("use_loop, n_steps", [(False, 1), (False, 3), (True, 3)])
def test_nothing_but_layers(net, use_loop, n_steps):
    """No state, and targets for the last step alone."""
    nengo_dl.configure_settings(stateful=False, use_loop=use_loop, keep_history=False)
    layer = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([0.0])))
    x = np.zeros((4, n_steps, 1))
    x[:, -1] = 2
    y = np.full((4, 1, 1), 6.0)
    with nengo_dl.Simulator(
        net,
        minibatch_size=2,
        unroll_simulation=1 if use_loop else n_steps,
        device="/cpu:0",
        progress_bar=False,
    ) as sim:
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        assert sim.evaluate(x, y, verbose=0)["loss"] == 16
        sim.fit(x, y, epochs=10, verbose=0)
        np.testing.assert_allclose(sim.predict(x, verbose=0)[probe], y, rtol=1e-4)
        assert sim.n_steps == 0


@pytest.mark.training
def test_gradients_through_time(net):
    """A layer in a loop of the network, unrolled by hand in Keras."""
    layer = keras.layers.Dense(3, activation="tanh")
    x = nengo.Node(np.zeros(3))
    node = nengo_dl.TensorNode(layer, shape_in=(3,), pass_time=False)
    nengo.Connection(x, node, synapse=None)
    nengo.Connection(node, node, synapse=0)
    with net:
        nengo_dl.configure_settings(trainable=False)
    probe = nengo.Probe(node)
    data = np.random.RandomState(0).normal(size=(2, 4, 3)).astype("float32")
    with nengo_dl.Simulator(
        net, minibatch_size=2, device="/cpu:0", progress_bar=False
    ) as sim:
        kernel, bias = (tf.Variable(w) for w in layer.get_weights())
        with tf.GradientTape() as tape:
            y = tf.zeros((2, 3))
            loss = 0.0
            for step in range(4):
                y = tf.tanh(tf.matmul(data[:, step] + y, kernel) + bias)
                loss += tf.reduce_mean(y**2) / 4
        expected = tape.gradient(loss, [kernel, bias])

        sim.compile(keras.optimizers.SGD(1.0), loss="mse")
        before = layer.get_weights()
        history = sim.fit({x: data}, {probe: np.zeros((2, 4, 3))}, verbose=0)
        np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-5)
        for old, new, gradient in zip(before, layer.get_weights(), expected):
            np.testing.assert_allclose(old - new, gradient, rtol=1e-4, atol=1e-6)


class OnePhase(keras.layers.Layer):
    """Works only in inference, or only in training."""

    def __init__(self, phase, **kwargs):
        super().__init__(**kwargs)
        self.phase = phase

    def call(self, inputs, training=None):
        if bool(training) is not self.phase:
            raise NotImplementedError("not in this phase")
        return 2.0 * inputs


@pytest.mark.parametrize(
    "phase, settings",
    [
        (False, {"inference_only": True}),
        (False, {"learning_phase": False}),
        (True, {"learning_phase": True}),
    ],
)
def test_layers_that_work_in_one_phase(net, phase, settings, request):
    """They are tried as they are called."""
    if request.config.getoption("--inference-only"):
        pytest.skip("chooses settings of its own")
    nengo_dl.configure_settings(**settings)
    x = nengo.Node([1.0])
    layer = OnePhase(phase)
    node = nengo_dl.TensorNode(layer, (1,), (1,), pass_time=False)
    nengo.Connection(x, node, synapse=None)
    probe = nengo.Probe(node)
    kwargs = {"device": "/cpu:0", "progress_bar": False}
    with nengo_dl.Simulator(net, **kwargs) as sim:
        sim.run_steps(2)
        assert (sim.data[probe] == 2).all()
    with net:
        nengo_dl.configure_settings(inference_only=False, learning_phase=None)
    with pytest.raises(ValidationError, match="not in this phase"):
        nengo_dl.Simulator(net, **kwargs)
