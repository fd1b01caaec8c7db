"""
Random Nengo networks of all object types, for comparing simulators.

In: choices drawn by Hypothesis. Out: networks that `nengo.Simulator` can run. Left out
are cycles without a synapse (which no simulator can run). Neuron types that draw random
numbers while they run are no use for comparing what depends on them; `random_objects`
says what does.
"""

from __future__ import annotations

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


@st.composite
def nodes(draw, size):
    """Create a Node with ``size`` outputs."""
    kinds = ["constant", "time", "process", "filter", "relay", "function"]
    kind = draw(st.sampled_from(kinds))
    if kind == "constant":
        return nengo.Node(np.linspace(-0.7, 0.9, size))
    if kind == "time":
        return nengo.Node(lambda t: np.sin(50 * t + np.arange(size)))
    if kind == "process":
        return nengo.Node(draw(processes(size)), size_out=size)
    if kind == "filter":
        synapse = draw(SYNAPSES.filter(lambda synapse: synapse is not None))
        return nengo.Node(synapse, size_in=size, size_out=size)
    if kind == "relay":
        return nengo.Node(size_in=size)
    return nengo.Node(lambda t, x: np.cos(x) * t, size_in=size, size_out=size)


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


@st.composite
def ends(draw, obj):
    """Draw an object, its neurons, or a slice of either."""
    if isinstance(obj, nengo.Ensemble) and draw(st.booleans()):
        if not isinstance(obj.neuron_type, nengo.Direct):
            obj = obj.neurons
    size = obj.size_out
    kind = draw(st.sampled_from(["whole", "whole", "slice", "reversed", "list"]))
    if kind == "slice" and size > 1:
        return obj[draw(st.integers(0, size - 1)) :]
    if kind == "reversed":
        return obj[::-1]
    if kind == "list":
        first = draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=3))
        return obj[list(dict.fromkeys(i % size for i in first))]
    return obj


def _base(end):
    return end.obj if isinstance(end, nengo.base.ObjView) else end


@st.composite
def transforms(draw, n_out, n_in, is_decoded):
    """Draw a transform from ``n_in`` to ``n_out`` values."""
    rng = np.random.RandomState(draw(SEEDS))
    kinds = ["dense", "distribution"]
    kinds += ["none", "scalar", "vector"] if n_in == n_out else []
    if not is_decoded:  # Nengo allows these for other connections only
        kinds += ["sparse", *_convolutions(n_out, n_in)]
    kind = draw(st.sampled_from(kinds))
    matrix = rng.uniform(-1, 1, size=(n_out, n_in))
    if kind == "dense":
        return matrix
    if kind == "distribution":
        return nengo.dists.Uniform(-0.5, 0.5)
    if kind == "sparse":
        indices = np.argwhere(rng.rand(n_out, n_in) < 0.5)
        indices = indices if len(indices) else np.array([[0, 0]])
        return nengo.Sparse((n_out, n_in), indices, init=matrix[tuple(indices.T)])
    if kind == "scalar":
        return 0.7
    if kind == "vector":
        return np.linspace(-1, 1, n_in)
    if kind == "none":
        return None
    return _convolutions(n_out, n_in)[kind](rng)


def _convolutions(n_out, n_in):
    """Return functions that make convolutions with these sizes, by kind."""
    kinds = {}
    if n_in == n_out:
        kinds["convolution"] = lambda rng: nengo.Convolution(
            1,
            (n_in, 1),
            kernel_size=(2,),
            strides=(1,),
            padding="same",
            init=rng.randn(2, 1, 1),
        )
    if n_in == n_out and n_in % 2 == 0:
        kinds["grouped"] = lambda rng: nengo.Convolution(
            2,
            (2, n_in // 2),
            kernel_size=(3,),
            strides=(1,),
            padding="same",
            channels_last=False,
            groups=2,
            init=rng.randn(3, 1, 2),
        )
    if n_out == 2 * n_in:
        kinds["transposed"] = lambda rng: nengo.ConvolutionTranspose(
            1,
            (n_in, 1),
            kernel_size=(2,),
            strides=(2,),
            init=rng.randn(2, 1, 1),
        )
    return kinds


LEARNING_RULES = {
    "PES": nengo.PES(1e-3),
    "RLS": nengo.RLS(1e-3),
    "BCM": nengo.BCM(1e-8),
    "Oja": nengo.Oja(1e-6),
    "Voja": nengo.Voja(1e-2, post_synapse=0.005),
}


@st.composite
def connections(draw, objects):
    """Create a Connection between two of the objects, perhaps a learning one."""
    i = draw(st.integers(0, len(objects) - 1))
    receivers = [j for j, obj in enumerate(objects) if obj.size_in > 0]
    if not receivers:
        return None
    j = draw(st.sampled_from(receivers))
    pre, post = draw(ends(objects[i])), draw(ends(objects[j]))
    synapse = draw(SYNAPSES)
    if synapse is None and i >= j:
        synapse = nengo.Lowpass(0.002)
    args = {"synapse": synapse}
    n_in = pre.size_out
    base = _base(pre)
    is_decoded = isinstance(base, nengo.Ensemble)
    if is_decoded and isinstance(_base(post), nengo.Ensemble) and draw(st.booleans()):
        if not _is_direct(base) and not _is_direct(_base(post)):
            args["solver"] = nengo.solvers.LstsqL2(weights=draw(st.booleans()))
    if is_decoded and draw(st.booleans()):
        n_in = draw(st.integers(1, 2))
        args["function"] = [lambda x: x[0] ** 2, lambda x: [x[0], x[0] - 1]][n_in - 1]
    args["transform"] = draw(transforms(post.size_in, n_in, is_decoded))
    connection = nengo.Connection(pre, post, **args)
    if draw(st.booleans()):
        _teach(draw, connection, objects)
    return connection


def _teach(draw, conn, objects):
    """Add a learning rule, where Nengo allows that."""
    is_dense = isinstance(conn.transform, nengo.Dense)
    if not is_dense and not isinstance(conn.transform, nengo.transforms.NoTransform):
        return
    if is_dense and len(conn.transform.init_shape) < 2:
        return
    has_weights = is_dense or isinstance(conn.pre_obj, nengo.Ensemble)
    pre_is_spiking = isinstance(conn.pre_obj, (nengo.Ensemble, nengo.ensemble.Neurons))
    if not (has_weights and pre_is_spiking) or _is_direct(conn.pre_obj):
        return
    names = ["PES", "RLS"]
    neurons = nengo.ensemble.Neurons
    if is_dense and isinstance(conn.pre, neurons) and isinstance(conn.post, neurons):
        names += ["BCM", "Oja"]
    if isinstance(conn.pre, nengo.Ensemble) and isinstance(conn.post, nengo.Ensemble):
        if not _is_direct(conn.post) and not conn.solver.weights:
            names += ["Voja", "Voja"]
    name = draw(st.sampled_from(names))
    conn.learning_rule_type = LEARNING_RULES[name]
    if name in ("PES", "RLS"):
        source = draw(st.sampled_from(objects))
        nengo.Connection(
            source,
            conn.learning_rule,
            transform=np.full((conn.learning_rule.size_in, source.size_out), 0.1),
        )


def _is_direct(obj):
    ens = obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj
    return isinstance(ens, nengo.Ensemble) and isinstance(ens.neuron_type, nengo.Direct)


@st.composite
def probes(draw, targets):
    """Create a Probe of something that can be probed."""
    obj = draw(st.sampled_from(targets))
    options = {
        "synapse": draw(SYNAPSES),
        "sample_every": draw(st.sampled_from([None, None, 0.002, 0.0035])),
    }
    if isinstance(obj, nengo.Ensemble) and not _is_direct(obj) and draw(st.booleans()):
        obj = obj.neurons
    attributes = list(obj.probeable)
    if isinstance(obj, nengo.Connection) and obj.transform is not None:
        # a sparse or convolutional transform has no dense matrix to filter
        if not isinstance(obj.transform, nengo.Dense):
            attributes = [a for a in attributes if a != "weights"]
    if isinstance(obj, nengo.Ensemble) and _is_direct(obj):
        attributes = ["decoded_output", "input"]
    return nengo.Probe(obj, draw(st.sampled_from(attributes)), **options)


@st.composite
def networks(draw):
    """Create a network with some of everything, some of it in a subnetwork."""
    with nengo.Network(seed=draw(SEEDS)) as net:
        objects = [draw(nodes(draw(st.integers(1, 3))))]
        with nengo.Network() if draw(st.booleans()) else net:
            for _ in range(draw(st.integers(1, 3))):
                objects.append(draw(ensembles(draw(st.integers(1, 3)))))
        for _ in range(draw(st.integers(0, 2))):
            objects.append(draw(nodes(draw(st.integers(1, 3)))))
        links = [draw(connections(objects)) for _ in range(draw(st.integers(1, 5)))]
        links = [link for link in links if link is not None]
        rules = [link.learning_rule for link in links if link.learning_rule is not None]
        for obj in objects:
            nengo.Probe(obj, synapse=None)
        for _ in range(draw(st.integers(0, 4))):
            draw(probes([*objects, *links, *rules]))
    return net


# -- what depends on random numbers ----------------------------------------------------

RANDOM_SPIKING = (nengo.StochasticSpiking, nengo.PoissonSpiking)


def random_objects(net) -> set:
    """Return the objects whose values depend on numbers drawn while a network runs."""
    found = {e for e in net.all_ensembles if isinstance(e.neuron_type, RANDOM_SPIKING)}
    grown = True
    while grown:
        before = len(found)
        for conn in net.all_connections:
            ends = {owner(conn.pre), owner(conn.post)}
            if owner(conn.pre) in found or (
                conn.learning_rule is not None and ends & found
            ):
                found.add(conn)
            if conn in found:
                found.add(owner(conn.post))
        grown = len(found) > before
    return found


def owner(end):
    """Return the Node, Ensemble or Connection that the end of one belongs to."""
    obj = _base(end)
    if isinstance(obj, nengo.ensemble.Neurons):
        return obj.ensemble
    if isinstance(obj, nengo.connection.LearningRule):
        return obj.connection
    return obj
