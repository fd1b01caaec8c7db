"""
The builder of a Python function, against the operator's own NumPy step.

`builder_oracle.check` gives all signals random values, for minibatches of one and of
several items, and compares all signals after the step.
"""

from __future__ import annotations

import nengo
import numpy as np
from builder_oracle import base_signals, check, run_builder, signal
from nengo.builder.operator import SimPyFunc
from nengo.builder.signal import Signal

from nengo_dl.graph_optimizer import mergeable


def test_mergeable_functions():
    time = Signal(0.0)

    def function(t):
        return SimPyFunc(Signal(shape=1), np.sin, t, Signal(shape=1))

    assert mergeable(function(time), [function(time)])
    assert mergeable(function(None), [function(None)])
    assert not mergeable(function(time), [function(None)])
    assert not mergeable(function(time), [function(Signal(0.0))])


def test_pyfunc():
    def function(x):
        return [x[0] * x[1], x[0]]

    check([SimPyFunc(signal(2), function, None, signal(2))])
    check([SimPyFunc(signal(2), function, None, signal(2)) for _ in range(2)])
    check([SimPyFunc(signal(1), lambda x: x.sum(), None, signal(3))])
    check(
        [
            SimPyFunc(signal(1), np.sum, None, signal(3)),
            SimPyFunc(signal(2), function, None, signal(2)),
        ]
    )
    check([SimPyFunc(signal(2), function, None, signal(2, shared=True))])


def test_pyfunc_gets_the_time_as_a_float():
    times = []
    time = Signal(np.array(0.5), name="time")
    time.minibatched = False
    op = SimPyFunc(signal(1), lambda t, x: times.append(t) or x, time, signal(1))
    values = {s: np.full((2, *s.shape), 1.0) for s in base_signals([op])}
    values[time] = np.array(0.5)
    results, _ = run_builder([op], values, minibatch_size=2, dtype="float32")
    # that of step 1, in double precision
    assert times == [0.001, 0.001]
    assert all(isinstance(t, float) for t in times)
    assert np.allclose(results[op.output], 1)


def test_pyfunc_gets_copies():
    arrays = []

    def function(x):
        arrays.append(x)
        x *= 0
        return x

    x = signal(2)
    op = SimPyFunc(signal(2), function, None, x)
    values = {s: np.ones((3, 2)) for s in base_signals([op])}
    results, _ = run_builder([op], values, minibatch_size=3, n_steps=2)
    assert len(arrays) == 6
    assert np.allclose(results[x], 1)
    assert np.allclose(results[op.output], 0)


def test_merged_pyfuncs(Simulator, seed):
    with nengo.Network(seed=seed) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.Direct()
        nodes = [nengo.Node(lambda t, x: t + x, size_in=1) for _ in range(2)]
        ensembles = [nengo.Ensemble(10, 1) for _ in range(2)]
        for node, ensemble in zip(nodes, ensembles):
            nengo.Connection(node, ensemble, function=lambda x: x**2)
            nengo.Connection(ensemble, ensembles[0], function=lambda x: x + 1)
        probes = [nengo.Probe(obj) for obj in nodes + ensembles]

    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(10)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
    for probe in probes:
        for item in sim.data[probe]:
            assert np.allclose(item, reference.data[probe])
