"""
Models that are trained: as Nengo networks, and by hand in Keras.

In: nothing. Out: networks with the attributes ``inp`` and ``p``, like those of
`networks`, and Keras models that compute the same from the same initial weights, so
that their losses can be compared. Models of Keras know no time steps.

Like `networks`, this file is also executed in the environment of the release that we
are compared with. What it imports as ``keras`` and ``nengo_dl`` is what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np

if __package__:
    from nengo_dl.benchmarks.networks import chain
else:  # run by path, like the worker
    from networks import chain  # type: ignore[import-not-found,no-redef]


@dataclass(frozen=True)
class Model:
    """
    One model that is trained with the mean squared error.

    Parameters
    ----------
    title : str
        What the tables call it.
    network : callable
        Builds the Nengo network.
    by_hand : callable or None
        Builds the Keras model, if there is one.
    minibatch : int
        Minibatch size.
    n_steps : int
        Number of simulation steps.
    learning_rate : float
        Of stochastic gradient descent.
    """

    title: str
    network: Callable[[], nengo.Network]
    by_hand: Callable[[], Any] | None = None
    minibatch: int = 50
    n_steps: int = 1
    learning_rate: float = 0.01


def glorot(rng: np.random.RandomState, *shape: int) -> np.ndarray:
    """
    Draw weights uniformly, as Glorot and Bengio (2010) propose.

    Parameters
    ----------
    rng : np.random.RandomState
        Random numbers.
    shape : int
        The spatial axes of a kernel, if any, the inputs, and the outputs.

    Returns
    -------
    weights : (...,) array
        Values within ``±sqrt(6 / (inputs + outputs))`` of a neuron.
    """
    *spatial, n_in, n_out = shape
    limit = math.sqrt(6 / (math.prod(spatial) * (n_in + n_out)))
    return rng.uniform(-limit, limit, size=shape)


def _relu(n_neurons: int) -> nengo.ensemble.Neurons:
    """Return rectified linear neurons, whose biases are 0 at first."""
    return nengo.Ensemble(
        n_neurons,
        1,
        neuron_type=nengo.RectifiedLinear(),
        gain=nengo.dists.Choice([1]),
        bias=nengo.dists.Choice([0]),
    ).neurons


# ------------------------------------------------------------------------ autoencoder


def _autoencoder_weights() -> list[np.ndarray]:
    rng = np.random.RandomState(0)
    return [glorot(rng, 784, 64), glorot(rng, 64, 784)]


def autoencoder() -> nengo.Network:
    """Build a dense autoencoder of two layers."""
    with nengo.Network(label="autoencoder", seed=0) as net:
        layer = net.inp = nengo.Node(np.zeros(784))
        for weights in _autoencoder_weights():
            pre, layer = layer, _relu(weights.shape[1])
            nengo.Connection(pre, layer, transform=weights.T, synapse=None)
        net.p = nengo.Probe(layer)
    return net


def autoencoder_by_hand() -> Any:
    """Build `autoencoder` in Keras."""
    import keras

    layers = [
        keras.layers.Dense(
            weights.shape[1], activation="relu", kernel_initializer=_constant(weights)
        )
        for weights in _autoencoder_weights()
    ]
    return keras.Sequential([keras.Input((784,)), *layers])


def _constant(values: np.ndarray) -> Callable[..., Any]:
    """Return an initializer of Keras for these values."""

    def initialize(_shape: Any, dtype: Any = None, **_kwargs: Any) -> Any:
        import tensorflow as tf

        return tf.constant(values, dtype=dtype)

    return initialize


# ---------------------------------------------------------------- convolutional network

IMAGE = (28, 28, 1)

# Strides of the layers of the convolutional network
STRIDES = (1, 2)


def _kernels() -> tuple[list[np.ndarray], np.ndarray]:
    """Return the kernels of the convolutions, and the weights of the readout."""
    rng = np.random.RandomState(0)
    kernels = [glorot(rng, 3, 3, 1, 32), glorot(rng, 3, 3, 32, 64)]
    return kernels, glorot(rng, 12 * 12 * 64, 10)


def convolutional() -> nengo.Network:
    """Build two layers of neurons with convolutions as transforms, and a readout."""
    kernels, readout = _kernels()
    with nengo.Network(label="convolutional", seed=0) as net:
        layer = net.inp = nengo.Node(np.zeros(math.prod(IMAGE)))
        shape: Any = IMAGE
        for kernel, stride in zip(kernels, STRIDES):
            convolution = nengo.Convolution(
                kernel.shape[-1], shape, strides=(stride, stride), init=kernel
            )
            shape = convolution.output_shape
            pre, layer = layer, _relu(shape.size)
            nengo.Connection(pre, layer, transform=convolution, synapse=None)
        output = nengo.Node(size_in=10)
        nengo.Connection(layer, output, transform=readout.T, synapse=None)
        net.p = nengo.Probe(output)
    return net


def convolutional_by_hand() -> Any:
    """Build `convolutional` in Keras: each neuron has its own bias."""
    import keras

    class Bias(keras.layers.Layer):
        """Adds a bias to each element of its input."""

        def build(self, shape: tuple[int | None, ...]) -> None:
            self.bias = self.add_weight(
                name="bias", shape=tuple(shape[1:]), initializer="zeros"
            )

        def call(self, x: Any) -> Any:
            return x + self.bias

    kernels, readout = _kernels()
    layers = [keras.Input(IMAGE)]
    for kernel, stride in zip(kernels, STRIDES):
        layers += [_conv_layer(kernel, stride, use_bias=False)]
        layers += [Bias(), keras.layers.ReLU()]
    return keras.Sequential([*layers, *_readout_layers(readout, use_bias=False)])


def _conv_layer(kernel: np.ndarray, stride: int, **kwargs: Any) -> Any:
    """Return a convolutional layer of Keras."""
    import keras

    return keras.layers.Conv2D(
        kernel.shape[-1], 3, stride, kernel_initializer=_constant(kernel), **kwargs
    )


def _readout_layers(weights: np.ndarray, **kwargs: Any) -> list[Any]:
    """Return the last layers of the convolutional model."""
    import keras

    dense = keras.layers.Dense(10, kernel_initializer=_constant(weights), **kwargs)
    return [keras.layers.Flatten(), dense]


def _usual_layers() -> list[Any]:
    """Return the convolutional model the way that users of Keras write it."""
    kernels, readout = _kernels()
    convolutions = [
        _conv_layer(kernel, stride, activation="relu")
        for kernel, stride in zip(kernels, STRIDES)
    ]
    return [*convolutions, *_readout_layers(readout)]


def layers_in_network() -> nengo.Network:
    """Build a network of layers of Keras."""
    import nengo_dl

    with nengo.Network(label="layers", seed=0) as net:
        x = net.inp = nengo.Node(np.zeros(math.prod(IMAGE)))
        shape: Any = IMAGE
        for layer in _usual_layers():
            x = nengo_dl.Layer(layer)(x, shape_in=shape)
            shape = tuple(layer.compute_output_shape((None, *shape)))[1:]
        net.p = nengo.Probe(x)
    return net


def layers_by_hand() -> Any:
    """Build `layers_in_network` in Keras."""
    import keras

    return keras.Sequential([keras.Input(IMAGE), *_usual_layers()])


# ------------------------------------------------------------------- recurrent network


def recurrent(n_neurons: int = 256, size_in: int = 16) -> nengo.Network:
    """Build recurrently connected LIF neurons, trained by the gradients of rates."""
    rng = np.random.RandomState(0)
    with nengo.Network(label="recurrent", seed=0) as net:
        net.inp = nengo.Node(np.zeros(size_in))
        neurons = nengo.Ensemble(n_neurons, 1, neuron_type=nengo.LIF()).neurons
        output = nengo.Node(size_in=10)
        feedforward = glorot(rng, size_in, n_neurons)
        feedback = glorot(rng, n_neurons, n_neurons) / 100  # rates in hertz come in
        readout = glorot(rng, n_neurons, 10) / 100
        nengo.Connection(net.inp, neurons, transform=feedforward.T, synapse=None)
        nengo.Connection(neurons, neurons, transform=feedback.T, synapse=0.005)
        nengo.Connection(neurons, output, transform=readout.T, synapse=None)
        net.p = nengo.Probe(output, synapse=0.01)
    return net


MODELS = {
    "autoencoder": Model(
        "dense autoencoder 784-64-784", autoencoder, autoencoder_by_hand
    ),
    "convolutional": Model(
        "28×28, two convolutions", convolutional, convolutional_by_hand
    ),
    "layers": Model("28×28, two layers of Keras", layers_in_network, layers_by_hand),
    "recurrent": Model(  # small, as rates are in hertz
        "recurrent spiking, 100 steps",
        recurrent,
        minibatch=32,
        n_steps=100,
        learning_rate=1e-7,
    ),
    "chain": Model("chain of 60 unlike ensembles", chain, minibatch=32, n_steps=10),
}
