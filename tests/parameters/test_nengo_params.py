"""`get_nengo_params`: parameters of a simulator as arguments of Nengo objects."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from parameters.changed_parameters import change_parameters, run_in_nengo

from nengo_dl.config import configure_settings


def test_errors(Simulator):
    with nengo.Network() as net:
        node = nengo.Node([0])
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
        a, b = (nengo.Ensemble(10, 1, label="a") for _ in range(2))
    other = nengo.Ensemble(10, 1, add_to_container=False)
    with Simulator(net) as sim:
        with pytest.raises(ValueError, match="Only Ensembles and Connections"):
            sim.get_nengo_params(node)
        with pytest.raises(ValueError, match="Direct mode"):
            sim.get_nengo_params(direct)
        with pytest.raises(ValueError, match="unique.*'a' more than once"):
            sim.get_nengo_params([a, b], as_dict=True)
        with pytest.raises(ValidationError, match="not part of the simulated network"):
            sim.get_nengo_params(other)
        assert len(sim.get_nengo_params([a, b])) == 2
        assert list(sim.get_nengo_params([a], as_dict=True)) == ["a"]
        assert list(sim.get_nengo_params(a, as_dict=True)) == ["a"]


def test_unknown_transforms(Simulator):
    class Transform(nengo.Dense):
        pass

    class Unknown(nengo.transforms.Transform):
        size_in = size_out = 1

        def sample(self, rng=np.random):
            return np.ones((1, 1))

    with nengo.Network() as net:
        a, b = nengo.Node([0]), nengo.Node(size_in=1)
        conn = nengo.Connection(a, b, transform=Transform((1, 1), init=[[2]]))
    with Simulator(net) as sim:
        assert sim.get_nengo_params(conn)["transform"] == 2
        conn.transform = Unknown()
        with pytest.raises(NotImplementedError, match="`Unknown` cannot be set"):
            sim.get_nengo_params(conn)


@pytest.mark.training
def test_parameters_of_objects(Simulator):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        a = nengo.Ensemble(10, 2, radius=3)
        b = nengo.Ensemble(12, 2)
        node = nengo.Node(size_in=2)
        decoded = nengo.Connection(a, b)
        plain = nengo.Connection(node, b)
        scaled = nengo.Connection(node[:1], b[1:], transform=0.5)
    with Simulator(net) as sim:
        built = sim.data[a]
        params = sim.get_nengo_params(a)
        assert not params["normalize_encoders"]
        assert np.allclose(params["encoders"], built.encoders)
        assert (params["gain"] == built.gain).all()
        assert params["max_rates"] is nengo.Ensemble.max_rates.default

        change_parameters(sim)
        params = sim.get_nengo_params(a.neurons)
        assert (params["gain"] == built.gain).all()
        assert (params["bias"] == sim.data[a].bias).all()
        assert not np.allclose(params["bias"], built.bias)
        scaled_encoders = params["encoders"] * params["gain"][:, None] / a.radius
        assert np.allclose(scaled_encoders, sim.data[a].scaled_encoders)

        params = sim.get_nengo_params(decoded)
        assert params["transform"] is None
        assert (params["solver"].values == sim.data[decoded].weights.T).all()
        assert (params["function"](np.ones(2)) == np.zeros(2)).all()
        assert sim.get_nengo_params(plain) == {"transform": None}
        transform = sim.get_nengo_params(scaled)["transform"]
        assert transform.shape == () and transform == sim.data[scaled].weights


def test_in_a_new_network(Simulator):
    """Objects built with the parameters behave the same, whatever the seed."""

    initial = [
        {"radius": 2},
        {"encoders": nengo.dists.Choice([[1, 0]])},
        {"transform": nengo.dists.Uniform(0, 1)},
        {},
        {"transform": 0.5},
        {"transform": nengo.Convolution(3, (4, 4, 1), kernel_size=(3, 3))},
        {"function": np.square},
    ]

    def make_network(seed, params):
        with nengo.Network(seed=seed) as net:
            # spikes are at the same times
            configure_settings(dtype="float64", jit_compile=False)
            net.config[nengo.Ensemble].neuron_type = nengo.LIF(
                initial_state={"voltage": nengo.dists.Choice([0])}
            )
            inp, out = nengo.Node(np.full(16, 0.3)), nengo.Node(size_in=12)
            a = nengo.Ensemble(16, 1, **{"radius": 2, **params[0]})
            b = nengo.Ensemble(16, 2, **params[1])
            conns = [
                nengo.Connection(a.neurons[::2], b.neurons[::2], **params[2]),
                nengo.Connection(a, b.neurons[:1], **params[3]),
                nengo.Connection(inp[0], a, **params[4]),
                nengo.Connection(inp, out, **params[5]),
                nengo.Connection(a, b[[1]], **params[6]),
            ]
            probes = [nengo.Probe(a.neurons), nengo.Probe(b.neurons), nengo.Probe(out)]
        return net, [a.neurons, b, *conns], probes

    net, objects, probes = make_network(0, initial)
    with Simulator(net) as sim:
        params = sim.get_nengo_params(objects)
        sim.run_steps(100)
    new_net, _, new_probes = make_network(1, params)
    with Simulator(new_net) as new_sim:
        new_sim.run_steps(100)
    for probe, new_probe in zip(probes, new_probes):
        assert sim.data[probe].any()
        np.testing.assert_allclose(sim.data[probe], new_sim.data[new_probe], atol=1e-8)


@pytest.mark.training
@pytest.mark.parametrize("use_scipy", [True, False])
def test_sparse(use_scipy, Simulator):
    matrix = np.array([[0, 1.5, 0], [2, 0, 0], [0, 0, -3]])
    if use_scipy:
        init = pytest.importorskip("scipy.sparse").coo_matrix(matrix)
        transform = nengo.Sparse((3, 3), init=init)
    else:
        transform = nengo.Sparse(
            (3, 3), indices=[(0, 1), (1, 0), (2, 2)], init=[1.5, 2, -3]
        )
    with nengo.Network() as net:
        inp, out = nengo.Node([1, 2, 3]), nengo.Node(size_in=3)
        conn = nengo.Connection(inp, out, transform=transform, synapse=None)
        probe = nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        assert (sim.get_nengo_params(conn)["transform"].init.data == [1.5, 2, -3]).all()
        change_parameters(sim)
        params = sim.get_nengo_params(conn)
        sim.run_steps(3)
        sim.freeze_params(net)
    assert (params["transform"].init.data != [1.5, 2, -3]).all()
    assert np.allclose(params["transform"].init.data, [1.5, 2, -3], rtol=0.2)
    assert np.allclose(run_in_nengo(net, 3)[probe], sim.data[probe])


def test_minibatches(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0])
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1, label="b")
        conn = nengo.Connection(a, b, learning_rule_type=nengo.PES())
        nengo.Connection(inp, conn.learning_rule)
    for minibatch_size in (None, 1, 3):
        with Simulator(net, minibatch_size=minibatch_size) as sim:
            # all items are the same so far
            weights = sim.get_nengo_params(conn)["solver"].values
            assert np.allclose(weights, sim.model.params[conn].weights.T)
    with Simulator(net, minibatch_size=3) as sim:
        sim.run_steps(10, data={inp: np.linspace(0, 1, 30).reshape(3, 10, 1)})
        with pytest.raises(ValueError, match="`weights` of .* was learned by 3 items"):
            sim.get_nengo_params(conn)
        with pytest.raises(ValueError, match="was learned by 3 items"):
            sim.freeze_params(net)
        assert a.gain is None and not isinstance(conn.solver, nengo.solvers.NoSolver)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:nengo.neurons")
def test_neurons_without_gain(Simulator):
    """Training may give them encoders all the same."""
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        ens = nengo.Ensemble(
            5, 1, gain=np.zeros(5), bias=np.ones(5), neuron_type=nengo.RectifiedLinear()
        )
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens.neurons)
    with Simulator(net, unroll_simulation=1) as sim:
        signal = sim.model.sig[ens]["encoders"]
        key = sim.tensor_graph.program.layout.places[signal][0]
        sim.tensor_graph.base_params[key].assign(np.arange(5)[:, None])
        sim.run_steps(3)
        sim.freeze_params(ens)
    assert np.allclose(sim.data[probe][-1], 1 + np.arange(5) / 2)
    assert np.allclose(run_in_nengo(net, 3)[probe], sim.data[probe])
