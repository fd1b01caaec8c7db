"""
Builders of synapses: matrices, delays, and gradients.

That synapses of vectors give the numbers of Nengo is in ``test_reference``.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo.builder.processes import SimProcess
from nengo.synapses import LinearFilter

import nengo_dl
from nengo_dl.op_builders.base import MIN_ALONE
from nengo_dl.process_builders import LowpassBuilder

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_triangle_does_not_drift(Simulator, dtype):
    with nengo.Network() as net:
        nengo_dl.configure_settings(dtype=dtype)
        stim = nengo.Node(lambda t: np.cos(0.9 * t / 0.001) if t < 3.0005 else 0)
        probe = nengo.Probe(stim, synapse=nengo.Triangle(0.01))
    with Simulator(net) as sim:
        sim.run_steps(3020)
    assert np.all(sim.data[probe][3012:] == 0)


@pytest.mark.parametrize("size, n_parts", [(MIN_ALONE, 2), (5, 1)])
def test_large_lowpass_filters_are_not_put_side_by_side(size, n_parts, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        a = nengo.Node(lambda t: np.sin(20 * t + np.arange(size)))
        b = nengo.Node(lambda t: [np.cos(20 * t)])
        neurons = nengo.Ensemble(size, 1, neuron_type=nengo.Sigmoid()).neurons
        nengo.Connection(a, neurons, synapse=0.01)
        probes = [nengo.Probe(neurons), nengo.Probe(b, synapse=0.05)]
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(20)
        builds = sim.tensor_graph.step.builder.op_builds.values()
    (lowpass,) = (
        build.implementation
        for build in builds
        if isinstance(build.implementation, LowpassBuilder)
    )
    assert len(lowpass.parts) == n_parts
    for probe in probes:
        check_close(sim, [ref] * 2, probe)
