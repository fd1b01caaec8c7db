import pickle

import nengo
import numpy as np
import pytest
from nengo.builder.connection import BuiltConnection
from nengo.builder.ensemble import BuiltEnsemble
from nengo.exceptions import ValidationError

from nengo_dl.builder import nengo_precision
from nengo_dl.config import configure_settings
from nengo_dl.simulation.live_data import max_rates_intercepts, unscale


def set_parameter(sim, obj, attr, value):
    """Assign a value to all signals that are stored with a parameter."""
    key = sim.tensor_graph.program.layout.places[sim.model.sig[obj][attr].base][0]
    variable = sim.tensor_graph.base_params[key]
    variable.assign(np.broadcast_to(value, variable.shape))


# -- parameters ------------------------------------------------------------------------


def test_mapping(Simulator):
    with nengo.Network() as net:
        inp, ens = nengo.Node([0]), nengo.Ensemble(10, 1)
        conn = nengo.Connection(inp, ens)
        learned = nengo.Connection(ens, ens, learning_rule_type=nengo.PES())
        probe = nengo.Probe(ens)
    other = nengo.Ensemble(10, 1, add_to_container=False)
    with Simulator(net) as sim, nengo.Simulator(net, progress_bar=False) as ref:
        for obj in (net, inp, ens, conn, learned, learned.learning_rule, probe):
            assert obj in sim.data
        assert len(sim.data) == len(ref.data)
        assert [type(obj) for obj in sim.data] == [type(obj) for obj in ref.data]
        assert sim.data[inp] is None

        assert other not in sim.data
        with pytest.raises(ValidationError, match="not part of the simulated network"):
            sim.data[other]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_built_parameters(dtype, Simulator):
    """They are exactly those of Nengo, in the type of the simulation."""
    rng = np.random.RandomState(0)
    with nengo.Network(seed=0) as net:
        configure_settings(dtype=dtype)
        ensembles = [
            nengo.Ensemble(20, 3, radius=3, max_rates=[200] * 20),
            nengo.Ensemble(
                20, 3, encoders=2 * np.ones((20, 3)), normalize_encoders=False, radius=3
            ),
            nengo.Ensemble(
                20, 3, gain=rng.uniform(1, 2, 20), bias=rng.uniform(0, 1, 20)
            ),
            nengo.Ensemble(20, 3, neuron_type=nengo.Direct()),
        ]
        transform = np.arange(9).reshape(3, 3)
        connections = [
            nengo.Connection(ensembles[0], ensembles[1], transform=transform),
            nengo.Connection(ensembles[0][:2], ensembles[3][1:]),
            nengo.Connection(nengo.Node(size_in=3), ensembles[0], transform=transform),
            nengo.Connection(nengo.Node(size_in=3), ensembles[0]),
        ]
    with nengo_precision(dtype):
        ref = nengo.Simulator(net, progress_bar=False)
    with ref, Simulator(net, minibatch_size=2) as sim:
        for ens in ensembles:
            assert isinstance(sim.data[ens], BuiltEnsemble)
            for name, value in sim.data[ens]._asdict().items():
                assert_same(value, getattr(ref.data[ens], name), dtype)
        for conn in connections:
            assert isinstance(sim.data[conn], BuiltConnection)
            assert_same(sim.data[conn].weights, ref.data[conn].weights, dtype)
            assert_same(sim.data[conn].eval_points, ref.data[conn].eval_points, dtype)
        built = sim.data[ensembles[1]]
        assert np.allclose(
            built.scaled_encoders, built.encoders * built.gain[:, None] / 3
        )
        direct = sim.data[ensembles[3]]
        assert (direct.encoders == np.eye(3)).all()
        assert direct.gain is None and direct.bias is None
        assert (sim.data[connections[2]].weights == transform).all()
        assert sim.data[connections[3]].weights is None


def assert_same(value, expected, dtype):
    assert (value is None) == (expected is None)
    if value is not None:
        assert value.shape == expected.shape and value.dtype == dtype
        assert (value == expected).all()


def test_live_parameters(Simulator):
    """What training does to the parameters shows."""
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(10, 2, radius=3, bias=np.full(10, 5), gain=np.ones(10))
        conn = nengo.Connection(ens, ens)
    with Simulator(net) as sim:
        built = sim.data[ens]
        set_parameter(sim, ens, "encoders", 1)
        live = sim.data[ens]
        assert np.allclose(live.scaled_encoders, 1)
        assert np.allclose(live.gain, np.sqrt(2) * 3)
        assert np.allclose(live.encoders, 1 / np.sqrt(2))
        expected = ens.neuron_type.max_rates_intercepts(live.gain, built.bias)
        assert np.allclose(live.max_rates, expected[0])
        assert np.allclose(live.intercepts, expected[1])
        assert live.eval_points is built.eval_points

        set_parameter(sim, ens.neurons, "bias", 2)
        assert np.allclose(sim.data[ens].bias, 2)
        set_parameter(sim, conn, "weights", 0.5)
        assert np.allclose(sim.data[conn].weights, 0.5)
        assert sim.data[conn].solver_info is not None

        sim.reset()
        assert sim.data[ens] is built
    assert sim.data[ens] is built


def test_live_parameters_of_silent_neurons(Simulator):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(10, 2, neuron_type=nengo.RectifiedLinear())
        nengo.Connection(ens, ens)
    with Simulator(net) as sim:
        built = sim.data[ens]
        set_parameter(sim, ens, "encoders", 0)
        assert (sim.data[ens].gain == 0).all()
        assert not np.isfinite(sim.data[ens].intercepts).any()
        assert np.allclose(sim.data[ens].encoders, built.encoders)


@pytest.mark.parametrize("minibatch_size", [None, 2])
def test_closed(minibatch_size, Simulator):
    """Parameters are those of the end, not those of the beginning."""
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        pre, post = nengo.Ensemble(10, 2), nengo.Ensemble(12, 1)
        nengo.Connection(inp, pre[0])
        learned = nengo.Connection(
            pre, post, transform=[[1, 0]], learning_rule_type=nengo.PES()
        )
        nengo.Connection(inp, learned.learning_rule)
        sparse = nengo.Sparse((12, 10), indices=[[0, 1], [5, 9]], init=[1, 2])
        conns = [
            nengo.Connection(pre.neurons, post.neurons, transform=sparse),
            nengo.Connection(pre.neurons[:3], post.neurons[::4], transform=0.1),
        ]
        unused = nengo.Ensemble(3, 1)
        probe = nengo.Probe(post)
    with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
        sim.run_steps(10)
        for i, (obj, attr) in enumerate(
            [(pre, "encoders"), (pre.neurons, "bias"), (conns[0], "weights")]
        ):
            set_parameter(sim, obj, attr, i + 0.5)
        requests = [(pre, "encoders"), (pre, "bias"), (unused, "bias")]
        requests += [(conn, "weights") for conn in (learned, *conns)]
        expected = sim.data.get_params(*requests)
        gain, recorded = sim.data[pre].gain, sim.data[probe]
    copied = pickle.loads(pickle.dumps(sim))
    objects = copied.model.toplevel
    for value, expected_value in zip(sim.data.get_params(*requests), expected):
        np.testing.assert_array_equal(value, expected_value)
    assert (sim.data[pre].gain == gain).all()
    assert np.array_equal(sim.data[probe], recorded)
    assert not np.allclose(expected[3], sim.model.params[learned].weights)
    bias = copied.data[objects.ensembles[0]].bias
    assert np.allclose(bias, 1.5) and len(bias) == 10


@pytest.mark.parametrize("minibatch_size", [None, 3])
def test_learned_parameters(minibatch_size, Simulator):
    """Every item learns for itself."""
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([1])
        pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(12, 2)
        conn = nengo.Connection(
            pre, post, function=lambda x: [x, x], learning_rule_type=nengo.PES()
        )
        nengo.Connection(inp, conn.learning_rule, transform=[[1], [1]])
        voja = nengo.Connection(pre, post[0], learning_rule_type=nengo.Voja())
        nengo.Connection(inp, pre)
    batch = () if minibatch_size is None else (minibatch_size,)
    with Simulator(net, minibatch_size=minibatch_size) as sim:
        assert sim.data[conn].weights.shape == (*batch, 2, 10)
        assert sim.data[post].scaled_encoders.shape == (*batch, 12, 2)
        built = sim.data[post]
        sim.run_steps(20)
        live = sim.data[post]
        assert sim.data[voja].weights.shape == (1, 10)
    assert live.encoders.shape == (*batch, 12, 2)
    assert live.gain.shape == live.max_rates.shape == (*batch, 12)
    assert not np.allclose(live.scaled_encoders, built.scaled_encoders)
    # bias stays the same, and is that of all items
    assert (live.bias == built.bias).all()


def test_parameters_that_were_optimized_away(Simulator):
    with nengo.Network() as net:
        configure_settings(inference_only=True)
        a, b = nengo.Node(size_in=2), nengo.Node(size_in=2)
        conn = nengo.Connection(a, b, transform=np.zeros((2, 2)), synapse=None)
    with Simulator(net) as sim:
        assert (sim.data[conn].weights == np.zeros((2, 2))).all()


@pytest.mark.parametrize("use_scipy", [False, True])
def test_sparse_weights(use_scipy, Simulator):
    matrix = np.diag([1.0, 2.0, 3.0])
    if use_scipy:
        init = pytest.importorskip("scipy.sparse").csr_matrix(matrix)
        transform = nengo.Sparse((3, 3), init=init)
    else:
        indices = [[i, i] for i in range(3)]
        transform = nengo.Sparse((3, 3), indices=indices, init=[1, 2, 3])
    with nengo.Network() as net:
        inp, out = nengo.Node([1, 1, 1]), nengo.Node(size_in=3)
        conn = nengo.Connection(inp, out, transform=transform, synapse=None)
        probe = nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(3)
        assert np.allclose(sim.data[probe], [1, 2, 3])
        assert (sim.data[conn].weights.toarray() == matrix).all()
    assert (sim.data[conn].weights.toarray() == matrix).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels(dtype, Simulator):
    """They have the type of the simulation, too."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype=dtype)
        inp, out = nengo.Node(np.ones(9)), nengo.Node(size_in=8)
        kernel = nengo.Convolution(2, (3, 3, 1), kernel_size=(2, 2))
        conn = nengo.Connection(inp, out, transform=kernel)
        nengo.Probe(out)
    with Simulator(net) as sim:
        assert sim.data[conn].weights.dtype == dtype
        assert sim.data[conn].weights.shape == (2, 2, 1, 2)
        built = sim.model.params[conn].weights
        assert np.allclose(sim.data[conn].weights, built)


def test_get_params(Simulator):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(10, 2)
        conn = nengo.Connection(ens, ens)
    with Simulator(net) as sim:
        requests = [(ens, "encoders"), (ens, "scaled_encoders"), (ens, "bias")]
        values = sim.data.get_params(*requests, (conn, "weights"))
        assert values[0] is sim.data[ens].encoders
        assert values[3] is sim.data[conn].weights
        set_parameter(sim, ens, "encoders", 1)
        encoders, scaled, bias = sim.data.get_params(*requests)
        assert np.allclose(encoders, np.sqrt(0.5))
        assert np.allclose(scaled, 1)
        assert bias is values[2]


def test_take_scaled_encoders_apart():
    rng = np.random.RandomState(0)
    encoders = rng.uniform(-1, 1, size=(5, 3))
    gain = rng.uniform(1, 2, size=(2, 5))
    scaled = encoders * gain[..., None] / 4
    found_gain, found_encoders = unscale(scaled, encoders, radius=4)
    assert np.allclose(found_gain, gain)
    assert np.allclose(found_encoders, encoders)


def test_rates_and_intercepts_of_minibatches():
    """Neuron types that know nothing of minibatches are asked item by item."""

    class Neurons(nengo.LIFRate):
        max_rates_intercepts = nengo.neurons.NeuronType.max_rates_intercepts

    gain, bias = np.full((2, 5), 2.0), np.full(5, 1.0)
    max_rates, intercepts = max_rates_intercepts(Neurons(), gain, bias)
    expected = Neurons().max_rates_intercepts(gain[0], bias)
    assert max_rates.shape == intercepts.shape == (2, 5)
    assert (max_rates == expected[0]).all() and (intercepts == expected[1]).all()


# -- probes ----------------------------------------------------------------------------


def test_probe_data(Simulator):
    with nengo.Network() as net:
        configure_settings(keep_history=True)
        inp = nengo.Node(lambda t: [t, 2 * t])
        whole, sampled, last, last_sampled = (
            nengo.Probe(inp, sample_every=period)
            for period in (None, 0.003, None, 0.003)
        )
    for probe in (last, last_sampled):
        net.config[probe].keep_history = False
    probes = (whole, sampled, last, last_sampled)
    times = 0.001 * np.arange(1, 11)
    for minibatch_size, batch in [(None, ()), (1, (1,)), (2, (2,))]:
        with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
            assert [sim.data[probe] for probe in probes] == [[]] * 4
            sim.run_steps(4)
            sim.run_steps(5)
            sim.step()
        for probe, expected in zip(
            probes, (times, times[2::3], times[-1:], times[-1:])
        ):
            assert sim.data[probe].shape == (*batch, len(expected), 2)
            assert np.allclose(sim.data[probe][..., 1], 2 * expected)
            with pytest.raises(ValueError, match="read-only"):
                sim.data[probe][...] = 0


def test_recorded_chunks(Simulator):
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0, 0]))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(4)
        sim.run_steps(3)
        chunks = sim.model.params[probe]
        assert [chunk.shape for chunk in chunks] == [(1, 4, 2), (1, 3, 2)]
        assert sim.data[probe].shape == (7, 2)


def test_everything_that_can_be_probed(Simulator):
    """Whatever it is, and however it changes, there is data of every item and step."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        inp = nengo.Node([0.5])
        pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(12, 1)
        nengo.Connection(inp, pre)
        fixed = nengo.Connection(pre, post, synapse=0.01)
        full = nengo.Connection(
            pre, post, solver=nengo.solvers.LstsqL2(weights=True), synapse=0.01
        )
        learned = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
        nengo.Connection(inp, learned.learning_rule)
        voja = nengo.Connection(pre, post, learning_rule_type=nengo.Voja())
        probes = []
        objects = (inp, pre, pre.neurons, fixed, full, learned, voja)
        for obj in (*objects, learned.learning_rule, voja.learning_rule):
            for attr in obj.probeable:
                probes.append(nengo.Probe(obj, attr))
                probes.append(nengo.Probe(obj, attr, synapse=0.01))
    assert len(probes) > 30
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(6)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        predicted = sim.predict(n_steps=6, verbose=0)
        sim.reset()
        sim.run_steps(2)
        sim.run_steps(4)
    for probe in probes:
        expected = ref.data[probe]
        assert sim.data[probe].shape == (2, *expected.shape), probe
        assert np.array_equal(predicted[probe], sim.data[probe]), probe
        for item in sim.data[probe]:
            assert np.allclose(item, expected, rtol=0, atol=1e-10), probe


# -- signals ---------------------------------------------------------------------------


def test_signals(Simulator):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        ens = nengo.Ensemble(10, 1)
        nengo.Connection(ens, ens, synapse=0.1)
        nengo.Probe(ens)
    with nengo.Simulator(net, progress_bar=False, optimize=False) as ref:
        ref.run_steps(10)
        expected = ref.signals[ref.model.sig[ens.neurons]["voltage"]].copy()
    for minibatch_size, batch in [(None, ()), (2, (2,))]:
        with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
            voltage = sim.model.sig[ens.neurons]["voltage"]
            assert (sim.signals[voltage] == voltage.initial_value).all()
            sim.run_steps(10)
            assert sim.signals[voltage].shape == (*batch, 10)
            assert np.allclose(sim.signals[voltage], expected)
            assert sim.signals[voltage[2:4]].shape == (*batch, 2)
            assert sim.signals[sim.model.step].item() == 10

            assert len(list(sim.signals)) == len(sim.signals)
            assert voltage in sim.signals
            assert all(np.ndim(sim.signals[s]) >= s.ndim for s in sim.signals)
            current = sim.model.sig[ens.neurons]["in"]
            assert current not in sim.signals
            with pytest.raises(KeyError, match="use a Probe"):
                sim.signals[current]
