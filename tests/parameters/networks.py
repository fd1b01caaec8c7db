"""Networks with parameters, and what there is to compare after loading."""

import nengo
import numpy as np

from nengo_dl.config import configure_settings

SILENT = {"initial_state": {"voltage": nengo.dists.Choice([0])}}


def make_network(
    seed, neuron_type=None, synapse=0.005, n_neurons=10, extra=False, **settings
):
    """Return a network with parameters of many kinds, without XLA by default."""
    with nengo.Network(seed=seed) as net:
        configure_settings(**{"jit_compile": False, **settings})
        net.config[nengo.Ensemble].neuron_type = neuron_type or nengo.LIF(**SILENT)
        net.config[nengo.Connection].synapse = synapse
        inp = nengo.Node([0.5])
        if extra:
            nengo.Probe(inp)
        a = nengo.Ensemble(n_neurons, 1, label="a")
        with nengo.Network(label="inner"):
            # connections to neurons depend on the gain, which is no parameter
            gain = np.linspace(1, 3, n_neurons)
            b = nengo.Ensemble(n_neurons, 2, label="b", gain=gain, bias=gain - 0.5)
        silent = nengo.Ensemble(4, 1)
        out = nengo.Node(size_in=9)
        nengo.Connection(inp, a)
        if extra:
            nengo.Probe(a.neurons)
        conn = nengo.Connection(a, b[0])
        nengo.Connection(a, b[1], function=np.square)
        nengo.Connection(a.neurons[:4], b.neurons[2:6], transform=0.01)
        nengo.Connection(b, out[:2], transform=nengo.dists.Uniform(-1, 1))
        kernel = nengo.Convolution(1, (3, 3, 1), kernel_size=(2, 2), padding="same")
        nengo.Connection(b.neurons[:9], out, transform=kernel)
        sparse = nengo.Sparse(
            (9, 10), indices=[[0, 1], [5, 9]], init=nengo.dists.Uniform(0, 1)
        )
        if n_neurons == 10:
            nengo.Connection(a.neurons, out, transform=sparse)
        if extra:
            nengo.Probe(b)
        nengo.Probe(out, label="out", synapse=None)
    net.parts = (a, b, silent, conn)
    return net


def parameters(sim):
    """Return all parameters as one dictionary of arrays."""
    return {
        f"{name}.{attr}": value
        for name, arrays in sim.export_params().items()
        for attr, value in arrays.items()
    }


def assert_equal_parameters(params, others):
    assert params.keys() == others.keys()
    for name, value in params.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-5, err_msg=name)


def small_network(seed=0, n_neurons=5, label=None):
    with nengo.Network(seed=seed) as net:
        inp = nengo.Node([1])
        ens = nengo.Ensemble(n_neurons, 1, label=label)
        nengo.Connection(inp, ens, transform=0.5)
        nengo.Probe(ens.neurons)
    return net


def in_single_precision(**kwargs):
    """Return a small network whose files do not depend on options of the tests."""
    net = small_network(**kwargs)
    with net:
        configure_settings(dtype="float32")
    return net


def live_arrays(sim):
    """Return everything that `load_params` may change."""
    arrays = sim.tensor_graph.values.get_arrays()
    return {"n_steps": sim.n_steps, **{k: np.array(v) for k, v in arrays.items()}}


def assert_unchanged(sim, before):
    after = live_arrays(sim)
    assert after.keys() == before.keys()
    assert all((after[key] == before[key]).all() for key in after if key != "n_steps")
    assert after["n_steps"] == before["n_steps"]
