"""
The table of the oracle in ``test_reference``: `ROWS`, and `OPERATORS`.

Each row makes a few objects of which the input is ``stim``, and probes them. Whoever
registers a builder adds a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nengo
import numpy as np
import tensorflow as tf
from nengo.builder import Signal
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Reset,
    SimPyFunc,
    SparseDotInc,
    TimeUpdate,
)
from nengo.builder.probe import SimProbe
from nengo.builder.processes import SimProcess
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.dists import Choice, Uniform
from nengo.synapses import LinearFilter, Triangle
from numpy_operators import (
    SimDelay,
    SimFunctionRule,
    SimLeastSquares,
    SimManyChannels,
    other_packages,
)

import nengo_dl
from nengo_dl.graph.joining import JoinColumns
from nengo_dl.graph.operators import (
    ConvSet,
    ConvTransposeSet,
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SimPESFactors,
    SparseDotSet,
)
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet
from nengo_dl.tensor_node import SimTensorNode

N_STEPS = 150
SIZE = 4  # of the input


@dataclass(frozen=True)
class Row:
    """
    What is compared.

    Parameters
    ----------
    name : str
        Name of the row.
    operators : tuple of type
        Operators that the row is there for; the simulated plan must contain them.
    make : callable
        Makes objects, among them probes, given a node of `SIZE` dimensions.
    reference : callable, optional
        Makes the same objects, with the same probes, in a way that Nengo can simulate.
    covers : tuple of type
        Types of neurons or synapses that the row is there for.
    pure : bool
        False if a step calls Python.
    n_steps : int
        How many steps are compared.
    tol : float
        Tolerance, relative and absolute.
    """

    name: str
    operators: tuple[type, ...]
    make: Callable[[nengo.Node], None]
    reference: Callable[[nengo.Node], None] | None = None
    covers: tuple[type, ...] = ()
    pure: bool = True
    n_steps: int = N_STEPS
    tol: float = 1e-10


# -- basic operators ------------------------------------------------------------------


def two_inputs(transform, other):
    """Products that are merged, and added up."""

    def make(stim):
        target = nengo.Node(size_in=SIZE)
        nengo.Connection(stim, target, synapse=None, transform=transform)
        nengo.Connection(stim, target, synapse=None, transform=other)
        nengo.Probe(target)

    return make


def dense(seed):
    return np.random.RandomState(seed).uniform(-1, 1, size=(SIZE, SIZE))


def sparse(seed):
    indices = [(0, 1), (1, 1), (1, 3), (3, 0)]
    init = np.random.RandomState(seed).uniform(1, 2, size=len(indices))
    return nengo.Sparse((SIZE, SIZE), indices=indices, init=init)


def columns(stim):
    """Two matrices of two rows side by side, of two columns and of one."""
    wide = nengo.Node(size_in=SIZE)
    narrow = nengo.Node(size_in=2)
    nengo.Connection(stim, wide, transform=2, synapse=None)
    nengo.Connection(stim[:2], narrow, transform=-1, synapse=None)
    joined = nengo.Node(size_in=6)
    nengo.Connection(wide, joined[[0, 1, 3, 4]], synapse=None)
    nengo.Connection(narrow, joined[[2, 5]], synapse=None)
    out = nengo.Node(size_in=6)
    nengo.Connection(joined, out, transform=np.arange(36).reshape(6, 6), synapse=None)
    nengo.Probe(out)


def slices(stim):
    target = nengo.Node(size_in=SIZE)
    nengo.Connection(stim[::-2], target[1:3], synapse=None)
    nengo.Connection(stim[[2, 0, 2]], target[[3, 0, 1]], synapse=None)
    nengo.Probe(target)


def node_function(stim):
    node = nengo.Node(lambda t, x: np.cos(x) + t, size_in=SIZE)
    nengo.Connection(stim, node, synapse=None)
    target = nengo.Ensemble(10, 2, neuron_type=nengo.Direct())
    nengo.Connection(node[:2], target, function=np.square)
    nengo.Probe(target)


def tensor_node(stim):
    node = nengo_dl.TensorNode(lambda t, x: tf.sin(x) + t, shape_in=(SIZE,))
    nengo.Connection(stim, node, synapse=None)
    nengo.Probe(node)


def tensor_node_in_numpy(stim):
    node = nengo.Node(lambda t, x: np.sin(x) + t, size_in=SIZE)
    nengo.Connection(stim, node, synapse=None)
    nengo.Probe(node)


# -- learning rules -------------------------------------------------------------------


def learning_rule(rule, weights=False, error=False, delta=True):
    """A connection that learns, and the probes of all that has to do with it."""

    def make(stim):
        a, b = (
            nengo.Ensemble(n, 2, neuron_type=nengo.LIFRate(), seed=n) for n in (7, 5)
        )
        nengo.Connection(stim[:2], a, synapse=None)
        conn = nengo.Connection(
            a,
            b,
            solver=nengo.solvers.LstsqL2(weights=weights),
            learning_rule_type=rule,
            seed=1,
        )
        if error:
            nengo.Connection(stim[2:], conn.learning_rule, synapse=None)
        if delta:
            nengo.Probe(conn.learning_rule, "delta", sample_every=0.003)
        nengo.Probe(conn, "weights", sample_every=0.003)
        nengo.Probe(b.neurons)

    return make


# -- convolutions ---------------------------------------------------------------------


def convolution(cls):
    return cls(2, (2, 2, 1), kernel_size=(2, 2), padding="same")


def convolutions(cls):
    """Convolutions that are merged."""

    def make(stim):
        conv = convolution(cls)
        target = nengo.Node(size_in=conv.size_out)
        for seed in range(2):
            nengo.Connection(stim, target, transform=conv, synapse=None, seed=seed)
        nengo.Probe(target)

    return make


def scaled_convolution(stim):
    """An image that is one number times weights."""
    conv = convolution(nengo.Convolution)
    image = nengo.Node(size_in=SIZE)
    nengo.Connection(stim[1], image, transform=np.ones((SIZE, 1)), synapse=None)
    target = nengo.Node(size_in=conv.size_out)
    nengo.Connection(image, target, transform=conv, synapse=None, seed=0)
    nengo.Probe(target)


# -- neurons --------------------------------------------------------------------------


def neurons(*neuron_types):
    """Ensembles that are merged, as their neurons differ in parameters only."""

    def make(stim):
        for seed, neuron_type in enumerate(neuron_types):
            ens = nengo.Ensemble(
                11,
                1,
                neuron_type=neuron_type,
                gain=Uniform(5, 20),
                bias=Uniform(-2, 3),
                seed=seed,
            )
            nengo.Connection(stim[0], ens, synapse=None)
            nengo.Probe(ens.neurons)

    return make


def neuron_row(name, x, y, **kwargs):
    return Row(name, (SimNeurons,), neurons(x, y), covers=(type(x),), **kwargs)


class SquareRoot(nengo.RectifiedLinear):
    """A neuron type that only NumPy can run."""

    def step(self, dt, J, output):
        output[...] = np.sqrt(np.maximum(J, 0))


#: Pairs of merged neurons that put out activation functions; they are compared with
#: Nengo in ``neuron_builders/test_activations``, in fewer settings than the rows.
ACTIVATIONS = [
    (nengo_dl.neurons.CELU(), nengo_dl.neurons.CELU(0.3, amplitude=2)),
    (nengo_dl.neurons.ELU(), nengo_dl.neurons.ELU(0.3, amplitude=2)),
    (nengo_dl.neurons.Exponential(), nengo_dl.neurons.Exponential(0.5)),
    (nengo_dl.neurons.GELU(), nengo_dl.neurons.GELU(approximate=True)),
    (nengo_dl.neurons.HardShrink(), nengo_dl.neurons.HardShrink(2.2)),
    (nengo_dl.neurons.HardSigmoid(), nengo_dl.neurons.HardSigmoid(0.5)),
    (nengo_dl.neurons.HardSiLU(), nengo_dl.neurons.HardSiLU(0.5)),
    (nengo_dl.neurons.HardTanh(), nengo_dl.neurons.HardTanh(0.5)),
    (nengo_dl.neurons.LogSigmoid(), nengo_dl.neurons.LogSigmoid(0.5)),
    (nengo_dl.neurons.Mish(), nengo_dl.neurons.Mish(0.5)),
    (nengo_dl.neurons.ReLU(), nengo_dl.neurons.ReLU(6, 0.1, 2)),
    (nengo_dl.neurons.SELU(), nengo_dl.neurons.SELU(0.5)),
    (nengo_dl.neurons.SiLU(), nengo_dl.neurons.SiLU(0.5)),
    (nengo_dl.neurons.SoftShrink(), nengo_dl.neurons.SoftShrink(2.2)),
    (nengo_dl.neurons.Softplus(), nengo_dl.neurons.Softplus(0.5)),
    (nengo_dl.neurons.Softsign(), nengo_dl.neurons.Softsign(0.5)),
    (nengo_dl.neurons.SparsePlus(), nengo_dl.neurons.SparsePlus(0.5)),
    (nengo_dl.neurons.SparseSigmoid(), nengo_dl.neurons.SparseSigmoid(0.5)),
    (nengo_dl.neurons.Squareplus(), nengo_dl.neurons.Squareplus(0.1)),
    (nengo_dl.neurons.TanhShrink(), nengo_dl.neurons.TanhShrink(0.5)),
    (nengo_dl.neurons.Threshold(1.2, -1), nengo_dl.neurons.Threshold(-2.2, 0.5)),
]

#: Nengo draws other random numbers; see ``test_random_spiking`` for the statistics.
RANDOM_SPIKING = {nengo.StochasticSpiking, nengo.PoissonSpiking}


# -- synapses -------------------------------------------------------------------------

OMEGA = 200.0
BUTTERWORTH = [1, 2.6131 * OMEGA, 3.4142 * OMEGA**2, 2.6131 * OMEGA**3, OMEGA**4]


def synapses(*pair):
    """Filters that are merged."""

    def make(stim):
        for synapse in pair:
            nengo.Probe(stim, synapse=synapse)

    return make


def synapse_row(name, x, y):
    return Row(name, (SimProcess,), synapses(x, y), covers=(type(x),))


class Differentiator(nengo.Process):
    """A process that only NumPy can run."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"last": np.zeros(shape_in)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        def step(t, x, last=state["last"]):
            difference = x - last
            last[...] = x
            return difference

        return step


def python_process(stim):
    node = nengo.Node(Differentiator(default_size_in=SIZE, default_size_out=SIZE))
    nengo.Connection(stim, node, synapse=None)
    nengo.Probe(node)


# -- the table ------------------------------------------------------------------------

ROWS = [
    Row("scalars", (ElementwiseSet,), two_inputs(2, -0.5)),
    Row("vectors", (ElementwiseSet,), two_inputs([1, 2, 3, 4], 0.5)),
    Row("matrices", (DotSet, DotInc), two_inputs(dense(0), dense(1))),
    Row("sparse", (SparseDotSet,), two_inputs(sparse(0), sparse(1))),
    Row("copies", (Feed, Copy, TimeUpdate, SimProbe), two_inputs(1, 1)),
    Row("slices", (Copy, Reset), slices),
    Row("columns", (JoinColumns,), columns),
    Row("function", (SimPyFunc,), node_function, pure=False),
    Row("TensorNode", (SimTensorNode,), tensor_node, reference=tensor_node_in_numpy),
    Row("PES", (SimPES,), learning_rule(nengo.PES(1e-3), error=True)),
    Row("PES, weights", (SimPES,), learning_rule(nengo.PES(1e-3), True, error=True)),
    Row(
        "PES, factors",
        (SimPESFactors, ElementwiseInc),
        learning_rule(nengo.PES(1e-3), error=True, delta=False),
    ),
    Row("RLS", (SimRLS,), learning_rule(nengo.RLS(1e-3), error=True)),
    Row("BCM", (SimBCM,), learning_rule(nengo.BCM(1e-9), weights=True)),
    Row("Oja", (SimOja,), learning_rule(nengo.Oja(1e-6), weights=True)),
    Row("Voja", (SimVoja,), learning_rule(nengo.Voja(learning_rate=0.1))),
    Row("convolution", (ConvSet,), convolutions(nengo.Convolution)),
    Row(
        "transposed convolution",
        (ConvTransposeSet,),
        convolutions(nengo.ConvolutionTranspose),
    ),
    Row("scaled convolution", (ScaledConvSet,), scaled_convolution),
    neuron_row("ReLU", nengo.RectifiedLinear(), nengo.RectifiedLinear(amplitude=0.5)),
    neuron_row(
        "spiking ReLU",
        nengo.SpikingRectifiedLinear(),
        nengo.SpikingRectifiedLinear(amplitude=0.5),
    ),
    neuron_row("sigmoid", nengo.Sigmoid(), nengo.Sigmoid(tau_ref=0.01)),
    neuron_row("tanh", nengo.Tanh(), nengo.Tanh(tau_ref=0.01)),
    neuron_row("LIF rate", nengo.LIFRate(), nengo.LIFRate(0.05, 0.001, amplitude=0.1)),
    neuron_row(
        "LIF", nengo.LIF(), nengo.LIF(0.05, 0.005, min_voltage=-np.inf, amplitude=0.1)
    ),
    neuron_row(
        "LIF, long steps",
        nengo.LIF(tau_ref=0),
        nengo.LIF(tau_rc=0.004, min_voltage=-1),
    ),
    neuron_row(
        "LIF from above the threshold",
        nengo.LIF(initial_state={"voltage": Choice([1.02])}),
        nengo.LIF(initial_state={"refractory_time": Choice([0.0035])}),
    ),
    neuron_row(
        "adaptive LIF rate",
        nengo.AdaptiveLIFRate(),
        nengo.AdaptiveLIFRate(tau_n=0.1, inc_n=0.02),
    ),
    neuron_row(
        "adaptive LIF",
        nengo.AdaptiveLIF(),
        nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.02, amplitude=0.5),
    ),
    # errors grow in these equations, whoever computes them
    neuron_row(
        "Izhikevich",
        nengo.Izhikevich(),
        nengo.Izhikevich(0.1, 0.26, -50, 2),
        n_steps=50,
        tol=1e-7,
    ),
    neuron_row(
        "soft LIF",
        nengo_dl.SoftLIFRate(),
        nengo_dl.SoftLIFRate(sigma=0.02, amplitude=0.1),
    ),
    neuron_row(
        "leaky ReLU",
        nengo_dl.LeakyReLU(),
        nengo_dl.LeakyReLU(negative_slope=0.1, amplitude=0.5),
    ),
    neuron_row(
        "spiking leaky ReLU",
        nengo_dl.SpikingLeakyReLU(),
        nengo_dl.SpikingLeakyReLU(0.1, amplitude=0.5),
    ),
    neuron_row(
        "integrate and fire",
        nengo_dl.IntegrateAndFire(),
        nengo_dl.IntegrateAndFire(1, retract=False, min_voltage=-0.1, amplitude=0.5),
    ),
    neuron_row(
        "regular spiking",
        nengo.RegularSpiking(nengo.Tanh()),
        nengo.RegularSpiking(nengo.LIFRate(), amplitude=0.5),
    ),
    Row("NumPy neurons", (SimNeurons,), neurons(SquareRoot()), pure=False),
    synapse_row("lowpass", nengo.Lowpass(0.005), nengo.Lowpass(0.1)),
    synapse_row("immediate lowpass", nengo.Lowpass(0), nengo.Lowpass(2e-5)),
    synapse_row(
        "other lowpass",
        nengo.Lowpass(0.005, method="euler"),
        nengo.Lowpass(0.01, method="bilinear"),
    ),
    synapse_row("alpha", nengo.Alpha(0.005), nengo.Alpha(0.1)),
    synapse_row("triangle", Triangle(0.008), Triangle(0.008, seed=1)),
    synapse_row("short triangle", Triangle(0), Triangle(0.0004)),
    synapse_row("no state", LinearFilter([3], [2]), LinearFilter([0.5], [1])),
    synapse_row("one state", LinearFilter([1], [0.02, 1]), LinearFilter([2], [0.1, 3])),
    synapse_row(
        "two states",
        LinearFilter([1], [1, 0.04, 1]),
        LinearFilter([2], [1, 0.4, 1]),
    ),
    synapse_row(
        "many states",
        LinearFilter([OMEGA**4], BUTTERWORTH),
        LinearFilter([1e9], BUTTERWORTH),
    ),
    synapse_row(
        "digital",
        LinearFilter([0.5, 0.1], [1, -0.9], analog=False),
        LinearFilter([0.5, -0.45], [1, -0.9], analog=False),
    ),
    synapse_row(
        "passthrough",
        LinearFilter([0.2, 0.1, 0.3], [1, -0.9, 0.2], analog=False),
        LinearFilter([1, 0.04, 1], [1, 0.4, 2]),
    ),
    Row("NumPy process", (SimProcess,), python_process, pure=False),
    Row(
        "NumPy operators",
        (SimManyChannels, SimLeastSquares, SimFunctionRule, SimDelay),
        other_packages,
        pure=False,
    ),
]


def pair(op_type, A, size_out=SIZE, **kwargs):
    """Operators that are merged."""

    def make():
        ops = []
        for _ in range(2):
            signals = [Signal(A), Signal(shape=(SIZE,)), Signal(shape=(size_out,))]
            signals[0].minibatched = False
            ops.append(op_type(*signals, **kwargs))
            ops[-1].reads[1] = ops[0].reads[1]
        return ops

    return make


CONV, TRANSPOSED = map(convolution, (nengo.Convolution, nengo.ConvolutionTranspose))
KERNEL = np.random.RandomState(0).uniform(-1, 1, size=CONV.kernel_shape)


def scaled_convolutions():
    signals = [Signal(KERNEL), Signal(np.ones(SIZE)), Signal(shape=(1,))]
    signals[0].minibatched = signals[1].minibatched = False
    return [ScaledConvInc(*signals, Signal(shape=(CONV.size_out,)), CONV)]


#: What simplification replaces in any network, against the operators' own steps.
OPERATORS = {
    Reset: lambda: [Reset(Signal(shape=(n,)), n) for n in (2, 3)],
    ResetInc: lambda: [ResetInc(Signal(shape=(n,)), n) for n in (2, 3)],
    ElementwiseInc: pair(ElementwiseInc, np.array(0.5)),
    SparseDotInc: pair(SparseDotInc, sparse(0).sample()),
    ConvInc: pair(ConvInc, KERNEL, CONV.size_out, conv=CONV),
    ScaledConvInc: scaled_convolutions,
    ConvTransposeInc: pair(
        ConvTransposeInc, KERNEL, TRANSPOSED.size_out, conv=TRANSPOSED
    ),
}
