"""Processes that only NumPy can run."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError
from process_builders.process_operators import (
    DelayedLowpass,
    OtherMatrices,
    SlowLowpass,
    sim_process,
)

import nengo_dl
from nengo_dl.process_builders import GenericProcessBuilder, SimProcessBuilder


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
        builder.calls.run(0.001, [np.zeros(2)], [], [])
