"""
Calls of Python, item by item of the minibatch.

In: a function for each operator of a group, and the signals that it reads and writes.
Out: one operation of TensorFlow, which calls all of them in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.op_builders.base import combined_length, gather_batch, stored_shape
from nengo_dl.signals import SignalDict, TensorSignal
from nengo_dl.utils import note_origin, numpy_function


class ItemwiseCalls:
    """
    The Python functions of a group of operators, called in one operation.

    Items of the minibatch take turns, and so do the operators of each item.

    Parameters
    ----------
    ops : sequence of nengo.builder.Operator
        The operators.
    reads, writes : callable
        Map an operator to the list of signals whose values its function takes and
        returns. Signals at the same position are combined.
    time : nengo.builder.Signal or None
        The time, if the functions depend on it.
    name : str
        What has functions, for messages: ``"Neurons"``.
    origin : callable
        Maps an operator to a text that names its function, for errors.

    Attributes
    ----------
    functions : list of list of callable
        One function for each item of the minibatch and each operator; to be set before
        a step runs. It maps the time in seconds (None without ``time``) and views of
        the values that it reads, which it must neither change nor keep, to a list of
        the values that it writes.
    """

    def __init__(
        self,
        ops: Sequence[Operator],
        reads: Callable[[Operator], list[Signal]],
        writes: Callable[[Operator], list[Signal]],
        time: Signal | None,
        name: str,
        origin: Callable[[Operator], str],
    ):
        self.functions: list[list[Callable[..., Any]]] = []
        self._ops, self._time = ops, time
        self._name, self._origin = name, origin
        self._reads, self._writes = (
            list(zip_longest(*map(signals_of, ops))) for signals_of in (reads, writes)
        )
        self._parts = list(zip(_parts(self._reads, ops), _parts(self._writes, ops)))
        self._inputs: list[TensorSignal] = []
        self._outputs: list[TensorSignal] = []
        self._dtypes: list[type[np.generic]] = []
        self._nothing = np.zeros((0,))

    def start(self, make: Callable[[Operator, int], Callable], n_items: int) -> None:
        """Set ``functions`` to those that are made for every operator and item."""
        self.functions = [
            [make(op, item) for op in self._ops] for item in range(n_items)
        ]

    def restart(
        self,
        make: Callable[[Operator, int], Callable],
        ops: Container[Operator],
        items: Sequence[int],
    ) -> None:
        """Make ``functions`` again, for some operators and some items."""
        for item in items:
            self.functions[item] = [
                make(op, item) if op in ops else function
                for op, function in zip(self._ops, self.functions[item])
            ]

    def build_pre(self, signals: SignalDict) -> None:
        """Find the signals."""
        self._inputs, self._outputs = (
            [
                signals.combine([s for s in column if s is not None])
                for column in columns
            ]
            for columns in (self._reads, self._writes)
        )
        self._dtypes = [tf.as_dtype(sig.dtype).as_numpy_dtype for sig in self._outputs]
        shape = (signals.minibatch_size, 0)
        self._nothing = np.zeros(shape, signals.dtype.as_numpy_dtype)

    def build_step(self, signals: SignalDict, mode: str = "update") -> list[tf.Tensor]:
        """
        Add the operation, and write what it returns.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        mode : "update" or "inc"
            How the first of ``writes`` is written. The others are always replaced.

        Returns
        -------
        values : list of (minibatch_size, n, ...) tf.Tensor
            What was written; one empty tensor if there is nothing to write.
        """
        # (the function must refer to no tensor, which would keep the whole graph)
        has_time = self._time is not None
        times = [] if self._time is None else [signals.gather(self._time)]
        inputs = [gather_batch(signals, sig) for sig in self._inputs]
        dtypes = [tf.as_dtype(sig.dtype) for sig in self._outputs] or [signals.dtype]
        dt = signals.dt_val

        def call(*arrays: np.ndarray) -> list[np.ndarray]:
            if not has_time:
                return self.run(None, arrays)
            # in double precision, as Nengo passes it
            return self.run(round(arrays[0].item() / dt) * dt, arrays[1:])

        # (what the functions read they copy, and the outputs are new in every step)
        values = numpy_function(
            call, times + inputs, dtypes, errors=signals.errors, copies=False
        )
        for sig, value in zip(self._outputs, values):
            value.set_shape((signals.minibatch_size, *sig.shape))
            signals.scatter(sig, value, mode=mode)
            mode = "update"
        return values

    def run(self, time: float | None, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """
        Call all functions once.

        Parameters
        ----------
        time : float or None
            Time of the step in seconds.
        inputs : sequence of (minibatch_size, n, ...) array
            What the operators read, side by side.

        Returns
        -------
        outputs : list of (minibatch_size, n, ...) array
            What they write; one empty array if that is nothing.

        Raises
        ------
        nengo.exceptions.SimulationError
            If there are no functions yet, as ``build_post`` has not been called.
        """
        n_items = len(self.functions)
        if n_items == 0:
            raise SimulationError(
                f"{self._name} are simulated before they were started; call "
                "`build_post` first"
            )
        outputs = [
            np.zeros((n_items, *sig.shape), dtype)
            for sig, dtype in zip(self._outputs, self._dtypes)
        ]
        for item, functions in enumerate(self.functions):
            for function, op, (reads, writes) in zip(functions, self._ops, self._parts):
                args = [inputs[k][item, part].reshape(s) for k, part, s in reads]
                try:
                    values = function(time, *args)
                except Exception as err:
                    note_origin(err, self._origin(op))
                    raise
                for (k, part, _), value in zip(writes, values):
                    outputs[k][item, part] = value
        return outputs or [self._nothing]


def _parts(
    columns: list[tuple[Signal | None, ...]], ops: Sequence[Operator]
) -> list[list[tuple[int, slice, tuple[int, ...]]]]:
    """Return, for each operator: number of the array, position in it, and shape."""
    parts: list[list[tuple[int, slice, tuple[int, ...]]]] = [[] for _ in ops]
    for k, column in enumerate(columns):
        stop = 0
        for own, sig in zip(parts, column):
            if sig is not None:
                start, stop = stop, stop + combined_length(sig)
                own.append((k, slice(start, stop), stored_shape(sig)))
    return parts
