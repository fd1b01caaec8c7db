"""
Networks that are measured; plain Nengo, so that any backend and release can run them.

In: sizes. Out: `nengo.Network` objects whose attribute ``p`` is the output probe and
whose ``inp`` (or ``inp_a`` and ``inp_b``) are the input nodes. First stand the
networks whose sizes the caller chooses, then those of the tables with fixed sizes.

This file imports nothing of NengoDL and runs under Nengo 3.2 and later: it is also
executed in the environment of the release that we are compared with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import nengo
import numpy as np

if __package__:
    from nengo_dl.benchmarks import varied_networks
else:  # the worker is run by path; this directory is the first place to import from
    import varied_networks  # type: ignore[import-not-found,no-redef]

# ---------------------------------------------------------------- networks of any size


def _simple_tuning(net: nengo.Network) -> None:
    """Give all ensembles of ``net`` gains of +1 or -1 and biases within (-1, 1)."""
    net.config[nengo.Ensemble].gain = nengo.dists.Choice([1, -1])
    net.config[nengo.Ensemble].bias = nengo.dists.Uniform(-1, 1)


def cconv(
    dimensions: int, neurons_per_d: int, neuron_type: nengo.neurons.NeuronType
) -> nengo.Network:
    """
    Circular convolution of two vectors.

    Parameters
    ----------
    dimensions : int
        Length of the vectors.
    neurons_per_d : int
        Neurons of each product of two scalars.
    neuron_type : nengo.neurons.NeuronType
        Type of all neurons.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp_a``, ``inp_b``, ``cconv`` and ``p``.
    """
    with nengo.Network(label="cconv", seed=0) as net:
        _simple_tuning(net)
        net.config[nengo.Ensemble].neuron_type = neuron_type
        net.inp_a = nengo.Node(np.zeros(dimensions))
        net.inp_b = nengo.Node(np.ones(dimensions))
        net.cconv = nengo.networks.CircularConvolution(neurons_per_d, dimensions)
        nengo.Connection(net.inp_a, net.cconv.input_a)
        nengo.Connection(net.inp_b, net.cconv.input_b)
        net.p = nengo.Probe(net.cconv.output)
    return net


def integrator(
    dimensions: int, neurons_per_d: int, neuron_type: nengo.neurons.NeuronType
) -> nengo.Network:
    """
    Integrator of a vector, one recurrent ensemble for each dimension.

    Parameters
    ----------
    dimensions : int
        Length of the vector.
    neurons_per_d : int
        Neurons of each ensemble.
    neuron_type : nengo.neurons.NeuronType
        Type of all neurons.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp``, ``integ`` and ``p``.
    """
    tau = 0.01
    with nengo.Network(label="integrator", seed=0) as net:
        _simple_tuning(net)
        net.config[nengo.Ensemble].neuron_type = neuron_type
        net.inp = nengo.Node(np.zeros(dimensions))
        net.integ = nengo.networks.EnsembleArray(neurons_per_d, dimensions)
        nengo.Connection(net.integ.output, net.integ.input, synapse=tau)
        nengo.Connection(net.inp, net.integ.input, transform=tau * np.eye(dimensions))
        net.p = nengo.Probe(net.integ.output)
    return net


def pes(
    dimensions: int, neurons_per_d: int, neuron_type: nengo.neurons.NeuronType
) -> nengo.Network:
    """
    One ensemble whose decoders learn the identity with the PES rule.

    Parameters
    ----------
    dimensions : int
        Length of the represented vector.
    neurons_per_d : int
        Neurons of the ensemble for each dimension.
    neuron_type : nengo.neurons.NeuronType
        Type of all neurons.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp``, ``pre``, ``post`` and ``p``.
    """
    with nengo.Network(label="pes", seed=0) as net:
        _simple_tuning(net)
        net.config[nengo.Ensemble].neuron_type = neuron_type
        net.inp = nengo.Node(np.ones(dimensions))
        net.pre = nengo.Ensemble(neurons_per_d * dimensions, dimensions)
        net.post = nengo.Node(size_in=dimensions)
        nengo.Connection(net.inp, net.pre)
        conn = nengo.Connection(net.pre, net.post, learning_rule_type=nengo.PES())
        nengo.Connection(net.post, conn.learning_rule)
        nengo.Connection(net.inp, conn.learning_rule, transform=-1)
        net.p = nengo.Probe(net.post)
    return net


def basal_ganglia(
    dimensions: int, neurons_per_d: int, neuron_type: nengo.neurons.NeuronType
) -> nengo.Network:
    """
    Model of the basal ganglia, which select the largest of several utilities.

    Parameters
    ----------
    dimensions : int
        Number of actions.
    neurons_per_d : int
        Neurons of each ensemble.
    neuron_type : nengo.neurons.NeuronType
        Type of all neurons.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp``, ``bg`` and ``p``.
    """
    with nengo.Network(label="basal_ganglia", seed=0) as net:
        net.config[nengo.Ensemble].neuron_type = neuron_type
        net.inp = nengo.Node(np.ones(dimensions))
        net.bg = _without_scipy_warning(
            nengo.networks.BasalGanglia, dimensions, neurons_per_d
        )
        nengo.Connection(net.inp, net.bg.input)
        net.p = nengo.Probe(net.bg.output)
    return net


def _without_scipy_warning(network: type, *args: int) -> nengo.Network:
    """Build ``network(*args)`` without Nengo's advice to install SciPy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SciPy is not installed")
        return network(*args)


def random_network(
    dimensions: int,
    neurons_per_d: int,
    neuron_type: nengo.neurons.NeuronType,
    n_ensembles: int,
    connections_per_ensemble: int,
    seed: int = 0,
) -> nengo.Network:
    """
    Ensembles that are connected at random.

    Parameters
    ----------
    dimensions : int
        Dimensions of each ensemble, of the input and of the output.
    neurons_per_d : int
        Neurons of each ensemble for each dimension.
    neuron_type : nengo.neurons.NeuronType
        Type of all neurons.
    n_ensembles : int
        Number of ensembles.
    connections_per_ensemble : int
        Connections from each ensemble to ensembles, beside the one to the output.
    seed : int
        Seed of the network and of the choice of connections.

    Returns
    -------
    net : nengo.Network
        With attributes ``inp``, ``out`` and ``p``.
    """
    rng = np.random.RandomState(seed)
    with nengo.Network(label="random", seed=seed) as net:
        net.config[nengo.Ensemble].neuron_type = neuron_type
        net.inp = nengo.Node(np.zeros(dimensions))
        net.out = nengo.Node(size_in=dimensions)
        ensembles = [
            nengo.Ensemble(neurons_per_d * dimensions, dimensions)
            for _ in range(n_ensembles)
        ]
        for ensemble in ensembles:
            nengo.Connection(net.inp, ensemble)
            nengo.Connection(ensemble, net.out)
            for post in rng.randint(n_ensembles, size=connections_per_ensemble):
                nengo.Connection(ensemble, ensembles[post])
        net.p = nengo.Probe(net.out)
    return net


# -------------------------------------------------------------- networks of the tables


def channel(n_neurons: int = 100, n_functions: int = 0) -> nengo.Network:
    """
    Build a communication channel for a sine: two ensembles in a row.

    Between them are Nodes with Python functions, one after the other.
    """
    with nengo.Network(label="channel", seed=0) as net:
        net.inp = nengo.Node(lambda t: np.sin(2 * np.pi * 4 * t))
        pre = nengo.Ensemble(n_neurons, 1)
        post = nengo.Ensemble(n_neurons, 1)
        nengo.Connection(net.inp, pre)
        for _ in range(n_functions):
            node = nengo.Node(lambda t, x: 1.01 * x, size_in=1)
            nengo.Connection(pre, node)
            pre = node
        nengo.Connection(pre, post)
        net.p = nengo.Probe(post, synapse=0.01)
    return net


def lif_integrator(dimensions: int = 16, neurons_per_d: int = 128) -> nengo.Network:
    """Build an integrator with one LIF ensemble for each dimension."""
    tau = 0.1
    with nengo.Network(label="integrator", seed=0) as net:
        net.inp = nengo.Node(np.linspace(-1, 1, dimensions))
        integ = nengo.networks.EnsembleArray(neurons_per_d, dimensions)
        nengo.Connection(integ.output, integ.input, synapse=tau)
        nengo.Connection(net.inp, integ.input, transform=tau, synapse=tau)
        net.p = nengo.Probe(integ.output, synapse=0.01)
    return net


def lif_cconv(dimensions: int = 64, neurons_per_d: int = 64) -> nengo.Network:
    """Build the circular convolution of two random unit vectors with LIF neurons."""
    vectors = np.random.RandomState(0).randn(2, dimensions)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with nengo.Network(label="cconv", seed=0) as net:
        net.inp_a = nengo.Node(vectors[0])
        net.inp_b = nengo.Node(vectors[1])
        convolution = nengo.networks.CircularConvolution(neurons_per_d, dimensions)
        nengo.Connection(net.inp_a, convolution.input_a)
        nengo.Connection(net.inp_b, convolution.input_b)
        net.p = nengo.Probe(convolution.output, synapse=0.01)
    return net


def lif_pes(dimensions: int = 8, neurons_per_d: int = 256) -> nengo.Network:
    """Build two LIF ensembles; the connection learns the identity with PES."""
    size = dimensions * neurons_per_d
    with nengo.Network(label="pes", seed=0) as net:
        net.inp = nengo.Node(np.linspace(-0.5, 0.5, dimensions))
        pre = nengo.Ensemble(size, dimensions)
        post = nengo.Ensemble(size, dimensions)
        error = nengo.Node(size_in=dimensions)
        nengo.Connection(net.inp, pre)
        conn = nengo.Connection(
            pre, post, function=np.zeros_like, learning_rule_type=nengo.PES()
        )
        nengo.Connection(post, error)
        nengo.Connection(net.inp, error, transform=-1)
        nengo.Connection(error, conn.learning_rule)
        net.p = nengo.Probe(post, synapse=0.01)
    return net


def action_selection(dimensions: int = 32) -> nengo.Network:
    """Build basal ganglia and thalamus with their default numbers of neurons."""
    with nengo.Network(label="action_selection", seed=0) as net:
        net.inp = nengo.Node(np.linspace(0.2, 0.9, dimensions))
        ganglia = _without_scipy_warning(nengo.networks.BasalGanglia, dimensions)
        thalamus = nengo.networks.Thalamus(dimensions)
        nengo.Connection(net.inp, ganglia.input)
        nengo.Connection(ganglia.output, thalamus.input)
        net.p = nengo.Probe(thalamus.output, synapse=0.01)
    return net


def full_weights(n_neurons: int = 2000) -> nengo.Network:
    """Build two LIF ensembles with a full weight matrix between their neurons."""
    with nengo.Network(label="full_weights", seed=0) as net:
        net.inp = nengo.Node([0.5])
        pre = nengo.Ensemble(n_neurons, 1)
        post = nengo.Ensemble(n_neurons, 1)
        nengo.Connection(net.inp, pre)
        nengo.Connection(pre, post, solver=nengo.solvers.LstsqL2(weights=True))
        net.p = nengo.Probe(post, synapse=0.01)
    return net


def with_plots(n_plots: int = 3) -> nengo.Network:
    """Build a `channel` with Python Nodes that take values, as Nengo GUI adds them."""
    net = channel()
    values: list[list[float]] = [[] for _ in range(n_plots)]

    def plot(taken: list[float]) -> Callable[..., None]:
        return lambda t, x: taken.__setitem__(slice(None), [t, *x])

    with net:
        for taken, obj in zip(values, [net.inp, *net.ensembles] * n_plots):
            nengo.Connection(obj, nengo.Node(plot(taken), size_in=1), synapse=0.01)
    return net


def chain(n_ensembles: int = 60) -> nengo.Network:
    """Build ensembles in a row, without synapses, no two of which have one size."""
    with nengo.Network(label="chain", seed=0) as net:
        previous = net.inp = nengo.Node([0.5])
        for i in range(n_ensembles):
            ensemble = nengo.Ensemble(20 + i, 1)
            nengo.Connection(previous, ensemble, synapse=None)
            previous = ensemble
        net.p = nengo.Probe(previous, synapse=0.01)
    return net


def large_network(n_ensembles: int, neurons_per_d: int) -> nengo.Network:
    """
    Build a 2-D `random_network` of LIF neurons with decoders drawn at random.

    Solving for the decoders of so many connections would take far longer than what
    is to be measured, and is Nengo's work, not the backend's.
    """
    net = random_network(2, neurons_per_d, nengo.LIF(), n_ensembles, 2)
    rng = np.random.RandomState(0)
    scale = 1e-3 / neurons_per_d
    for conn in net.all_connections:
        if isinstance(conn.pre_obj, nengo.Ensemble):
            values = scale * rng.randn(conn.pre_obj.n_neurons, conn.size_mid)
            conn.solver = nengo.solvers.NoSolver(values)
    return net


NETWORKS: dict[str, tuple[str, Callable[[], nengo.Network]]] = {
    "channel": ("communication channel 2×100", channel),
    "integrator": ("integrator 16-D×128", lif_integrator),
    "cconv": ("circular convolution 64-D×64", lif_cconv),
    "pes": ("PES 8-D×256", lif_pes),
    "action_selection": ("basal ganglia + thalamus 32", action_selection),
    "full_weights": ("2,000→2,000 full weights", full_weights),
    "functions_1": ("channel, 1 Python function", lambda: channel(n_functions=1)),
    "functions_5": ("channel, 5 Python functions", lambda: channel(n_functions=5)),
    "plots": ("channel, 3 Python Nodes as of Nengo GUI", with_plots),
    "chain": ("chain of 60 unlike ensembles", chain),
    "spa": ("nengo.spa, 2 bindings of 64-D", varied_networks.spa_model),
    "question": ("nengo.spa, answers to questions, 16-D", varied_networks.question),
    "spiking_images": ("3 spiking convolutions, 28×28", varied_networks.spiking_images),
    "mixed": ("7 recurrent layers, mixed neurons", varied_networks.mixed),
    "large_10k": ("100 ensembles, 10,000 neurons", lambda: large_network(100, 50)),
    "large_100k": (
        "1,000 ensembles, 100,000 neurons",
        lambda: large_network(1000, 50),
    ),
    "large_1m": (
        "1,000 ensembles, 1,000,000 neurons",
        lambda: large_network(1000, 500),
    ),
}
