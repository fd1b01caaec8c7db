"""What is kept from run to run, what is reset, and what happens when a run fails."""

import pickle
import warnings

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_dl
from nengo_dl.config import configure_settings
from nengo_dl.execution import engine


def linear(t):
    return 10 * t


class Walk(nengo.Process):
    """A random walk with state of its own, and with an input."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"position": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        def step(t, x=0):
            state["position"][...] += rng.uniform(size=shape_out) + np.sum(x)
            return state["position"]

        return step


def full_network(**settings):
    """Return a network with state of all kinds."""
    with nengo.Network(seed=0) as net:
        configure_settings(**{"dtype": "float64", **settings})
        net.inp = nengo.Node(linear)
        noise = nengo.Node(Walk(), size_out=1)
        walk = nengo.Node(Walk(), size_in=1, size_out=1)
        net.pre, net.post = nengo.Ensemble(20, 1), nengo.Ensemble(20, 1)
        net.pre.noise = nengo.processes.FilteredNoise()
        nengo.Connection(net.inp, net.pre)
        nengo.Connection(noise, walk, synapse=0.01)
        nengo.Connection(walk, net.pre, transform=0.01)
        net.conn = nengo.Connection(
            net.pre, net.post, learning_rule_type=nengo.PES(1e-3)
        )
        nengo.Connection(net.post, net.conn.learning_rule)
        net.recorded = [
            nengo.Probe(net.post, synapse=nengo.Alpha(0.01)),
            nengo.Probe(net.pre.neurons),
            nengo.Probe(net.conn, "weights", sample_every=0.002),
            nengo.Probe(walk),
        ]
    return net


def data_of(sim):
    """Return the recorded data, also of a simulator that has been unpickled."""
    return [np.array(sim.data[probe]) for probe in sim.model.probes]


def assert_same(data, expected):
    for a, b in zip(data, expected):
        assert a.shape == b.shape
        assert np.allclose(a, b, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def expected(Simulator):
    """Return what is recorded in 30 steps without interruption."""
    with Simulator(full_network(), unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(30)
        return data_of(sim)


# -- reset -----------------------------------------------------------------------------


def test_reset(expected, Simulator):
    with Simulator(full_network(), unroll_simulation=1, minibatch_size=2) as sim:
        for _ in range(2):
            sim.run_steps(30)
            assert_same(data_of(sim), expected)
            sim.reset()
            assert (sim.n_steps, sim.time) == (0, 0)
            assert all(sim.data[probe] == [] for probe in sim.model.probes)


def test_parts_of_reset(expected, Simulator):
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        initial = sim.data[net.conn].weights
        sim.run_steps(30)
        learned = sim.data[net.conn].weights
        assert not np.allclose(learned, initial)

        sim.reset(include_trainable=False, include_probes=False)
        assert sim.n_steps == 0
        assert (sim.data[net.conn].weights == learned).all()
        assert_same(data_of(sim), expected)
        sim.run_steps(30)
        assert data_of(sim)[0].shape == (2, 60, 1)
        assert not np.allclose(data_of(sim)[0][:, 30:], expected[0])

        sim.reset(include_processes=False)
        assert (sim.data[net.conn].weights == initial).all()
        sim.run_steps(30)
        assert not np.allclose(data_of(sim)[1], expected[1])


def test_reset_with_a_seed(expected, Simulator):
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        with pytest.warns(UserWarning, match="does not affect TensorFlow operations"):
            sim.reset(seed=5)
        assert sim.seed == 5
        sim.run_steps(30)
        assert not np.allclose(data_of(sim)[3], expected[3])
        other = data_of(sim)
        sim.reset()
        sim.run_steps(30)
        assert_same(data_of(sim), other)
    with Simulator(net, unroll_simulation=1, minibatch_size=2, seed=5) as sim:
        sim.run_steps(30)
        assert_same(data_of(sim), other)


def test_pickle_after_reset_with_a_seed(Simulator):
    """What processes drew when they were started, they draw again in the copy."""
    with nengo.Network(seed=0) as net:
        signal = nengo.processes.WhiteSignal(0.1, high=100)
        probe = nengo.Probe(nengo.Node(signal, size_out=1))
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.warns(UserWarning, match="does not affect TensorFlow operations"):
            sim.reset(seed=5)
        sim.run_steps(5)
        sim.reset(objects=[])
        with pickle.loads(pickle.dumps(sim)) as copy:
            for each in (sim, copy):
                each.run_steps(5)
        assert_same(data_of(copy), [sim.data[probe]])


def test_soft_reset(Simulator):
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(10)
        learned = sim.data[net.conn].weights
        with pytest.warns(DeprecationWarning, match="use Simulator.reset"):
            sim.soft_reset()
        assert sim.n_steps == 0
        assert (sim.data[net.conn].weights == learned).all()
        assert len(sim.data[net.recorded[1]][0]) == 10
        with pytest.warns(DeprecationWarning):
            sim.soft_reset(include_trainable=True, include_probes=True)
        assert not np.allclose(sim.data[net.conn].weights, learned)
        assert sim.data[net.recorded[1]] == []


def test_clear_probes(expected, Simulator):
    with Simulator(full_network(), unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(20)
        sim.clear_probes()
        assert all(sim.data[probe] == [] for probe in sim.model.probes)
        sim.run_steps(10)
        for data, whole in zip(data_of(sim)[:2], expected):
            assert np.allclose(data, whole[:, 20:], rtol=0, atol=1e-12)


# -- stateful --------------------------------------------------------------------------


def test_runs_that_leave_no_trace(expected, Simulator):
    """All but what has been learned and recorded is as it was before."""
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        initial = sim.data[net.conn].weights
        sim.run_steps(30, stateful=False)
        assert (sim.n_steps, sim.time) == (0, 0)
        assert_same(data_of(sim), expected)
        assert not np.allclose(sim.data[net.conn].weights, initial)

        sim.tensor_graph.values.reset(include_trainable=True)
        sim.clear_probes()
        sim.run_steps(30)
        assert_same(data_of(sim), expected)


def test_stateless_simulators(Simulator):
    net = full_network(stateful=False)
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        assert sim.stateful is False
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            sim.run_steps(5)
            sim.run_steps(5, stateful=True)
        assert sim.n_steps == 0
        walk = sim.data[net.recorded[3]]
        assert np.allclose(walk[:, :5], walk[:, 5:])


def test_learning_goes_on_without_state(Simulator):
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        weights = [sim.data[net.conn].weights]
        for stateful in (False, True, False):
            sim.run_steps(5, stateful=stateful)
            weights.append(sim.data[net.conn].weights)
        assert all(not np.allclose(a, b) for a, b in zip(weights, weights[1:]))
        assert sim.n_steps == 5


# -- failures --------------------------------------------------------------------------


class FailingNode:
    """A function that raises an exception once, when it is armed."""

    def __init__(self, error):
        self.error = error
        self.fails_at = None

    def __call__(self, t, *x):
        if self.fails_at is not None and t > self.fails_at:
            self.fails_at = None
            raise self.error
        return 0.0


@pytest.mark.parametrize("size_in, is_interactive", [(0, False), (0, True), (1, True)])
@pytest.mark.parametrize("block_steps", [4, 1024])
def test_failed_runs_change_nothing(
    size_in, is_interactive, block_steps, expected, Simulator, monkeypatch
):
    monkeypatch.setattr(engine, "MAX_BLOCK_STEPS", block_steps)
    net = full_network()
    func = FailingNode(RuntimeError("failure"))
    with net:
        nengo.Node(func, size_in=size_in, size_out=1, label="fails")
        if is_interactive:
            nengo.Node(lambda t, x: None, size_in=1, size_out=0)
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(10)
        before = data_of(sim), sim.data[net.conn].weights

        for stateful in (True, False):
            func.fails_at = 0.0205
            with pytest.raises(RuntimeError, match="^failure") as caught:
                sim.run_steps(20, stateful=stateful)
            assert caught.value is func.error
            assert any("RuntimeError detected" in n for n in func.error.__notes__)
            assert any("fails" in n for n in func.error.__notes__)
            assert sim.n_steps == 10 and sim.time == 10 * 0.001
            assert_same(data_of(sim), before[0])
            assert (sim.data[net.conn].weights == before[1]).all()

        sim.run_steps(20)
        assert_same(data_of(sim), expected)


def test_failed_process(Simulator):
    class FailingProcess(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            def step(t, x):
                if t > 0.0055:
                    raise LookupError("in the process")
                return x + rng.uniform()

            return step

    with nengo.Network(seed=0) as net:
        node = nengo.Node(FailingProcess(), size_in=1, size_out=1)
        probe = nengo.Probe(node)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(5)
        first = sim.data[probe]
        with pytest.raises(LookupError, match="^in the process") as error:
            sim.step()
        assert any("FailingProcess" in note for note in error.value.__notes__)
        assert sim.n_steps == 5
        assert (sim.data[probe] == first).all()


def test_failed_neurons(Simulator):
    class FailingNeurons(nengo.PoissonSpiking):
        def step(self, dt, J, output, rng):
            super().step(dt, J, output, rng)
            if FailingNeurons.fails:
                raise LookupError("in the neurons")

    def make_net():
        with nengo.Network(seed=0) as net:
            neurons = FailingNeurons(nengo.RectifiedLinear())
            net.probe = nengo.Probe(nengo.Ensemble(50, 1, neuron_type=neurons).neurons)
        return net

    FailingNeurons.fails = False
    data = []
    for fails in (False, True):
        net = make_net()
        with pytest.warns(UserWarning, match="no native TensorFlow"):
            sim = Simulator(net, unroll_simulation=1)
        sim.run_steps(5)
        FailingNeurons.fails = fails
        if fails:
            with pytest.raises(LookupError, match="^in the neurons") as error:
                sim.run_steps(3)
            assert any("FailingNeurons" in note for note in error.value.__notes__)
            FailingNeurons.fails = False
        sim.run_steps(5)
        data.append(sim.data[net.probe])
        sim.close()
    assert (data[0] == data[1]).all()
    assert data[0].any()


@pytest.mark.parametrize("size_in", [0, 1])
def test_interrupted_by_the_user(size_in, Simulator):
    func = FailingNode(KeyboardInterrupt())
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node(func, size_in=size_in, size_out=1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
        func.fails_at = 0.0035
        with pytest.raises(KeyboardInterrupt):
            sim.run_steps(10)
        assert sim.n_steps == 2 and len(sim.data[probe]) == 2


# -- pickling --------------------------------------------------------------------------


@pytest.mark.parametrize("minibatch_size", [None, 2])
def test_pickled_in_the_middle(minibatch_size, Simulator):
    """Learned weights, processes, and recorded data go on where they were."""
    net = full_network()
    with Simulator(net, unroll_simulation=1, minibatch_size=minibatch_size) as sim:
        sim.run_steps(20)
        pickled = pickle.dumps(sim)
        sim.run_steps(10)
        with pickle.loads(pickled) as copy:
            assert copy.build_times["build"] == copy.build_times["compile"] == 0
            assert copy.build_times["trace"] > 0
            assert copy.n_steps == 20 and copy.seed == sim.seed
            assert copy.minibatch_size == sim.minibatch_size
            copy.run_steps(10)
            assert_same(data_of(copy), data_of(sim))
            copy.reset()
            sim.reset()
            copy.run_steps(5)
            sim.run_steps(5)
            assert_same(data_of(copy), data_of(sim))


def test_pickled_before_the_start(expected, Simulator):
    with Simulator(full_network(), unroll_simulation=1, minibatch_size=2) as sim:
        pickled = pickle.dumps(sim)
    with pickle.loads(pickled) as copy:
        copy.run_steps(30)
        assert_same(data_of(copy), expected)


def test_pickled_after_the_end(expected, Simulator):
    with Simulator(full_network(), unroll_simulation=1, minibatch_size=2) as sim:
        sim.run_steps(30)
    copy = pickle.loads(pickle.dumps(sim))
    assert copy.closed
    assert dict(copy.build_times) == dict(sim.build_times)
    assert copy.n_steps == 30 and copy.time == sim.time
    assert_same(data_of(copy), expected)
    assert [copy.get_name(probe) for probe in copy.model.probes] == [
        sim.get_name(probe) for probe in sim.model.probes
    ]


def test_damaged_pickles(recwarn):
    """Of a simulator that has never been built, there is nothing to close."""
    with pytest.raises(TypeError, match="network"):
        nengo_dl.Simulator()
    sim = nengo_dl.Simulator(nengo.Network(), device="/cpu:0", progress_bar=False)
    state = sim.__getstate__()
    pickled = pickle.dumps(sim)
    sim.close()
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        pickle.loads(pickled[:-10])
    for name in ("_simulation", "closed", "minibatched"):
        damaged = nengo_dl.Simulator.__new__(nengo_dl.Simulator)
        with pytest.raises((KeyError, AttributeError)):
            damaged.__setstate__({k: v for k, v in state.items() if k != name})
        damaged.__del__()
        assert damaged.closed is None
    assert not recwarn.list


@pytest.mark.parametrize("seed", [-1, "x", 5.0, 2**40])
def test_bad_seeds(seed, Simulator):
    with nengo.Network(seed=0) as net:
        probe = nengo.Probe(nengo.Node(nengo.processes.WhiteNoise(), size_out=1))
    with pytest.raises(ValidationError, match="seed: must be an integer"):
        Simulator(net, seed=seed)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
        before = sim.seed, sim.n_steps, sim.data[probe].copy()
        with pytest.raises(ValidationError, match="seed: must be an integer"):
            sim.reset(seed=seed)
        after = sim.seed, sim.n_steps, sim.data[probe]
        assert after[:2] == before[:2] and np.array_equal(after[2], before[2])
