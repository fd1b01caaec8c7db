"""Builders that know nothing of merging are merged like all others."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from neuron_oracle import sim_neurons

from nengo_dl.builder import OpBuilder
from nengo_dl.neuron_builders import SimNeuronsBuilder
from nengo_dl.process_builders import SimProcessBuilder


class Outsider(OpBuilder):
    def build_step(self, signals):
        pass


def sim_process(n):
    state = {"X": Signal(np.zeros(n), name="X")}
    signals = (Signal(np.zeros(n), name=name) for name in ("input", "output"))
    return SimProcess(nengo.Lowpass(0.1), *signals, Signal(0.0), "set", state)


def test_process(monkeypatch):
    monkeypatch.setitem(SimProcessBuilder.TF_PROCESS_IMPL, nengo.Lowpass, Outsider)
    x, y, z = sim_process(2), sim_process(2), sim_process(3)
    assert SimProcessBuilder.builder_class(x) is Outsider
    assert SimProcessBuilder.carried(x) == SimProcessBuilder.unused(x) == []
    assert SimProcessBuilder.mergeable(x, y)
    assert not SimProcessBuilder.mergeable(x, z)


def test_neurons(monkeypatch):
    x, y = sim_neurons(nengo.LIF()), sim_neurons(nengo.LIF(tau_rc=0.1))
    other = sim_neurons(nengo.LIFRate())
    for outsider in (Outsider, type("Placeholder", (), {}), lambda ops: None):
        monkeypatch.setitem(SimNeuronsBuilder.TF_NEURON_IMPL, nengo.LIF, outsider)
        assert SimNeuronsBuilder.builder_class(x) is outsider
        assert SimNeuronsBuilder.carried(x) == list(x.state.values())
        assert SimNeuronsBuilder.unused(x) == []
        assert SimNeuronsBuilder.mergeable(x, y)
        assert not SimNeuronsBuilder.mergeable(x, other)
