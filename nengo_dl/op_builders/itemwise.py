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
from nengo_dl.signals.packing import Packing
from nengo_dl.utils import note_origin, numpy_function


class FollowingCall:
    """
    A call of Python that comes next, and may be a part of the call before it.

    TensorFlow takes 15 to 20 microseconds for each call, whatever it does.

    Parameters
    ----------
    function : callable
        Function of arrays that returns a new array.
    inputs : list of tf.Tensor
        The arguments.
    shape : tuple of int
        Shape of what it returns.
    signals : SignalDict
        Has the type of what it returns.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: list[tf.Tensor],
        shape: tuple[int, ...],
        signals: SignalDict,
    ):
        self.function, self.inputs = function, inputs
        self.shape, self.dtype = shape, signals.dtype
        self._errors = signals.errors
        self._value: tf.Tensor | None = None

    def value(self) -> tf.Tensor:
        """Return the output of the function, which is called now at the latest."""
        if self._value is None:
            value = numpy_function(
                self.function,
                self.inputs,
                self.dtype,
                errors=self._errors,
                copies=False,
            )
            self.set_value(value)
        return self._value

    def set_value(self, value: tf.Tensor) -> None:
        """Set the output, once the function has been called."""
        self._value = tf.ensure_shape(value, self.shape)


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

    def _packing(self, signals: SignalDict, following: FollowingCall | None) -> Packing:
        """Return how what is written is joined, and then what the next call returns."""
        outputs = [((signals.minibatch_size, *s.shape), s.dtype) for s in self._outputs]
        if following is not None:
            outputs.append((following.shape, following.dtype))
        shapes = {i: shape for i, (shape, _) in enumerate(outputs)}
        return Packing(
            shapes, {i: tf.as_dtype(d).name for i, (_, d) in enumerate(outputs)}
        )

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
            What was written.
        """
        # (the function must refer to no tensor, which would keep the whole graph)
        has_time = self._time is not None
        times = [] if self._time is None else [signals.gather(self._time)]
        inputs = [gather_batch(signals, sig) for sig in self._inputs]
        following, dt = signals.following, signals.dt_val
        follow = None if following is None else following.function
        last_inputs = [] if following is None else following.inputs
        n = len(times + inputs)
        packing = self._packing(signals, following)

        def call(*arrays: np.ndarray) -> list[np.ndarray]:
            packed, outputs = packing.zeros()
            # in double precision, as Nengo passes it
            time = round(arrays[0].item() / dt) * dt if has_time else None
            self.run(time, arrays[int(has_time) : n], outputs)
            if follow is not None:
                outputs[-1][...] = follow(*arrays[n:])
            return packed

        # (what the functions read they copy, and the outputs are new in every step)
        packed = numpy_function(
            call,
            [*times, *inputs, *last_inputs],
            packing.dtypes,
            errors=signals.errors,
            copies=False,
        )
        values = packing.unpack(packed)
        if following is not None:
            following.set_value(values.pop())
        for sig, value in zip(self._outputs, values):
            signals.scatter(sig, value, mode=mode)
            mode = "update"
        return values

    def run(
        self,
        time: float | None,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
    ) -> None:
        """
        Call all functions once.

        Parameters
        ----------
        time : float or None
            Time of the step in seconds.
        inputs : sequence of (minibatch_size, n, ...) array
            What the operators read, side by side.
        outputs : sequence of (minibatch_size, n, ...) array
            Where what they write is put.

        Raises
        ------
        nengo.exceptions.SimulationError
            If there are no functions yet, as ``build_post`` has not been called.
        """
        if not self.functions:
            raise SimulationError(
                f"{self._name} are simulated before they were started; call "
                "`build_post` first"
            )
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
