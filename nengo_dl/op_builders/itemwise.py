"""
Calls of Python, item by item of the minibatch.

In: a function for each operator of a group, and the signals that it reads and writes.
Out: one operation of TensorFlow, which calls all of them in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
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
from nengo_dl.utils import ErrorBox, note_origin, numpy_function

# A part of one of several vectors: which one, where, and the shape that it has.
_Part = tuple[int, slice, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class FollowingCall:
    """
    A call of Python that comes next, and may be a part of the call before it.

    TensorFlow takes 15 to 20 microseconds for each call, whatever it does.

    Parameters
    ----------
    function : callable
        Maps the number of a step, and a list of other integers, to a new array.
    shape : tuple of int
        Shape of what it returns.
    dtype : tf.DType
        Its type.
    """

    function: Callable[[int, list[int]], np.ndarray]
    shape: tuple[int, ...]
    dtype: tf.DType

    def __call__(self, numbers: tf.Tensor, errors: ErrorBox | None) -> tf.Tensor:
        """Call the function on its own, unless the first number is negative."""
        function, shape = self.function, self.shape
        dtype = self.dtype.as_numpy_dtype

        def call(numbers: np.ndarray) -> np.ndarray:
            number, *others = numbers.tolist()
            return function(number, others) if number >= 0 else np.zeros(shape, dtype)

        value = numpy_function(call, [numbers], self.dtype, errors=errors, copies=False)
        return tf.ensure_shape(value, self.shape)


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
    takes_time : bool
        Whether the functions depend on the time.
    name : str
        What has functions, for messages: ``"Neurons"``.
    origin : callable
        Maps an operator to a text that names its function, for errors.
    mode : "update" or "inc"
        How the first of ``writes`` is written. The others are always replaced.

    Attributes
    ----------
    functions : list of list of callable
        One function for each item of the minibatch and each operator; to be set before
        a step runs. It maps the time in seconds (None unless ``takes_time``) and views
        of the values that it reads, which it must neither change nor keep, to a list of
        the values that it writes.
    """

    def __init__(
        self,
        ops: Sequence[Operator],
        reads: Callable[[Operator], list[Signal]],
        writes: Callable[[Operator], list[Signal]],
        takes_time: bool,
        name: str,
        origin: Callable[[Operator], str],
        mode: str = "update",
    ):
        self.functions: list[list[Callable[..., Any]]] = []
        self._ops, self._takes_time = ops, takes_time
        self._name, self._origin, self._mode = name, origin, mode
        self._reads, self._writes = (
            list(zip_longest(*map(signals_of, ops))) for signals_of in (reads, writes)
        )
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

    def build_step(self, signals: SignalDict) -> list[tf.Tensor]:
        """
        Add the call of one step: `read`, `call`, and `write`.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.

        Returns
        -------
        values : list of (minibatch_size, n, ...) tf.Tensor
            What was written.
        """
        number = tf.reshape(signals.step, (1,))
        packed = self.call(signals, number, self.read(signals))
        return self.write(signals, packed)[0]

    def read(self, signals: SignalDict) -> list[tf.Tensor]:
        """Return all that the functions read, packed into few vectors."""
        values = [gather_batch(signals, signal) for signal in self._inputs]
        return _packing(signals, self._inputs).pack(values)

    def call(
        self,
        signals: SignalDict,
        numbers: tf.Tensor,
        packed: Sequence[tf.Tensor],
        following: FollowingCall | None = None,
    ) -> list[tf.Tensor]:
        """
        Add the operation that calls the functions.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        numbers : (n,) int32 tf.Tensor
            Number of the step, and those for the following call.
        packed : list of tf.Tensor
            What `read` returned.
        following : FollowingCall, optional
            What comes next, unless the first of its numbers is negative.

        Returns
        -------
        packed : list of tf.Tensor
            What the functions returned, for `write`.
        """
        # (the function must refer to no tensor, which would keep the whole graph)
        dt = signals.dt_val if self._takes_time else None
        follow = None if following is None else following.function
        inputs = _packing(signals, self._inputs)
        outputs = _packing(signals, self._outputs, following)
        parts = self._parts(inputs, outputs, signals.minibatch_size)
        last = len(self._outputs)

        def call(numbers: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
            number, *others = numbers.tolist()
            # in double precision, as Nengo passes it
            time = None if dt is None else number * dt
            results = outputs.zeros()
            self.run(time, arrays, results, parts)
            if follow is not None and others[0] >= 0:
                outputs.put(results, last, follow(others[0], others[1:]))
            return results

        # (what the functions read they copy, and the outputs are new in every step)
        results = numpy_function(
            call,
            [numbers, *packed],
            outputs.dtypes,
            errors=signals.errors,
            copies=False,
        )
        for result, size in zip(results, outputs.sizes):
            result.set_shape((size,))
        return results

    def returned(
        self,
        signals: SignalDict,
        following: FollowingCall | None,
        value: tf.Tensor | None,
    ) -> list[tf.Tensor]:
        """Return what `call` would return if only the following call had happened."""
        values = [
            tf.zeros((signals.minibatch_size, *signal.shape), signal.dtype)
            for signal in self._outputs
        ]
        values += [] if value is None else [value]
        return _packing(signals, self._outputs, following).pack(values)

    def write(
        self,
        signals: SignalDict,
        packed: Sequence[tf.Tensor],
        following: FollowingCall | None = None,
    ) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """
        Write what the functions returned.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.
        packed : list of tf.Tensor
            What `call` returned.
        following : FollowingCall, optional
            What was called along with the functions.

        Returns
        -------
        values : list of (minibatch_size, n, ...) tf.Tensor
            What was written.
        value : tf.Tensor or None
            What the following call returned.
        """
        values = _packing(signals, self._outputs, following).unpack(packed)
        value = None if following is None else values.pop()
        modes = [self._mode] + ["update"] * len(values)
        for signal, own, mode in zip(self._outputs, values, modes):
            signals.scatter(signal, own, mode=mode)
        return values, value

    def run(
        self,
        time: float | None,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        parts: Sequence[Sequence[tuple[list[_Part], list[_Part]]]],
    ) -> None:
        """
        Call all functions once.

        Parameters
        ----------
        time : float or None
            Time of the step in seconds.
        inputs, outputs : sequence of (n,) array
            What the operators read, and where what they write is put.
        parts : list of list of (list of _Part, list of _Part)
            Where in these, for each item of the minibatch and each operator.

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
        for functions, of_item in zip(self.functions, parts):
            for function, op, (reads, writes) in zip(functions, self._ops, of_item):
                args = [inputs[k][part].reshape(shape) for k, part, shape in reads]
                try:
                    values = function(time, *args)
                except Exception as err:
                    note_origin(err, self._origin(op))
                    raise
                for (k, part, _), value in zip(writes, values):
                    outputs[k][part] = value.ravel()

    def _parts(
        self, inputs: Packing, outputs: Packing, n_items: int
    ) -> list[list[tuple[list[_Part], list[_Part]]]]:
        """Return where functions find what they read, and put what they write."""
        columns = [
            (self._reads, self._inputs, inputs),
            (self._writes, self._outputs, outputs),
        ]
        return [
            list(zip(*(_parts_of_item(*c, self._ops, item) for c in columns)))
            for item in range(n_items)
        ]


def _packing(
    signals: SignalDict,
    places: Sequence[TensorSignal],
    following: FollowingCall | None = None,
) -> Packing:
    """Return how signals are joined, and behind them what the next call returns."""
    arrays = [((signals.minibatch_size, *s.shape), s.dtype) for s in places]
    if following is not None:
        arrays.append((following.shape, following.dtype))
    return Packing(
        {i: shape for i, (shape, _) in enumerate(arrays)},
        {i: tf.as_dtype(dtype).name for i, (_, dtype) in enumerate(arrays)},
    )


def _parts_of_item(
    columns: Sequence[tuple[Signal | None, ...]],
    places: Sequence[TensorSignal],
    packing: Packing,
    ops: Sequence[Operator],
    item: int,
) -> list[list[_Part]]:
    """Return the parts of signals for each operator, and one item of the minibatch."""
    parts: list[list[_Part]] = [[] for _ in ops]
    for key, (column, place) in enumerate(zip(columns, places)):
        vector, stop = packing.start(key)
        stop += item * math.prod(place.shape)
        for own, signal in zip(parts, column):
            if signal is not None:
                n_rows, row = combined_length(signal), math.prod(place.shape[1:])
                start, stop = stop, stop + n_rows * row
                own.append((vector, slice(start, stop), stored_shape(signal)))
    return parts
