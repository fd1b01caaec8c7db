"""
Every kind of Keras layer in a network, against the same layer in plain Keras.

Two objects of one layer, with the same weights: one becomes part of a Nengo network,
the other of a `keras.Sequential`. Outputs, gradients, and losses in training are equal.
"""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import nengo_dl

BATCH = 4
N_ITEMS = 12


class Affine(layers.Layer):
    """A custom layer with weights of its own, one of which is not trained."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform"
        )
        self.offset = self.add_weight(
            shape=(self.units,), initializer="ones", trainable=False
        )

    def call(self, x):
        return tf.matmul(x, self.kernel) + self.offset


class Residual(layers.Layer):
    """A custom layer around others, which does not pass `training` on to them."""

    def __init__(self, units, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units, activation="tanh")
        self.dropout = layers.Dropout(0.5, seed=seed)

    def call(self, x):
        return x + self.dropout(self.dense(x))


class Noisy(layers.Layer):
    """A custom layer that takes `training`."""

    def call(self, x, training=None):
        return keras.ops.tanh(x) * (3.0 if training else 1.0)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(5, activation="relu")
        self.normalize = layers.BatchNormalization()
        self.last = layers.Dense(2)

    def call(self, x, training=False):
        return self.last(self.normalize(self.first(x), training=training))


class SparseOutput(layers.Layer):
    """Adds a loss when it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3)

    def call(self, x):
        y = self.dense(x)
        self.add_loss(0.1 * keras.ops.mean(keras.ops.abs(y)))
        return y


class SparseInTraining(layers.Layer):
    """Adds a loss when it is called in training."""

    def call(self, x, training=False):
        if training:
            self.add_loss(0.1 * keras.ops.mean(keras.ops.abs(x)))
        return x


def functional(size=6):
    x = keras.Input((size,))
    y = layers.Dense(4, activation="tanh")(x)
    z = layers.Concatenate()([y, layers.Dense(3)(x)])
    return keras.Model(x, layers.Dense(2)(z))


def sequential():
    return keras.Sequential(
        [
            layers.Conv2D(3, 2, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(3),
        ]
    )


def partly_frozen():
    model = keras.Sequential([layers.Dense(4, activation="tanh"), layers.Dense(2)])
    model.layers[0].trainable = False
    return model


def frozen(layer):
    layer.trainable = False
    return layer


# name: (function that makes the layer, shape_in)
KINDS = {
    "Dense": (lambda: layers.Dense(3, activation="relu"), (6,)),
    "regularizers": (
        lambda: layers.Dense(3, kernel_regularizer="l2", bias_regularizer="l1"),
        (6,),
    ),
    "activity_regularizer": (
        lambda: layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.1)),
        (6,),
    ),
    "add_loss": (SparseOutput, (6,)),
    "add_loss in training": (
        lambda: keras.Sequential([layers.Dense(3), SparseInTraining()]),
        (6,),
    ),
    "constraint": (lambda: layers.Dense(3, kernel_constraint="unit_norm"), (6,)),
    "Dense, not trainable": (lambda: frozen(layers.Dense(3)), (6,)),
    "Conv1D": (lambda: layers.Conv1D(2, 2), (3, 2)),
    "Conv2D": (lambda: layers.Conv2D(2, 2, activation="relu"), (3, 3, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(2, 2), (3, 3, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(2, 2), (3, 3, 2)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (4, 4, 2)),
    "BatchNormalization": (layers.BatchNormalization, (6,)),
    "BatchNormalization of images": (layers.BatchNormalization, (2, 2, 3)),
    "LayerNormalization": (layers.LayerNormalization, (6,)),
    "Dropout": (lambda: layers.Dropout(0.4, seed=3), (6,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.4, seed=3), (6,)),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (4, 2)),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), (4, 2)),
    "LSTM with dropout": (
        lambda: layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2, seed=1),
        (4, 2),
    ),
    "GRU": (lambda: layers.GRU(3), (4, 2)),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(2)), (4, 2)),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(3)), (4, 2)),
    "Embedding": (lambda: layers.Embedding(10, 3), (5,)),
    "Lambda": (lambda: layers.Lambda(lambda x: keras.ops.tanh(x) ** 2), (6,)),
    "custom": (lambda: Affine(3), (6,)),
    "nested": (lambda: Residual(6), (6,)),
    "nested twice": (
        lambda: keras.Sequential([Residual(6), keras.Sequential([Residual(6, 1)])]),
        (6,),
    ),
    "takes training": (Noisy, (6,)),
    "Sequential": (sequential, (4, 4, 1)),
    "functional": (functional, (6,)),
    "subclassed": (Subclassed, (6,)),
    "partly frozen": (partly_frozen, (6,)),
}


class Pair:
    """One layer twice, with a readout: in a Nengo network, and in a Keras model."""

    def __init__(self, kind, is_built=False, minibatch_size=BATCH, **settings):
        make_layer, self.shape_in = KINDS[kind]
        keras.utils.set_random_seed(0)
        self.layers = [make_layer(), layers.Dense(2)]
        self.keras_layers = [make_layer(), layers.Dense(2)]
        rng = np.random.RandomState(1)
        size = int(np.prod(self.shape_in))
        self.x = (rng.randint(-3, 4, size=(N_ITEMS, size)) / 2).astype("float32")
        if kind == "Embedding":
            self.x = np.abs(self.x)
        self.y = rng.uniform(-1, 1, size=(N_ITEMS, 2)).astype("float32")

        first, last = self.keras_layers
        self.model = keras.Sequential(
            [keras.Input(self.shape_in), first, layers.Flatten(), last]
        )
        if is_built:
            self.layers[0](tf.constant(self.images[:1]))
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(**settings)
            inp = nengo.Node(np.zeros(size))
            node = nengo_dl.Layer(self.layers[0])(inp, shape_in=self.shape_in)
            self.probe = nengo.Probe(nengo_dl.Layer(self.layers[1])(node))
        self.sim = nengo_dl.Simulator(
            net, minibatch_size=minibatch_size, device="/cpu:0", progress_bar=False
        )
        self.synchronize()

    @property
    def images(self):
        return self.x.reshape((-1, *self.shape_in))

    def synchronize(self):
        """Copy weights, and the states of random number generators."""
        for ours, theirs in zip(self.layers, self.keras_layers):
            for variable, other in zip(ours.variables, theirs.variables):
                variable.assign(other)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.sim.close()

    def compile(self):
        self.sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        # (what XLA makes of Keras is not what is tested)
        self.model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)


def check_outputs(pair):
    expected = pair.model.predict(pair.images, batch_size=BATCH, verbose=0)
    outputs = pair.sim.predict(pair.x[:, None], verbose=0)[pair.probe]
    np.testing.assert_allclose(outputs[:, 0], expected, rtol=1e-5, atol=1e-5)

    pair.sim.run_steps(3, data=np.repeat(pair.x[:BATCH, None], 3, axis=1))
    for output in np.swapaxes(pair.sim.data[pair.probe], 0, 1):
        np.testing.assert_allclose(output, expected[:BATCH], rtol=1e-5, atol=1e-5)


def gradients(func, x, target, used):
    """Gradients of the loss with respect to the input and weights."""
    x = tf.constant(x)
    variables = [w.value for layer in used for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_mean((func(x) - target) ** 2)
    return tape.gradient(loss, [x, *variables])


def check_gradients(pair):
    target, n_steps = pair.y[:BATCH], tf.ones((BATCH, 1), tf.int32)
    actual = gradients(
        lambda x: pair.sim.keras_model([x, n_steps], training=True)["probe"][:, 0],
        pair.x[:BATCH, None],
        target,
        pair.layers,
    )
    expected = gradients(
        lambda x: pair.model(x, training=True),
        pair.images[:BATCH],
        target,
        pair.keras_layers,
    )
    assert len(actual) == len(expected)
    for gradient, reference in zip(actual, expected):
        assert (gradient is None) == (reference is None)
        if reference is not None:
            reference = tf.convert_to_tensor(reference)
            gradient = tf.reshape(tf.convert_to_tensor(gradient), reference.shape)
            np.testing.assert_allclose(gradient, reference, rtol=1e-4, atol=1e-5)


def check_training(pair):
    """Losses of three epochs, weights after it, and the loss of an evaluation."""
    pair.compile()
    kwargs = {"epochs": 3, "shuffle": False, "verbose": 0}
    expected = pair.model.fit(pair.images, pair.y, batch_size=BATCH, **kwargs)
    actual = pair.sim.fit(pair.x[:, None], pair.y[:, None], **kwargs)
    np.testing.assert_allclose(
        actual.history["loss"], expected.history["loss"], rtol=1e-4
    )
    for ours, theirs in zip(pair.layers, pair.keras_layers):
        for variable, other in zip(ours.variables, theirs.variables):
            np.testing.assert_allclose(
                variable.numpy(), other.numpy(), rtol=1e-3, atol=1e-5
            )
    expected = pair.model.evaluate(pair.images, pair.y, batch_size=BATCH, verbose=0)
    actual = pair.sim.evaluate(pair.x[:, None], pair.y[:, None], verbose=0)
    np.testing.assert_allclose(actual["loss"], expected, rtol=1e-4)


@pytest.mark.training
@pytest.mark.parametrize("kind", KINDS)
def test_like_keras(kind):
    with Pair(kind) as pair:
        check_outputs(pair)
        pair.synchronize()  # Keras's recurrent layers draw numbers at every call
        check_gradients(pair)
        check_training(pair)


@pytest.mark.training
@pytest.mark.parametrize(
    "kind", ["custom", "LSTM", "BatchNormalization", "functional", "subclassed"]
)
def test_layers_that_have_been_built(kind):
    with Pair(kind, is_built=True) as pair:
        check_outputs(pair)
        check_training(pair)
