"""
Random Nodes and ensembles, for random networks.

In: choices drawn by Hypothesis, within a network. Out: Nodes, ensembles, and what they
are made of. All functions can be pickled.
"""

from __future__ import annotations

from dataclasses import dataclass

import nengo
import numpy as np
from hypothesis import strategies as st
from nengo.processes import (
    BrownNoise,
    FilteredNoise,
    Piecewise,
    PresentInput,
    WhiteNoise,
    WhiteSignal,
)

import nengo_dl

SEEDS = st.integers(0, 1000)

NEURON_TYPES = st.sampled_from(
    [
        nengo.LIF(),
        nengo.LIF(tau_rc=0.03, tau_ref=0.004, min_voltage=-0.5, amplitude=0.5),
        nengo.LIFRate(),
        nengo.LIFRate(amplitude=0.01),
        nengo.AdaptiveLIF(),
        nengo.AdaptiveLIFRate(tau_n=0.1, inc_n=0.02),
        nengo.Izhikevich(),
        nengo.RectifiedLinear(amplitude=0.3),
        nengo.SpikingRectifiedLinear(),
        nengo.Sigmoid(),
        nengo.Tanh(),
        nengo.Direct(),
        nengo.RegularSpiking(nengo.LIFRate()),
        nengo.RegularSpiking(nengo.Tanh()),
        nengo.StochasticSpiking(nengo.LIFRate()),
        nengo.PoissonSpiking(nengo.Tanh()),
        nengo_dl.SoftLIFRate(sigma=0.3),
        nengo_dl.LeakyReLU(negative_slope=0.2),
        nengo_dl.SpikingLeakyReLU(negative_slope=0.2),
        nengo_dl.IntegrateAndFire(),
    ]
)

SYNAPSES = st.sampled_from(
    [
        None,
        nengo.Lowpass(0.005),
        nengo.Lowpass(0.0),
        nengo.Alpha(0.003),
        nengo.Triangle(0.004),
        nengo.LinearFilter([1, 0.2], [0.01, 0.2, 1]),
        nengo.LinearFilter([2.0], [1.0]),
        nengo.LinearFilter([0.3, 0.1], [1.0, -0.5], analog=False),
    ]
)


@st.composite
def processes(draw, size):
    """Draw a process without input."""
    seed = draw(st.one_of(st.none(), SEEDS))
    synapse = nengo.Lowpass(0.01)
    choices = [
        WhiteNoise(seed=seed),
        WhiteNoise(nengo.dists.Uniform(-1, 1), scale=False, seed=seed),
        FilteredNoise(synapse, seed=seed),
        BrownNoise(seed=seed),
        WhiteSignal(0.5, high=20, seed=seed),
        PresentInput(np.linspace(-1, 1, 3 * size).reshape(3, size), 0.004),
        Piecewise({0.003: [0.5] * size, 0.008: [-0.5] * size}),
    ]
    return draw(st.sampled_from(choices))


@dataclass(frozen=True)
class Waves:
    """Sine waves, each with another phase."""

    size: int

    def __call__(self, t):
        return np.sin(50 * t + np.arange(self.size))


def times_cosine(t, x):
    """Return a product of the time and what comes in."""
    return np.cos(x) * t


@st.composite
def nodes(draw, size):
    """Create a Node with ``size`` outputs."""
    kinds = ["constant", "time", "time", "process", "filter", "relay", "function"]
    kind = draw(st.sampled_from(kinds))
    if kind == "constant":
        return nengo.Node(np.linspace(-0.7, 0.9, size))
    if kind == "time":
        return nengo.Node(Waves(size))
    if kind == "process":
        return nengo.Node(draw(processes(size)), size_out=size)
    if kind == "filter":
        synapse = draw(SYNAPSES.filter(lambda synapse: synapse is not None))
        return nengo.Node(synapse, size_in=size, size_out=size)
    if kind == "relay":
        return nengo.Node(size_in=size)
    return nengo.Node(times_cosine, size_in=size, size_out=size)


@st.composite
def ensembles(draw, size):
    """Create an Ensemble that represents ``size`` dimensions."""
    n_neurons = draw(st.integers(2, 12))
    neuron_type = draw(NEURON_TYPES)
    args = {}
    if not isinstance(neuron_type, nengo.Direct):
        if draw(st.booleans()):
            args["noise"] = draw(processes(n_neurons).filter(_is_noise))
        if isinstance(neuron_type, nengo.LIF) and draw(st.booleans()):
            args["max_rates"] = nengo.dists.Uniform(20, 100)
        else:
            args["gain"] = nengo.dists.Uniform(0.5, 2)
            args["bias"] = nengo.dists.Uniform(-1, 2)
    return nengo.Ensemble(
        n_neurons,
        size,
        neuron_type=neuron_type,
        radius=draw(st.sampled_from([1.0, 0.5, 2.0])),
        **args,
    )


def _is_noise(process):
    return isinstance(process, (WhiteNoise, FilteredNoise))
