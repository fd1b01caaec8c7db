"""Steps that call Python, cut at the calls: the same numbers, from the same calls."""

from __future__ import annotations

import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.execution.rotation import Rotation


def logging_network(log, last=None):
    """A loop of neurons and two Nodes in a row, with learning, that logs all calls."""

    def logged(name, function):
        def node_function(t, *x):
            log.append((name, round(t / 0.001)))
            if last is not None and log[-1] == last:
                raise ValueError(f"That was {name}")
            return function(t, *x)

        return node_function

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", keep_history=True)
        stimulus = nengo.Node(logged("stimulus", lambda t: np.sin(50 * t)))
        a = nengo.Ensemble(10, 1)
        first = nengo.Node(logged("first", lambda t, x: x + t), size_in=1)
        second = nengo.Node(logged("second", lambda t, x: [x[0], -x[0]]), size_in=1)
        error = nengo.Node(size_in=2)
        nengo.Connection(stimulus, a)
        nengo.Connection(a, first, synapse=None)
        nengo.Connection(first, second, synapse=None)
        learned = nengo.Connection(
            a, error, function=lambda x: [0, 0], learning_rule_type=nengo.PES(1e-3)
        )
        nengo.Connection(error, learned.learning_rule)
        nengo.Connection(second, error, transform=-1)
        nengo.Connection(second[0], a, transform=0.5)
        nengo.Probe(a.neurons)
        nengo.Probe(second, sample_every=0.003)
        nengo.Probe(learned, "weights")
        net.config[nengo.Probe].keep_history = True
        kept = nengo.Probe(error)
        net.config[kept].keep_history = False
    return net


def test_same_numbers_from_the_same_calls():
    log = []
    net = logging_network(log)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(14)
    log.clear()
    with nengo_dl.Simulator(
        net, device="/cpu:0", minibatch_size=2, progress_bar=False
    ) as sim:
        assert Rotation.possible(sim.tensor_graph.step)
        for n_steps in (2, 11, 1):
            sim.run_steps(n_steps)
        steps = [names for n in range(1, 15) for names in calls_of_step(n)]
        assert log == steps
        *probes, kept = net.all_probes
        for probe in probes:
            for item in range(2):
                np.testing.assert_allclose(
                    sim.data[probe][item], ref.data[probe], atol=1e-10
                )
        np.testing.assert_allclose(sim.data[kept][:, 0], [ref.data[kept][-1]] * 2)


def calls_of_step(n, minibatch_size=2):
    """Functions of time are called once for the minibatch, others item by item."""
    others = [(name, n) for name in ("first", "second") for _ in range(minibatch_size)]
    return [("stimulus", n), *others]


@pytest.mark.parametrize("last", [("stimulus", 4), ("second", 4), ("stimulus", 1)])
def test_errors(last):
    log = []
    net = logging_network(log, last)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        with pytest.raises(ValueError, match=f"That was {last[0]}"):
            sim.run_steps(6)
        assert log[-1] == last
        assert sim.n_steps == 0


def test_one_call_and_one_program_for_each_step():
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(lambda t: t)
        a = nengo.Ensemble(10, 1)
        node = nengo.Node(lambda t, x: 2 * x, size_in=1)
        nengo.Connection(stimulus, a)
        nengo.Connection(a, node)
        nengo.Connection(node, a)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        engine = sim.tensor_graph.engine
        graph = engine.function(engine.block_steps).graph.as_graph_def()
    functions = graph.library.function
    compiled = [f.signature.name for f in functions if "_XlaMustCompile" in f.attr]
    assert len(compiled) == 1
    (body,) = (f for f in functions if any(n.op == "PyFunc" for n in f.node_def))
    assert [n.op for n in body.node_def].count("PyFunc") == 1
    assert [n.op for n in body.node_def].count("PartitionedCall") == 1


@pytest.mark.parametrize("jit_compile", [True, False])
def test_only_compiled_steps(jit_compile):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(jit_compile=jit_compile)
        node = nengo.Node(lambda t, x: 2 * x, size_in=1)
        nengo.Connection(nengo.Ensemble(10, 1), node, synapse=None)
        nengo.Probe(node)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        assert Rotation.possible(sim.tensor_graph.step) is jit_compile
