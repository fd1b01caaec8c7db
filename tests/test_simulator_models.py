"""Simulators of models that are built already, seeds, and several simulators."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import NengoWarning

from nengo_dl.config import configure_settings


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        net.inp = nengo.Node(lambda t: np.sin(10 * t))
        net.probe = nengo.Probe(net.inp)
    return net


def test_seed(net, Simulator):
    with Simulator(net, unroll_simulation=1) as sim:
        assert sim.seed == 1
    with Simulator(net, seed=5, unroll_simulation=1) as sim:
        assert sim.seed == 5
    net.seed = None
    np.random.seed(3)
    expected = np.random.randint(nengo.utils.numpy.maxint)
    np.random.seed(3)
    with Simulator(net, unroll_simulation=1) as sim:
        assert sim.seed == expected


@pytest.mark.parametrize("seed", [None, 3])
def test_noise_is_that_of_nengo(Simulator, seed):
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64")
        inp = nengo.Node(nengo.processes.FilteredNoise(), size_out=2)
        ens = nengo.Ensemble(20, 2, noise=nengo.processes.WhiteNoise())
        nengo.Connection(inp, ens, synapse=nengo.Alpha(0.01))
        nengo.Connection(ens, ens, synapse=0.1)
        probes = [nengo.Probe(obj, synapse=0.01) for obj in (inp, ens)]
    with nengo.Simulator(net, seed=seed, progress_bar=False) as ref:
        ref.run_steps(100)
    with Simulator(net, seed=seed, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(100)
    for probe in probes:
        assert np.allclose(sim.data[probe][0], ref.data[probe], rtol=0, atol=1e-10)
        assert not np.allclose(sim.data[probe][1], ref.data[probe], atol=1e-3)


def test_built_models(Simulator):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(20, 1)
        nengo.Connection(nengo.Node([0.5]), ens)
        nengo.Connection(ens, ens, synapse=0.1)
        probe = nengo.Probe(ens, synapse=0.01)
    model = nengo.builder.Model()
    model.build(net)
    operators = list(model.operators)

    results = []
    for _ in range(2):
        with Simulator(None, model=model, seed=1, unroll_simulation=1) as sim:
            sim.run_steps(50)
            results.append(sim.data[probe])
            assert sim.model is model
    assert model.operators == operators
    assert (results[0] == results[1]).all()

    with nengo.Simulator(
        None, model=model, seed=1, optimize=False, progress_bar=False
    ) as ref:
        ref.run_steps(50)
        assert np.allclose(results[0], ref.data[probe], atol=1e-4)
    # this has no effect on what the other simulator has recorded
    assert sim.data[probe].shape == (50, 1)


def test_simulators_of_one_model_at_once(net, Simulator):
    model = nengo.builder.Model()
    model.build(net)
    with (
        Simulator(None, model=model, unroll_simulation=1) as a,
        Simulator(None, model=model, unroll_simulation=1) as b,
    ):
        a.run_steps(3)
        b.run_steps(5)
        a.run_steps(3)
        b.reset()
    assert a.data[net.probe].shape == (6, 1)
    assert b.data[net.probe] == []


def test_simulators_of_one_network_at_once(net, Simulator):
    simulators = [
        Simulator(net, minibatch_size=n, unroll_simulation=1) for n in (None, 2)
    ]
    with net:
        later = nengo.Probe(net.inp)
    for _ in range(3):
        for sim in simulators:
            sim.run_steps(4)
    assert simulators[0].data[net.probe].shape == (12, 1)
    assert simulators[1].data[net.probe].shape == (2, 12, 1)
    assert later not in simulators[0].data
    for sim in simulators:
        sim.close()


def test_network_in_a_model_that_exists(net, Simulator):
    model = nengo.builder.Model(dt=0.002)
    with pytest.warns(NengoWarning, match="dt=0.002, which takes the place"):
        sim = Simulator(net, model=model, unroll_simulation=1)
    assert sim.model is model
    sim.run_steps(2)
    assert np.allclose(sim.data[net.probe][:, 0], np.sin([0.02, 0.04]))
    sim.close()


def test_models_without_network(Simulator):
    """Operators and a probe made by hand; initial values are not overwritten."""

    class DummyProbe(nengo.Probe):
        def __init__(self):
            super(nengo.Probe, self).__init__(label=None, seed=None)

    Signal = nengo.builder.signal.Signal
    zero, one, five = (Signal(np.array([x], dtype=float)) for x in (0, 1, 5))
    array = Signal(np.array([1.0, 2.0, 3.0]))
    model = nengo.builder.Model(dt=0)
    model.operators += [
        nengo.builder.operator.ElementwiseInc(zero, zero, five),
        nengo.builder.operator.DotInc(zero, one, array),
    ]
    with (
        pytest.warns(NengoWarning, match="dt=0"),
        pytest.warns(UserWarning, match="No top-level network"),
    ):
        sim = Simulator(None, model=model, unroll_simulation=1)
    for _ in range(3):
        for signal in (zero, one, five, array):
            assert (sim.signals[signal] == signal.initial_value).all()
        sim.step()
    sim.close()
