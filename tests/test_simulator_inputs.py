"""What users feed into a simulation."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError
from nengo.processes import Piecewise, WhiteNoise, WhiteSignal

from nengo_dl.config import configure_settings
from nengo_dl.execution import engine


@pytest.fixture(scope="module")
def net():
    with nengo.Network() as net:
        net.a = nengo.Node([1, 2, 3], label="a")
        net.b = nengo.Node(np.sin, size_out=1)
        part = net.relay = nengo.Node(size_in=2, label="relay")
        nengo.Connection(net.a[:2], part, synapse=None)
        net.pa, net.pb, net.part = (nengo.Probe(node) for node in (net.a, net.b, part))
    return net


@pytest.fixture(scope="module")
def sim(net, Simulator):
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        yield sim


@pytest.fixture
def values():
    return np.random.RandomState(0).uniform(-1, 1, size=(4, 6, 3))


def run(sim, data, n_steps=6, **kwargs):
    sim.reset()
    sim.run_steps(n_steps, data=data, **kwargs)


def test_fed_values_are_what_is_simulated(sim, net, values):
    run(sim, {net.a: values})
    assert np.allclose(sim.data[net.pa], values)
    assert np.allclose(sim.data[net.part], values[..., :2])
    # what is not given is generated
    assert np.allclose(sim.data[net.pb][3, :, 0], np.sin(sim.trange()))
    run(sim, None)
    assert np.allclose(sim.data[net.pa], [1, 2, 3])


def test_forms_of_data(sim, net, values):
    other = values[..., :1]
    for data in ({"a": values, "node": other}, [values, other], (values, other)):
        run(sim, data)
        assert np.allclose(sim.data[net.pa], values)
        assert np.allclose(sim.data[net.pb], other)
    with pytest.warns(
        UserWarning, match=r"arrays \(1\) does not match number of Nodes"
    ):
        run(sim, values)
    assert np.allclose(sim.data[net.pa], values)


@pytest.mark.parametrize(
    "convert",
    [np.float64, np.float16, np.uint8, np.int64, np.ndarray.tolist, tf.constant],
)
def test_types_of_data(sim, net, values, convert):
    values = np.round(100 * np.abs(values))
    run(sim, {net.a: convert(values)})
    assert np.allclose(sim.data[net.pa], values)
    assert sim.data[net.pa].dtype == sim.tensor_graph.dtype


def test_number_of_steps_among_the_data(sim, net, values):
    run(sim, {net.a: values, "n_steps": np.full((4, 1), 6)})
    assert np.allclose(sim.data[net.pa], values)


@pytest.mark.parametrize(
    "data, error, message",
    [
        (np.ones((8, 6, 3)), ValidationError, "does not match expected size"),
        (np.ones((1, 6, 3)), ValidationError, r"Batch size of data \(1\)"),
        (np.ones((4, 7, 3)), ValidationError, "does not match expected size"),
        (np.ones(6), ValidationError, "should have rank 3"),
        (np.ones((4, 6)), ValidationError, "size_out=3"),
        (np.ones((4, 6, 2)), ValidationError, "size_out=3"),
        (np.full((4, 6, 3), np.nan), ValidationError, "contain NaN"),
    ],
)
def test_bad_arrays(sim, net, data, error, message):
    run(sim, None, n_steps=3)
    before = sim.data[net.pb]
    with pytest.raises(error, match=message):
        sim.run_steps(6, data={net.a: data})
    assert sim.n_steps == 3
    assert (sim.data[net.pb] == before).all()


def test_bad_dictionaries(sim, net, values):
    with nengo.Network():
        foreign = nengo.Node([0])
    for key, message in [
        ("c", "'c' is not a valid node name"),
        (foreign, "not a valid node name"),
        (net.relay, "not a valid node name"),
        ("relay", "not a valid node name"),
        (net.pa, "not a valid input"),
    ]:
        with pytest.raises(ValidationError, match=message):
            sim.run_steps(6, data={key: values})
    with pytest.raises(ValidationError, match="does not match the number of steps"):
        sim.run_steps(6, data={"n_steps": np.full((4, 1), 5)})
    with pytest.raises(SimulationError, match="automatically add n_steps"):
        sim.run_steps(1, data=range(5))


def test_generated_inputs(Simulator):
    process = WhiteNoise(seed=0)
    with nengo.Network() as net:
        configure_settings(dtype="float64")
        nodes = [
            nengo.Node([1]),
            nengo.Node(np.sin, size_out=1),
            nengo.Node(process, size_out=1),
            nengo.Node([2]),
            nengo.Node(WhiteNoise(), size_out=1),
        ]
        probes = [nengo.Probe(node) for node in nodes]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        given = np.zeros((2, 3, 1))
        sim.run_steps(3, data={nodes[0]: given})
        first = [sim.data[probe] for probe in probes]
        assert (first[0] == 0).all()
        assert np.allclose(first[1], np.sin(sim.trange())[:, None])
        assert np.allclose(first[2], process.run_steps(3))
        assert (first[3] == 2).all()
        assert not np.allclose(first[4][0], first[4][1])

        sim.reset()
        sim.run_steps(3, data={nodes[0]: given})
        for probe, values in zip(probes, first):
            assert (sim.data[probe] == values).all()


def test_every_function_is_called_once_per_step(Simulator):
    calls = []
    with nengo.Network() as net:
        nengo.Node(lambda t: calls.append(t) or 0)
    with Simulator(net, unroll_simulation=1, minibatch_size=3) as sim:
        sim.run_steps(10)
        assert len(calls) == 11
        sim.run_steps(2, stateful=False)
        assert calls[-2:] == [11 * 0.001, 12 * 0.001]


def test_equal_processes_are_independent(Simulator):
    with nengo.Network() as net:
        nodes = [nengo.Node(WhiteSignal(1, 10), size_out=n) for n in (2, 2, 3)]
        probes = [nengo.Probe(node) for node in nodes]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(10)
        data = [sim.data[probe] for probe in probes]
    assert [x.shape for x in data] == [(10, 2), (10, 2), (10, 3)]
    assert not np.allclose(data[0], data[1])


def test_outputs_are_those_at_construction(Simulator):
    outputs = ([1.0], lambda t: 2.0, Piecewise({0: 3.0}))
    with nengo.Network() as net:
        nodes = [nengo.Node(output, size_out=1) for output in outputs for _ in outputs]
        probes = [nengo.Probe(node) for node in nodes]
    with Simulator(net, unroll_simulation=1) as sim:
        for i, node in enumerate(nodes):
            node.output = ([10.0], lambda t: 10.0, Piecewise({0: 10.0}))[i % 3]
        for _ in range(2):
            sim.step()
            assert [sim.data[p][-1, 0] for p in probes] == [1] * 3 + [2] * 3 + [3] * 3
            sim.reset()


class Environment:
    """Something with a state that a network senses, and acts upon."""

    def __init__(self):
        self.log = []
        with nengo.Network(seed=0) as self.net:
            configure_settings(dtype="float64")
            self.sensor = nengo.Node(self.sense, size_out=2)
            motor = nengo.Node(self.act, size_in=1, size_out=0)
            nengo.Node(self.watch, size_in=0, size_out=0)
            ens = nengo.Ensemble(30, 2)
            nengo.Connection(self.sensor, ens)
            nengo.Connection(ens, motor, function=lambda x: -x[0])
            self.probe = nengo.Probe(self.sensor)
        self.reset()

    def reset(self):
        self.position = 1.0
        self.log.clear()

    def sense(self, t):
        self.log.append(("sense", t))
        return [self.position, t]

    def act(self, t, x):
        self.log.append(("act", t))
        self.position += 0.1 * x[0]

    def watch(self, t):
        self.log.append(("watch", t))


@pytest.mark.parametrize("block_steps", [5, 1024])
def test_functions_that_share_something(block_steps, Simulator, monkeypatch):
    """What functions within the step do is seen by functions of time alone."""
    monkeypatch.setattr(engine, "MAX_BLOCK_STEPS", block_steps)
    env = Environment()
    with nengo.Simulator(env.net, progress_bar=False) as ref:
        env.reset()
        ref.run_steps(20)
    expected_log = list(env.log)
    with Simulator(env.net, unroll_simulation=1) as sim:
        env.reset()
        sim.run_steps(8)
        for _ in range(12):
            sim.step()
        assert np.allclose(sim.data[env.probe], ref.data[env.probe], atol=1e-10)
        for kind in ("sense", "act", "watch"):
            calls = [call for call in env.log if call[0] == kind]
            assert calls == [call for call in expected_log if call[0] == kind]
        assert env.log.index(("sense", 0.002)) > env.log.index(("act", 0.001))

        env.reset()
        sim.reset()
        data = np.random.RandomState(0).uniform(size=(1, 12, 2))
        sim.run_steps(12, data={env.sensor: data})
        assert np.allclose(sim.data[env.probe], data[0])
        assert "sense" not in dict(env.log)


@pytest.mark.parametrize("output", [None, np.inf, "x", [1, 2]])
@pytest.mark.parametrize("size_in, is_interactive", [(0, False), (0, True), (1, True)])
def test_useless_outputs(output, size_in, is_interactive, Simulator):
    """They are errors wherever the function runs, and change nothing."""

    def func(t, *x):
        return 0 if t < 0.0025 else output

    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node(func, size_in=size_in, size_out=1, label="me"))
        if is_interactive:
            nengo.Node(lambda t, x: None, size_in=1, size_out=0)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
        with pytest.raises(SimulationError, match="Function `func`") as error:
            sim.run_steps(2)
        assert any("SimulationError detected" in n for n in error.value.__notes__)
        assert any("me" in n for n in error.value.__notes__)
        assert sim.n_steps == 2 and len(sim.data[probe]) == 2
