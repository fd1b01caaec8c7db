"""Which builder a process gets, and what is merged."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.synapses import LinearFilter
from process_builders.process_operators import (
    DelayedLowpass,
    OtherMatrices,
    SlowLowpass,
    sim_process,
)

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
    signals.step = tf.constant(1)
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
