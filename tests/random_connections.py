"""
Random connections between given objects, some of which learn, for random networks.

In: choices drawn by Hypothesis, within a network. Left out are cycles without a synapse
(which no simulator can run).
"""

from __future__ import annotations

import nengo
import numpy as np
from hypothesis import strategies as st
from random_objects import SEEDS, SYNAPSES


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


def base_of(end):
    """Return what a slice is a slice of."""
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
    "PES": [nengo.PES(1e-3), nengo.PES(1e-2, pre_synapse=nengo.Alpha(0.003))],
    "RLS": [nengo.RLS(1e-3), nengo.RLS(1e-2, pre_synapse=None)],
    "BCM": [nengo.BCM(1e-8), nengo.BCM(1e-9, post_synapse=None, theta_synapse=0.01)],
    "Oja": [nengo.Oja(1e-6), nengo.Oja(1e-7, beta=0.5, pre_synapse=0.01)],
    "Voja": [nengo.Voja(1e-2, post_synapse=0.005), nengo.Voja(1e-3)],
}


def squared(x):
    """Return the square of the first element."""
    return x[0] ** 2


def itself_and_less(x):
    """Return the first element, and the first element less one."""
    return [x[0], x[0] - 1]


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
    base = base_of(pre)
    is_decoded = isinstance(base, nengo.Ensemble)
    if is_decoded and isinstance(base_of(post), nengo.Ensemble) and draw(st.booleans()):
        if not is_direct(base) and not is_direct(base_of(post)):
            args["solver"] = nengo.solvers.LstsqL2(weights=draw(st.booleans()))
    if is_decoded and draw(st.booleans()):
        n_in = draw(st.integers(1, 2))
        args["function"] = [squared, itself_and_less][n_in - 1]
    args["transform"] = draw(transforms(post.size_in, n_in, is_decoded))
    connection = nengo.Connection(pre, post, **args)
    if draw(st.booleans()):
        _teach(draw, connection, objects)
    return connection


def _teach(draw, conn, objects):
    """Add learning rules, where Nengo allows that."""
    is_dense = isinstance(conn.transform, nengo.Dense)
    if not is_dense and not isinstance(conn.transform, nengo.transforms.NoTransform):
        return
    if is_dense and len(conn.transform.init_shape) < 2:
        return
    has_weights = is_dense or isinstance(conn.pre_obj, nengo.Ensemble)
    pre_is_spiking = isinstance(conn.pre_obj, (nengo.Ensemble, nengo.ensemble.Neurons))
    if not (has_weights and pre_is_spiking) or is_direct(conn.pre_obj):
        return
    names = draw(st.lists(st.sampled_from(_rules(conn)), min_size=1, max_size=3))
    types = [draw(st.sampled_from(LEARNING_RULES[name])) for name in names]
    kind = draw(st.sampled_from(["list", "dict"])) if len(types) > 1 else "one"
    conn.learning_rule_type = {
        "one": types[0],
        "list": types,
        "dict": {f"rule{i}": rule for i, rule in enumerate(types)},
    }[kind]
    for rule in learning_rules(conn):
        if isinstance(rule.learning_rule_type, (nengo.PES, nengo.RLS)):
            source = draw(st.sampled_from(objects))
            nengo.Connection(
                source,
                rule,
                transform=np.full((rule.size_in, source.size_out), 0.1),
            )


def _rules(conn):
    """Return the names of the rules that a connection with weights may learn by."""
    neurons = nengo.ensemble.Neurons
    of_neurons = isinstance(conn.pre, neurons) and isinstance(conn.post, neurons)
    of_ensembles = all(isinstance(end, nengo.Ensemble) for end in (conn.pre, conn.post))
    names = ["PES", "RLS"]
    if conn.solver.weights or (isinstance(conn.transform, nengo.Dense) and of_neurons):
        names += ["BCM", "Oja"]
    if of_ensembles and not is_direct(conn.post) and not conn.solver.weights:
        names += ["Voja", "Voja"]
    return names


def learning_rules(conn):
    """Return all learning rules of a connection."""
    rules = conn.learning_rule
    if rules is None:
        return []
    if isinstance(rules, dict):
        return list(rules.values())
    return rules if isinstance(rules, list) else [rules]


def is_direct(obj):
    """Say whether an object is an ensemble of Direct mode, or its neurons."""
    ens = obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj
    return isinstance(ens, nengo.Ensemble) and isinstance(ens.neuron_type, nengo.Direct)
