"""Which neurons are merged, and what they carry from step to step."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Signal
from nengo.builder.neurons import SimNeurons
from neuron_oracle import sim_neurons

from nengo_dl.builder import Builder
from nengo_dl.graph_optimizer import mergeable


def dummy_op(neuron_type, n=1, state_shape=None, dtype="float32"):
    """Returns an operator whose signals all have the given shape and type."""
    shape = (n,) if state_shape is None else state_shape
    state = {"voltage": Signal(np.zeros(shape, dtype))}
    op = SimNeurons(
        neuron_type,
        Signal(np.zeros(n, dtype="float32")),
        Signal(np.zeros(n, dtype="float32")),
        state,
    )
    for signal in op.all_signals:
        signal.trainable, signal.minibatched = None, True
    return op


class SubclassOfLIF(nengo.LIF):
    pass


class NumPyOnly(nengo.LIF):
    def step(self, dt, J, output, voltage):
        output[...] = J


class OtherNumPyOnly(NumPyOnly):
    pass


def test_mergeable():
    lif = dummy_op(nengo.LIF())
    assert mergeable(dummy_op(nengo.LIF(amplitude=2)), [lif])
    assert mergeable(dummy_op(nengo.LIF(), n=3), [lif])
    assert not mergeable(dummy_op(nengo.LIFRate()), [lif])
    assert not mergeable(dummy_op(nengo.Izhikevich()), [lif])
    assert not mergeable(dummy_op(SubclassOfLIF()), [lif])
    generic = dummy_op(NumPyOnly())
    assert mergeable(dummy_op(NumPyOnly()), [generic])
    assert not mergeable(dummy_op(OtherNumPyOnly()), [generic])
    assert not mergeable(generic, [lif])


def test_mergeable_states():
    lif = dummy_op(nengo.LIF())
    assert not mergeable(dummy_op(nengo.LIF(), dtype="int32"), [lif])
    assert mergeable(dummy_op(nengo.LIF(), state_shape=(2,)), [lif])
    assert not mergeable(dummy_op(nengo.LIF(), state_shape=(1, 2)), [lif])


def test_carried():
    op = sim_neurons(nengo.LIF())
    assert Builder.builder_of(op).carried(op) == list(op.state.values())
    op = sim_neurons(nengo.LIFRate())
    assert Builder.builder_of(op).carried(op) == []
