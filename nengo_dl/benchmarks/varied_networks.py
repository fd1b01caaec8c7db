"""
Networks of many different parts: models of ``nengo.spa``, and mixed types of neurons.

In: sizes. Out: `nengo.Network` objects as in `networks`; like that file, this one
imports nothing of NengoDL.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import nengo
import numpy as np


def make_spa(label: str) -> nengo.Network:
    """Return an empty model of ``nengo.spa``, without the warning that it is old."""
    from nengo import spa

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The nengo.spa module is deprecated")
        return spa.SPA(label=label, seed=0)


def spa_model(dimensions: int = 64, n_bindings: int = 2) -> nengo.Network:
    """Build a model of ``nengo.spa``: a vector is bound to another one repeatedly."""
    from nengo import spa

    modules = ["a", *(f"bind{i}" for i in range(n_bindings))]
    net = make_spa("spa")
    with net:
        net.a, net.b = spa.State(dimensions), spa.State(dimensions)
        effects = []
        for pre, post in zip(modules[:-1], modules[1:]):
            setattr(net, post, spa.Bind(dimensions))
            effects += [f"{post}_A = {pre}", f"{post}_B = b"]
        net.cortical = spa.Cortical(spa.Actions(*effects))
        net.inp = nengo.Node(np.full(dimensions, dimensions**-0.5))
        nengo.Connection(net.inp, net.a.input)
        nengo.Connection(net.inp, net.b.input)
        net.p = nengo.Probe(getattr(net, modules[-1]).output, synapse=0.01)
    return net


def question(dimensions: int = 16) -> nengo.Network:
    """
    Build a memory that answers questions, such as which color the circle had.

    Pairs are shown, bound, and kept; what is asked for is unbound from the memory, and
    the basal ganglia choose what is done in answer.
    """
    from nengo import spa

    def in_turns(words: Sequence[str]) -> Callable[[float], str]:
        return lambda t: words[int(t / 0.1) % len(words)]

    shown = {"RED": "A", "BLUE": "B", "CIRCLE": "C", "SQUARE": "D"}
    net = make_spa("question")
    with net:
        for name in ("color", "shape", "cue", "out", "motor"):
            setattr(net, name, spa.State(dimensions))
        net.memory = spa.State(dimensions, feedback=0.9)
        bind = ("memory = color * shape", "out = memory * ~cue")
        net.cortical = spa.Cortical(spa.Actions(*bind))
        acts = [f"dot(out, {word}) --> motor = {act}" for word, act in shown.items()]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="SciPy is not installed")
            net.ganglia = spa.BasalGanglia(spa.Actions(*acts, "0.3 --> "))
        net.thalamus = spa.Thalamus(net.ganglia)
        net.inputs = spa.Input(
            color=in_turns(["RED", "BLUE", "0"]),
            shape=in_turns(["CIRCLE", "SQUARE", "0"]),
            cue=in_turns(["0", "0", "CIRCLE", "RED", "SQUARE"]),
        )
        net.inp = net.inputs.input_nodes["color"]
        net.p = nengo.Probe(net.motor.output, synapse=0.01)
    return net


def spiking_images(
    pixels: int = 28, filters: Sequence[int] = (16, 32, 32)
) -> nengo.Network:
    """Build a convolutional network of two types of spiking neurons."""
    # a type of neurons, and the gain with which they fire at some 100 Hz
    kinds = ((nengo.SpikingRectifiedLinear, 100), (nengo.LIF, 5))
    images = np.random.RandomState(0).rand(4, pixels**2)
    with nengo.Network(label="spiking_images", seed=0) as net:
        net.config[nengo.Ensemble].bias = nengo.dists.Choice([1])
        pre = net.inp = nengo.Node(nengo.processes.PresentInput(images, 0.02))
        shape, synapse = (pixels, pixels, 1), None
        for i, n_filters in enumerate(filters):
            strides = (1, 1) if i == 0 else (2, 2)
            convolution = nengo.Convolution(n_filters, shape, strides=strides)
            shape = convolution.output_shape
            neurons, gain = kinds[i % 2]
            layer = nengo.Ensemble(
                shape.size,
                1,
                neuron_type=neurons(amplitude=0.01),
                gain=nengo.dists.Choice([gain]),
            )
            nengo.Connection(pre, layer.neurons, transform=convolution, synapse=synapse)
            pre, synapse = layer.neurons, 0.005
        out = nengo.Node(size_in=10)
        weights = nengo.Dense((10, pre.size_out), init=nengo.dists.Gaussian(0, 0.05))
        nengo.Connection(pre, out, transform=weights, synapse=synapse)
        net.p = nengo.Probe(out, synapse=0.02)
    return net


def mixed(n_neurons: int = 200, dimensions: int = 4) -> nengo.Network:
    """Build seven recurrent layers in a loop, each of another type of neurons."""
    types = (
        nengo.LIF,
        nengo.RectifiedLinear,
        nengo.SpikingRectifiedLinear,
        nengo.Sigmoid,
        nengo.AdaptiveLIF,
        nengo.LIFRate,
        nengo.Tanh,
    )
    frequencies = 2 * np.pi * np.arange(1, dimensions + 1)
    with nengo.Network(label="mixed", seed=0) as net:
        net.inp = nengo.Node(lambda t: np.sin(frequencies * t))
        layers = [nengo.Ensemble(n_neurons, dimensions, neuron_type=t()) for t in types]
        for pre, post in zip([net.inp, *layers], layers):
            nengo.Connection(pre, post, synapse=0.005)
            nengo.Connection(post, post, transform=0.3, synapse=0.1)
        nengo.Connection(layers[-1], layers[0], transform=0.2, synapse=0.02)
        nengo.Connection(
            layers[2], layers[5], function=np.square, synapse=nengo.Alpha(0.02)
        )
        weights = np.random.RandomState(1).randn(n_neurons, n_neurons)
        nengo.Connection(layers[0].neurons, layers[3].neurons, transform=1e-4 * weights)
        net.p = nengo.Probe(layers[-1], synapse=0.01)
    return net
