"""Running simulations, in every way that gives the same numbers."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_dl.config import configure_settings
from nengo_dl.execution import engine


def spiking_network(**settings):
    """Return a network in which every step depends on the ones before."""
    with nengo.Network(seed=0) as net:
        configure_settings(**{"dtype": "float64", **settings})
        net.inp = nengo.Node(lambda t: np.sin(20 * t))
        net.noise = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
        net.ens = nengo.Ensemble(30, 1)
        nengo.Connection(net.inp, net.ens)
        nengo.Connection(net.noise, net.ens, synapse=0.01, transform=0.01)
        nengo.Connection(net.ens, net.ens, synapse=0.1)
        net.spikes = nengo.Probe(net.ens.neurons)
        net.output = nengo.Probe(net.ens, synapse=nengo.Alpha(0.01))
    return net


def python_network(**settings):
    """Return a network whose steps call Python."""
    net = spiking_network(**settings)
    with net:
        node = nengo.Node(lambda t, x: x + t, size_in=1)
        nengo.Connection(net.ens, node, synapse=None)
        nengo.Connection(node, net.ens, synapse=0.01, transform=0.1)
    return net


NETWORKS = pytest.mark.parametrize("network", [spiking_network, python_network])


@pytest.fixture(scope="module")
def expected():
    """Return what Nengo computes in 60 steps."""
    results = {}
    for network in (spiking_network, python_network):
        net = network()
        with nengo.Simulator(net, progress_bar=False) as ref:
            ref.run_steps(60)
        results[network] = [ref.data[net.spikes], ref.data[net.output]]
    return results


def assert_equal(sim, net, expected, atol=1e-10):
    for probe, values in zip((net.spikes, net.output), expected):
        data = sim.data[probe]
        data = data[0] if sim.data.minibatched else data
        assert np.allclose(data, values[: len(data)], rtol=0, atol=atol)
        assert len(data) == sim.n_steps


@NETWORKS
@pytest.mark.parametrize("jit_compile", [True, False, "auto"])
def test_compilation_does_not_change_numbers(network, jit_compile, expected, Simulator):
    net = network(jit_compile=jit_compile)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(60)
        assert_equal(sim, net, expected[network])


@pytest.mark.parametrize(
    "settings", [{"inference_only": True}, {"simplifications": ()}]
)
def test_settings_do_not_change_numbers(settings, expected, Simulator):
    net = spiking_network(**settings)
    with Simulator(net) as sim:
        sim.run_steps(60)
        assert_equal(sim, net, expected[spiking_network])


def test_no_optimization(expected, Simulator):
    net = spiking_network()
    with Simulator(net, optimize=False) as sim:
        sim.run_steps(60)
        assert_equal(sim, net, expected[spiking_network])


@NETWORKS
def test_parts_equal_the_whole(network, expected, Simulator):
    net = network()
    with Simulator(net, unroll_simulation=1) as sim:
        for n_steps in (1, 7, 2, 30):
            sim.run_steps(n_steps)
        sim.run(0.003)
        for _ in range(17):
            sim.step()
        assert sim.n_steps == 60
        assert_equal(sim, net, expected[network])
        sim.reset()
        for n_steps in (25, 35):
            sim.run_steps(n_steps)
        assert_equal(sim, net, expected[network])


@NETWORKS
@pytest.mark.parametrize("small", [True, False])
def test_blocks_equal_the_whole(network, small, expected, Simulator, monkeypatch):
    monkeypatch.setattr(engine, "MAX_BLOCK_STEPS", 7)
    monkeypatch.setattr(engine, "SMALL_BLOCK_BYTES", 2**18 if small else 0)
    net = network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        for n_steps in (1, 29, 14, 16):
            sim.run_steps(n_steps)
        assert_equal(sim, net, expected[network])


@pytest.mark.parametrize("unroll, jit_compile", [(2, False), (3, True), (60, True)])
def test_unroll(unroll, jit_compile, expected, Simulator):
    net = spiking_network(jit_compile=jit_compile)
    with Simulator(net, unroll_simulation=unroll) as sim:
        sim.run_steps(60 - unroll)
        sim.step()
        assert_equal(sim, net, expected[spiking_network])


def test_round_up_to_unroll(expected, Simulator):
    net = spiking_network()
    with Simulator(net, unroll_simulation=5) as sim:
        with pytest.warns(RuntimeWarning, match="5 steps instead of 2"):
            sim.run_steps(2)
        with pytest.warns(RuntimeWarning, match="10 steps instead of 6"):
            sim.run(0.006)
        assert sim.n_steps == 15
        assert_equal(sim, net, expected[spiking_network])


def test_no_loop(expected, Simulator):
    net = spiking_network(use_loop=False)
    with Simulator(net, unroll_simulation=3) as sim:
        for _ in range(20):
            sim.run_steps(3)
        assert_equal(sim, net, expected[spiking_network])
        for n_steps in (6, 10**6):
            with pytest.raises(ValidationError, match="use_loop=False"):
                sim.run_steps(n_steps)
        assert sim.n_steps == 60


def test_single_precision(expected, Simulator):
    net = spiking_network(dtype="float32")
    with Simulator(net) as sim:
        sim.run_steps(60)
    spikes, output = expected[spiking_network]
    # a spike may come a step earlier or later
    assert abs(sim.data[net.spikes].sum() - spikes.sum()) <= 2000
    assert np.allclose(sim.data[net.output], output, atol=0.05)
    assert sim.data[net.output].dtype == np.float32


@pytest.mark.parametrize("jit_compile", [True, False])
def test_half_precision(jit_compile, Simulator):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float16", jit_compile=jit_compile)
        inp = nengo.Node(lambda t: np.sin(20 * t))
        ens = nengo.Ensemble(30, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(inp, ens)
        net.output = nengo.Probe(ens, synapse=nengo.Alpha(0.01))
    with Simulator(net) as sim, nengo.Simulator(net, progress_bar=False) as ref:
        sim.run_steps(60)
        ref.run_steps(60)
    assert sim.data[net.output].dtype == np.float16
    assert np.allclose(sim.data[net.output], ref.data[net.output], atol=0.02)


def test_items_of_a_minibatch_do_not_mix(Simulator):
    """Running items together gives the same as running one after another."""
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        constant, sine = nengo.Node([0.5]), nengo.Node(np.sin)
        signal = nengo.Node(nengo.processes.WhiteSignal(1, high=50, seed=1))
        probes = []
        for neurons in (nengo.AdaptiveLIF(), nengo.LIFRate(), nengo.LIF()):
            noise = nengo.processes.WhiteNoise(seed=2)
            ens = nengo.Ensemble(20, 1, neuron_type=neurons, noise=noise)
            for inp in (constant, sine, signal):
                nengo.Connection(inp, ens, synapse=nengo.Alpha(0.01))
            probes.append(nengo.Probe(ens, synapse=0.1))
            conn = nengo.Connection(ens, nengo.Node(size_in=1), transform=0)
            conn.learning_rule_type = nengo.PES()
            nengo.Connection(sine, conn.learning_rule, synapse=None)
            probes.append(nengo.Probe(conn, "weights"))
    data = np.random.RandomState(0).uniform(-1, 1, size=(3, 30, 1))

    alone = []
    with Simulator(net) as sim:
        for item in data:
            sim.run_steps(30, data={constant: item[None]})
            alone.append([sim.data[probe] for probe in probes])
            sim.reset()
    with Simulator(net, minibatch_size=3) as sim:
        sim.run_steps(30, data={constant: data})
        for i, probe in enumerate(probes):
            for item in range(3):
                assert np.allclose(sim.data[probe][item], alone[item][i], atol=1e-10)


@pytest.mark.parametrize("time", [-0.0001, -1, np.nan, np.inf])
def test_invalid_times(time, Simulator):
    with nengo.Network() as net:
        pass
    with Simulator(net) as sim:
        with pytest.raises(ValidationError, match="time_in_seconds.*Must be positive"):
            sim.run(time)
        assert sim.n_steps == 0


@pytest.mark.parametrize("n_steps", [-1, np.nan, "2", None, True, 1e30, 10**30])
def test_invalid_numbers_of_steps(n_steps, Simulator):
    with nengo.Network() as net:
        pass
    with Simulator(net) as sim:
        with pytest.raises(
            ValidationError, match="n_steps.*(must be a number|too many)"
        ):
            sim.run_steps(n_steps)
        assert sim.n_steps == 0


def test_rounding_of_times(Simulator):
    with nengo.Network() as net:
        pass
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.warns(UserWarning, match="0 timesteps.*nothing to run"):
            sim.run(0)
        with pytest.warns(UserWarning, match="0 timesteps"):
            sim.run(0.0004)
        sim.run(0.0006)
        assert sim.n_steps == 1
        sim.run_steps(np.int64(2))
        sim.run_steps(3.0)
        with pytest.warns(RuntimeWarning, match="2 steps instead of 1.5"):
            sim.run_steps(1.5)
        assert sim.n_steps == 8 and isinstance(sim.n_steps, int)


def test_no_steps(Simulator):
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0]))
    with Simulator(net) as sim:
        sim.run_steps(0)
        assert sim.n_steps == 0 and sim.data[probe] == []


def test_no_samples(Simulator):
    """A Probe that has recorded nothing has an empty array, as Nengo's."""
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0, 0]), sample_every=1.0)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(2)
    for minibatch_size, shape in ((None, ()), (3, (3,))):
        with Simulator(net, unroll_simulation=1, minibatch_size=minibatch_size) as sim:
            sim.run_steps(2)
            data = sim.data[probe]
            assert isinstance(data, np.ndarray) and not data.flags.writeable
            assert data.shape == (*shape, *ref.data[probe].shape)
            sim.clear_probes()
            assert sim.data[probe] == []


def test_nothing_to_see(Simulator):
    """A network without probes, and one without anything, can run."""
    calls = []
    with nengo.Network() as net:
        nengo.Node(lambda t, x: calls.append(t), size_in=1)
    calls.clear()
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(3)
        assert np.allclose(calls, [0.001, 0.002, 0.003])
    with Simulator(nengo.Network(), unroll_simulation=1) as sim:
        sim.run_steps(3)
        sim.step()
        assert sim.n_steps == 4


def test_arguments_of_functions(Simulator):
    """Functions get the time as a float, and an array that is theirs."""
    seen = []

    def func(t, x):
        assert type(t) is float
        assert isinstance(x, np.ndarray) and x.shape == (2,)
        seen.append((t, x))
        y = x.copy()
        x[...] = -1
        return y

    with nengo.Network() as net:
        configure_settings(dtype="float64")
        inp = nengo.Node(lambda t: [t, 2 * t])
        node = nengo.Node(func, size_in=2)
        nengo.Connection(inp, node, synapse=None)
        probe, before = nengo.Probe(node), nengo.Probe(inp)
    seen.clear()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(3)
    assert len(seen) == 6
    assert len({id(x) for _, x in seen}) == 6
    assert [t for t, _ in seen] == [k * 0.001 for k in (1, 1, 2, 2, 3, 3)]
    times = np.arange(1, 4) * 0.001
    assert np.allclose(sim.data[probe], np.stack([times, 2 * times], axis=1))
    assert (sim.data[before] == sim.data[probe]).all()


def test_functions_for_their_side_effects(Simulator):
    calls = []
    with nengo.Network() as net:
        nengo.Node(lambda t: calls.append(t), size_in=0, size_out=0)
    assert calls == []
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
        sim.step()
    assert calls == [k * 0.001 for k in (1, 2, 3)]


def test_many_runs(Simulator):
    rng = np.random.RandomState(0)
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node(lambda t: t))
    with Simulator(net, unroll_simulation=1) as sim:
        total = 0
        for n_steps in rng.randint(1, 50, size=10):
            sim.run_steps(n_steps)
            total += n_steps
            assert len(sim.trange()) == total
            assert np.allclose(sim.data[probe][:, 0], sim.trange())
    assert sim.time == total * 0.001
