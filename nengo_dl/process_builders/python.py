"""Processes without a TensorFlow version: NumPy code, called in every step."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from typing import Any

import numpy as np
from nengo.builder.processes import SimProcess

from nengo_dl.builder import BuildConfig
from nengo_dl.op_builders import ItemwiseCalls, write_mode
from nengo_dl.process_builders.base import ProcessBuilder
from nengo_dl.signals import SignalDict


class GenericProcessBuilder(ProcessBuilder):
    """
    Run processes of any type by their NumPy step, item by item of the minibatch.

    Every item has a step function of its own. The state variables of a process are
    signals: before a step they are copied into the arrays that the step function
    knows, and copied back afterwards. State that a process keeps elsewhere (such as a
    random number generator) starts anew with `build_post` only.
    """

    pure = False

    def __init__(self, ops: Sequence[SimProcess]):
        super().__init__(ops)
        self.calls = ItemwiseCalls(
            ops,
            reads=lambda op: [op.input, *op.state.values()],
            writes=lambda op: [op.output, *op.state.values()],
            takes_time=ops[0].t is not None,
            name="Processes",
            origin=lambda op: f"the step of {op.process} ({op.output.name})",
            mode=write_mode(ops[0], ops[0].output),
        )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find the signals."""
        super().build_pre(signals, config)
        self.calls.build_pre(signals)

    def build_step(self, signals: SignalDict) -> None:
        """Call the processes."""
        self.calls.build_step(signals)

    def build_post(self, signals: SignalDict) -> None:
        """Make the step functions, with the random number generators of the run."""
        self.calls.start(partial(_step, signals), signals.minibatch_size)

    def restart(
        self, signals: SignalDict, ops: Container[Any], items: Sequence[int]
    ) -> None:
        """Make the step functions of some processes and items again."""
        self.calls.restart(partial(_step, signals), ops, items)

    @staticmethod
    def mergeable(x: SimProcess, y: SimProcess) -> bool:
        """Merge processes with equal names of state variables."""
        return list(x.state) == list(y.state)


def _step(signals: SignalDict, op: Any, item: int) -> ProcessStep:
    return ProcessStep(op, signals.dt_val, signals.process_rngs[op][item])


class ProcessStep:
    """
    The step function of one process for one item of the minibatch.

    Parameters
    ----------
    op : nengo.builder.processes.SimProcess
        The operator.
    dt : float
        Length of a simulation step in seconds.
    rng : numpy.random.RandomState
        Random number generator for the process.
    """

    def __init__(self, op: SimProcess, dt: float, rng: np.random.RandomState):
        self._dtype = op.input.dtype
        self._state = {name: sig.initial_value.copy() for name, sig in op.state.items()}
        self._output = np.zeros(op.output.shape, op.output.dtype)
        self._step = op.process.make_step(
            op.input.shape, op.output.shape, dt, rng, self._state
        )

    def __call__(
        self, time: float, u: np.ndarray, *state: np.ndarray
    ) -> list[np.ndarray]:
        """Return the output and the new state, in arrays that the next step changes."""
        for own, value in zip(self._state.values(), state):
            own[...] = value
        # assigned as Nengo does, with the same errors for values that do not fit
        self._output[...] = self._step(time, u.astype(self._dtype))
        return [self._output, *self._state.values()]
