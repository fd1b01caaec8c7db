"""Operators of processes, and processes that inherit from others."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Signal
from nengo.builder.processes import SimProcess
from nengo.synapses import LinearFilter


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
