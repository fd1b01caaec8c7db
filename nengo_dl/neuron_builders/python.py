"""Neurons without a TensorFlow version: NumPy code, called in every step."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from functools import partial
from typing import Any

import numpy as np
from nengo.builder.neurons import SimNeurons

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders.base import NeuronBuilder
from nengo_dl.op_builders import ItemwiseCalls
from nengo_dl.signals import SignalDict


class GenericNeuronBuilder(NeuronBuilder):
    """
    Run neurons of any type by their NumPy ``step``, item by item of the minibatch.

    State variables are signals: they are handed to the function, and what it makes of
    them is handed back. Random number generators of the neurons are copied, so that
    simulations do not share them: the first item of the minibatch gets the numbers
    that Nengo would draw, the others get numbers of their own.
    """

    pure = False

    def __init__(self, ops: Sequence[SimNeurons]):
        super().__init__(ops)
        self.calls = ItemwiseCalls(
            ops,
            reads=lambda op: [op.J, *op.state.values()],
            writes=lambda op: [op.output, *op.state.values()],
            takes_time=False,
            name="Neurons",
            origin=lambda op: f"the step of {op.neurons} ({op.output.name})",
        )

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find the signals."""
        super().build_pre(signals, config)
        self.calls.build_pre(signals)

    def build_step(self, signals: SignalDict) -> None:
        """Call the neurons."""
        self.calls.build_step(signals)

    def build_post(self, signals: SignalDict) -> None:
        """Restart the random number generators."""
        self.calls.start(partial(_step, signals.dt_val), signals.minibatch_size)

    def restart(
        self, signals: SignalDict, ops: Container[Any], items: Sequence[int]
    ) -> None:
        """Restart the random number generators of some neurons and items."""
        self.calls.restart(partial(_step, signals.dt_val), ops, items)

    def rngs(self) -> list[np.random.RandomState]:
        """Return the random number generators of all neurons."""
        steps: list[Any] = [step for item in self.calls.functions for step in item]
        return [rng for step in steps for rng in step.rngs.values()]


def _step(dt: float, op: Any, item: int) -> NeuronStep:
    return NeuronStep(op, dt, item)


class NeuronStep:
    """
    The step function of the neurons of an operator for one item of the minibatch.

    Parameters
    ----------
    op : nengo.builder.neurons.SimNeurons
        The operator.
    dt : float
        Length of a step in seconds.
    item : int
        Number of the item.

    Attributes
    ----------
    rngs : dict of {str: numpy.random.RandomState}
        Random number generators of the neurons.
    """

    def __init__(self, op: SimNeurons, dt: float, item: int):
        self.rngs = copy.deepcopy(op.state_extra)
        if item > 0:
            self.rngs = {
                name: np.random.RandomState(rng.randint(2**31 - 1, size=item)[-1])
                for name, rng in self.rngs.items()
            }
        self._step, self._dt = op.neurons.step, dt
        # the types that Nengo would use, whatever type the simulator has
        self._J_dtype, self._output_dtype = op.J.dtype, op.output.dtype
        self._state_dtypes = {name: sig.dtype for name, sig in op.state.items()}

    def __call__(
        self, time: None, J: np.ndarray, *state: np.ndarray
    ) -> list[np.ndarray]:
        """Return the output and the new state."""
        output = np.zeros(J.shape, self._output_dtype)
        new = {
            name: value.astype(dtype)
            for (name, dtype), value in zip(self._state_dtypes.items(), state)
        }
        self._step(self._dt, J.astype(self._J_dtype), output, **new, **self.rngs)
        return [output, *new.values()]
