"""
Builders of processes with input: synapses of matrices, delays, and Python processes.

That synapses of vectors give the numbers of Nengo is in ``test_reference``.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder import Signal
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError
from nengo.synapses import LinearFilter

import nengo_dl
from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.process_builders import (
    GenericProcessBuilder,
    LinearFilterBuilder,
    LowpassBuilder,
    SimProcessBuilder,
    TriangleBuilder,
)
from nengo_dl.signals import SignalDict

# Pairs of synapses that are merged: all kinds of steps, analog and digital.
OMEGA = 200.0
BUTTERWORTH = [1, 2.6131 * OMEGA, 3.4142 * OMEGA**2, 2.6131 * OMEGA**3, OMEGA**4]
PAIRS = [
    (nengo.Lowpass(0.005), nengo.Lowpass(0.1)),
    (nengo.Lowpass(0), nengo.Lowpass(2e-5)),
    (nengo.Lowpass(0.005, method="euler"), nengo.Lowpass(0.01, method="bilinear")),
    (nengo.Alpha(0.005), nengo.Alpha(0.1)),
    (nengo.Triangle(0.008), nengo.Triangle(0.008, seed=1)),
    (nengo.Triangle(0), nengo.Triangle(0.0004)),
    (LinearFilter([3], [2]), LinearFilter([0.5], [1])),  # NoX
    (LinearFilter([1], [0.02, 1]), LinearFilter([2], [0.1, 3])),  # OneX
    (LinearFilter([1], [1, 0.04, 1]), LinearFilter([2], [1, 0.4, 1])),  # NoD
    (LinearFilter([OMEGA**4], BUTTERWORTH), LinearFilter([1e9], BUTTERWORTH)),
    (  # General, the second one with C = 0
        LinearFilter([0.5, 0.1], [1, -0.9], analog=False),
        LinearFilter([0.5, -0.45], [1, -0.9], analog=False),
    ),
    (
        LinearFilter([0.2, 0.1, 0.3], [1, -0.9, 0.2], analog=False),
        LinearFilter([1, 0.04, 1], [1, 0.4, 2]),
    ),
]
IDS = [f"{type(x).__name__}{i}" for i, (x, _) in enumerate(PAIRS)]
N_STEPS = 100


def pair_network():
    """Returns a network, its input, the probes of each pair, and probes of weights."""
    with nengo.Network(seed=0) as net:
        stim = nengo.Node(size_in=0, size_out=3, output=np.zeros(3))
        learner = nengo.Ensemble(4, 2, neuron_type=nengo.RectifiedLinear())
        post = nengo.Node(size_in=2)
        conn = nengo.Connection(
            learner, post, learning_rule_type=nengo.PES(1e-2, pre_synapse=0.01)
        )
        nengo.Connection(stim[:2], conn.learning_rule, synapse=None)
        probes = {
            (i, j): nengo.Probe(stim, synapse=synapse)
            for i, pair in enumerate(PAIRS)
            for j, synapse in enumerate(pair)
        }
        weights = {
            i: nengo.Probe(conn, "weights", synapse=first)
            for i, (first, _) in enumerate(PAIRS)
        }
    return net, stim, probes, weights


@pytest.fixture(scope="module", params=["compiled", "plain"])
def runs(request):
    """Returns probed data of both simulators, for a minibatch of three."""
    net, stim, probes, weights = pair_network()
    with net:
        nengo_dl.configure_settings(
            dtype="float64", jit_compile=request.param == "compiled"
        )
    inputs = np.random.RandomState(0).uniform(-1, 1, size=(3, N_STEPS, 3))
    with nengo_dl.Simulator(net, minibatch_size=3, progress_bar=False) as sim:
        sim.run_steps(33, data={stim: inputs[:, :33]})
        sim.run_steps(N_STEPS - 33, data={stim: inputs[:, 33:]})
        plan = sim.tensor_graph.plan
    references = []
    for item in inputs:
        stim.output = lambda t, item=item: item[int(round(t / 0.001)) - 1]
        with nengo.Simulator(net, progress_bar=False) as ref:
            ref.run_steps(N_STEPS)
        references.append(ref)
    return probes, weights, sim, references, plan, inputs


def check_close(sim, references, probe):
    for item, ref in enumerate(references):
        np.testing.assert_allclose(
            sim.data[probe][item], ref.data[probe], rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=IDS)
def test_weights_of_two_dimensions(runs, i):
    _, weights, sim, references, *_ = runs
    assert sim.data[weights[i]].shape == (3, N_STEPS, 2, 4)
    assert np.any(sim.data[weights[i]][0] != sim.data[weights[i]][1])
    check_close(sim, references, weights[i])


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=IDS)
def test_filt_with_a_delay(runs, i):
    probes, _, sim, _, _, inputs = runs
    for j, synapse in enumerate(PAIRS[i]):
        for item in range(3):
            expected = synapse.filt(inputs[item], y0=0)
            np.testing.assert_allclose(
                sim.data[probes[i, j]][item, 1:], expected[:-1], atol=1e-10
            )


def test_pairs_are_merged(runs):
    *_, plan, _ = runs
    groups = [
        {op.process for op in ops} for ops in plan if isinstance(ops[0], SimProcess)
    ]
    for pair in PAIRS:
        assert any(set(pair) <= group for group in groups), pair


# -- which builder --------------------------------------------------------------------


def sim_process(process, mode="update", n=2, marked=False, shape=None):
    """Returns a `SimProcess` operator."""
    shape = (n,) if shape is None else shape
    state = process.make_state(shape, shape, 0.001)
    state = {name: Signal(value, name=name) for name, value in state.items()}
    op = SimProcess(
        process,
        Signal(shape=shape, name="input"),
        Signal(shape=shape, name="output"),
        Signal(np.zeros(()), name="t"),
        mode=mode,
        state=state,
    )
    for signal in op.all_signals:
        signal.trainable, signal.minibatched = None, True
    return op


class DelayedLowpass(nengo.Lowpass):
    """Changes the maths of its parent."""

    def make_step(self, shape_in, shape_out, dt, rng, state):
        step = super().make_step(shape_in, shape_out, dt, rng, state)
        last = np.zeros(shape_in)

        def step_delayed(t, x):
            y = np.array(step(t, last))
            last[...] = x
            return y

        return step_delayed


class SlowLowpass(nengo.Lowpass):
    """Changes nothing but a default."""

    def __init__(self, tau=0.1):
        super().__init__(tau)


class OtherMatrices(LinearFilter):
    """Changes the matrices of its parent."""

    def _get_ss(self, dt):
        A, B, C, D = super()._get_ss(dt)
        return A, B, 2 * C, D


def builder_of(*args, **kwargs):
    return SimProcessBuilder.builder_class(sim_process(*args, **kwargs))


def test_builder_classes():
    assert builder_of(nengo.Lowpass(0.1)) is LowpassBuilder
    assert builder_of(nengo.Lowpass(0.1), mode="set") is LowpassBuilder
    assert builder_of(nengo.Lowpass(0.1), mode="inc") is LinearFilterBuilder
    assert builder_of(nengo.Lowpass(0.1, method="euler")) is LinearFilterBuilder
    assert builder_of(SlowLowpass()) is LowpassBuilder
    assert builder_of(nengo.Alpha(0.1)) is LinearFilterBuilder
    assert builder_of(nengo.Triangle(0.01)) is TriangleBuilder
    assert builder_of(DelayedLowpass(0.1)) is GenericProcessBuilder
    assert builder_of(OtherMatrices([1], [0.1, 1])) is GenericProcessBuilder


def test_carried():
    def carried(*args, **kwargs):
        op = sim_process(*args, **kwargs)
        return Builder.builder_of(op).carried(op), op

    output, op = carried(nengo.Lowpass(0.1), mode="set")
    assert output == [op.output]
    assert carried(nengo.Lowpass(0.1))[0] == []
    assert carried(nengo.Alpha(0.1), mode="set")[0] == []
    assert carried(DelayedLowpass(0.1), mode="set")[0] == []


def test_unused():
    op = sim_process(nengo.Lowpass(0.1))
    assert Builder.builder_of(op).unused(op) == [op.state["X"]]
    op = sim_process(nengo.Alpha(0.1))
    assert Builder.builder_of(op).unused(op) == []


def test_lowpass_filters_of_different_sizes(Simulator):
    with nengo.Network() as net:
        nengo_dl.configure_settings(dtype="float64")
        probes = []
        for size, tau in ((1, 0.01), (3, 0.02), (2, 0.01)):
            stim = nengo.Node(lambda t, size=size: np.sin(50 * t + np.arange(size)))
            probes.append(nengo.Probe(stim, synapse=tau))
    with Simulator(net) as sim:
        sim.run_steps(20)
        groups = [ops for ops in sim.tensor_graph.plan if type(ops[0]) is SimProcess]
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    assert [len(ops) for ops in groups] == [3]
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe], ref.data[probe], atol=1e-12)


@pytest.mark.training
def test_gradients_of_alpha(Simulator):
    with nengo.Network() as net:
        nengo_dl.configure_settings(dtype="float64")
        a, b = nengo.Node([0]), nengo.Node(size_in=1)
        nengo.Connection(a, b, synapse=nengo.Alpha(0.003))
        probe = nengo.Probe(b, synapse=nengo.Alpha(0.002))
    with Simulator(net, unroll_simulation=1) as sim:
        gradient = sim.check_gradients([np.zeros((1, 8, 1))])[probe]["analytic"][0]
    response = np.eye(8, 1)
    for synapse in (nengo.Alpha(0.003), nengo.Alpha(0.002)):
        response = synapse.filt(response, y0=0)
    np.testing.assert_allclose(gradient[2:, 0], response[:-2, 0], rtol=1e-6)


def are_mergeable(x, y, **kwargs):
    forth = mergeable(sim_process(y, **kwargs), [sim_process(x)])
    back = mergeable(sim_process(x), [sim_process(y, **kwargs)])
    assert forth == back
    return forth


def test_mergeable():
    lowpass, alpha = nengo.Lowpass(0.1), nengo.Alpha(0.1)
    one_x = LinearFilter([1], [0.02, 1])
    assert are_mergeable(lowpass, nengo.Lowpass(0.2))
    assert are_mergeable(lowpass, lowpass, n=3)
    assert not are_mergeable(lowpass, lowpass, mode="set")
    assert not are_mergeable(lowpass, one_x)
    assert are_mergeable(alpha, LinearFilter([1], [1, 0.04, 1]))
    assert not are_mergeable(alpha, LinearFilter([1, 2], [1, 0.04, 1]))
    assert not are_mergeable(alpha, one_x)
    assert not are_mergeable(alpha, alpha, n=3)
    assert not are_mergeable(alpha, nengo.Triangle(0.001))
    assert are_mergeable(nengo.Triangle(0.01), nengo.Triangle(0.01))
    assert not are_mergeable(nengo.Triangle(0.01), nengo.Triangle(0.02))
    assert are_mergeable(DelayedLowpass(0.1), DelayedLowpass(0.2))
    assert not are_mergeable(DelayedLowpass(0.1), nengo.Alpha(0.1))


@pytest.mark.parametrize("mode", ["set", "inc", "update"])
@pytest.mark.parametrize(
    "process", [nengo.Lowpass(0.01), nengo.Alpha(0.01), DelayedLowpass(0.01)]
)
def test_modes(process, mode):
    op = sim_process(process, mode=mode)
    signals = SignalDict("float64", 2)
    signals.dt, signals.dt_val = tf.constant(0.001, "float64"), 0.001
    signals.process_rngs = {op: [np.random.RandomState(0)] * 2}
    for i, signal in enumerate(op.all_signals):
        if signal is op.t:
            signal.minibatched = False
            signals.get_tensor_signal([(0, 1)], "t", "float64", (), False, signal)
            signals.bases["t"], signals.base_shapes["t"] = (
                tf.zeros((1,), "float64"),
                (1,),
            )
            continue
        key, shape = str(i), signal.shape
        signals.get_tensor_signal([(0, shape[0])], key, "float64", shape, True, signal)
        signals.base_shapes[key] = (2, *shape)
        signals.bases[key] = tf.zeros((2, *shape), "float64")
    builder = SimProcessBuilder([op])
    builder.build_pre(
        signals, BuildConfig(False, None, True, np.random.RandomState(0), False)
    )
    builder.build_post(signals)

    reference = nengo.builder.signal.SignalDict()
    op.init_signals(reference)
    step = op.make_step(reference, 0.001, np.random)
    rng = np.random.RandomState(0)
    for _ in range(5):
        u = rng.uniform(-1, 1, size=2)
        reference[op.input][...] = u
        signals.scatter(op.input, tf.constant([u, u]))
        step()
        builder.build_step(signals)
        np.testing.assert_allclose(
            signals.gather(op.output)[1], reference[op.output], atol=1e-12
        )


# -- Python processes -----------------------------------------------------------------


class Accumulator(nengo.Process):
    """Adds up its input (and noise), in a state variable and outside of it."""

    def __init__(self, noise=0.0, **kwargs):
        super().__init__(default_size_in=2, default_size_out=3, **kwargs)
        self.noise = noise

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"total": np.zeros(shape_in), "count": np.zeros(1, dtype=np.int64)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        total, count = state["total"], state["count"]

        def step(t, x):
            total[...] += x + self.noise * rng.uniform(size=x.shape)
            count[...] += 1
            x[...] = np.nan  # nobody else may see this
            return [*total, count[0] + t]

        return step


def accumulator_network(**kwargs):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: [np.sin(50 * t), t])
        nodes = [nengo.Node(Accumulator(**kwargs)) for _ in range(2)]
        for i, node in enumerate(nodes):
            nengo.Connection(stim, node, synapse=None, transform=i + 1)
        probes = [nengo.Probe(obj) for obj in (stim, *nodes)]
    return net, probes


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("minibatch_size", [None, 3])
def test_python_process(Simulator, minibatch_size, noise):
    net, probes = accumulator_network(noise=noise)
    # the optimizer changes the order in which processes get their seeds
    with nengo.Simulator(net, seed=1, optimize=False, progress_bar=False) as ref:
        ref.run_steps(20)
    with Simulator(
        net, seed=1, minibatch_size=minibatch_size, unroll_simulation=1
    ) as sim:
        builder = sim.tensor_graph.op_builder
        (build,) = (
            build
            for build in builder.op_builds.values()
            if isinstance(build, SimProcessBuilder)
        )
        assert isinstance(build.built_process, GenericProcessBuilder)
        for _ in range(2):
            sim.run_steps(7)
            sim.run_steps(5, stateful=False)
            sim.run_steps(13)
            for probe in probes:
                data = sim.data[probe]
                data = data if minibatch_size is None else data[0]
                data = np.delete(data, np.arange(7, 12), axis=0)
                np.testing.assert_allclose(data, ref.data[probe], atol=1e-12)
            if noise and minibatch_size:
                assert np.all(
                    sim.data[probes[1]][0, :, :2] != sim.data[probes[1]][1, :, :2]
                )
            sim.reset()


def test_seeded_python_process(Simulator):
    net, probes = accumulator_network(noise=1, seed=5)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
    for probe in probes:
        np.testing.assert_array_equal(*sim.data[probe])


def test_python_synapses(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: [np.sin(50 * t), t])
        target = nengo.Node(size_in=2)
        nengo.Connection(stim, target, synapse=DelayedLowpass(0.01))
        nengo.Connection(stim, target, synapse=OtherMatrices([1], [0.01, 1]))
        probe = nengo.Probe(target, synapse=SlowLowpass())
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(20)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    np.testing.assert_allclose(sim.data[probe][1], ref.data[probe], atol=1e-12)


class Failing(nengo.Process):
    """Fails at some time, after it has changed its state."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"total": np.zeros(shape_in)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        def step(t, x):
            state["total"][...] += 1
            if round(t / dt) == 8:
                raise ZeroDivisionError("on purpose")
            return state["total"]

        return step


def test_failing_python_process(Simulator):
    with nengo.Network() as net:
        process = Failing(default_size_in=1)
        node = nengo.Node(process)
        nengo.Connection(nengo.Node([1]), node, synapse=None)
        probe = nengo.Probe(node)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(5)
        with pytest.raises(ZeroDivisionError, match="on purpose"):
            sim.run_steps(5)
        sim.run_steps(2)
        np.testing.assert_array_equal(np.ravel(sim.data[probe]), np.arange(1, 8))


def test_python_process_is_started_before_it_runs():
    op = sim_process(DelayedLowpass(0.1))
    builder = GenericProcessBuilder([op])
    with pytest.raises(SimulationError, match="build_post"):
        builder.calls.run(0.001, [np.zeros((1, 2))])


# -- other ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_triangle_does_not_drift(Simulator, dtype):
    with nengo.Network() as net:
        nengo_dl.configure_settings(dtype=dtype)
        stim = nengo.Node(lambda t: np.cos(0.9 * t / 0.001) if t < 3.0005 else 0)
        probe = nengo.Probe(stim, synapse=nengo.Triangle(0.01))
    with Simulator(net) as sim:
        sim.run_steps(3020)
    assert np.all(sim.data[probe][3012:] == 0)
