"""
The steps of operators that only NumPy can run.

In: an operator with Nengo's ``make_step``. Out: for every item of the minibatch, a
function from the values of the operator's signals to those that it has written.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Container, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import nengo
import numpy as np
from nengo.base import NengoObject, ObjView
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.builder.signal import SignalDict as NengoSignalDict
from nengo.connection import LearningRule
from nengo.exceptions import BuildError
from nengo.params import FrozenObject
from nengo.transforms import SparseMatrix

from nengo_dl.graph.layout import sparse_indices
from nengo_dl.utils import describe_operator, note_origin

# What the copies of an operator have in common: what cannot be copied, what has no
# state of its own, and what belongs to the network.
SHARED = (
    type,
    BuiltinFunctionType,
    FunctionType,
    ModuleType,
    np.ufunc,
    FrozenObject,
    LearningRule,
    Model,
    NengoObject,
    ObjView,
    Signal,
    nengo.Network,
)


class NumpyOperators:
    """
    The operators of a program that only NumPy can run, and their steps.

    The first item of a minibatch has the operators themselves, others have copies,
    since operators may keep state in their attributes. Items take turns, so that one
    array for each signal does for all.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.
    minibatch_size : int
        Number of items.
    dt : float
        Length of a step in seconds.

    Attributes
    ----------
    steps : dict of {Operator: list of OperatorStep}
        The steps of each operator, one for each item.
    rngs : list of numpy.random.RandomState
        For each item, the generator that its steps have in common.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator cannot be copied, and there are several items.
    """

    def __init__(self, operators: Sequence[Operator], minibatch_size: int, dt: float):
        self._dt = dt
        self._items = {op: [op, *copies(op, minibatch_size - 1)] for op in operators}
        self._arrays = {
            op: {base: _new_array(base) for base in {s.base for s in op.all_signals}}
            for op in operators
        }
        self.clear()

    def clear(self) -> None:
        """Forget all steps."""
        self.steps: dict[Operator, list[OperatorStep]] = {op: [] for op in self._items}
        self.rngs: list[np.random.RandomState] = []

    def make_step(self, op: Operator, item: int, rng: np.random.RandomState) -> None:
        """
        Make the step of an operator for the next item.

        Parameters
        ----------
        op : nengo.builder.Operator
            The operator.
        item : int
            Number of the item.
        rng : numpy.random.RandomState
            Random number generator of the simulation of the item.
        """
        self.steps[op].append(self._step(op, item, rng))
        if len(self.rngs) == item:
            self.rngs.append(rng)

    def restart(self, operators: Container[Operator], items: Sequence[int]) -> None:
        """Make the steps of some operators, and of some items, again."""
        for op, steps in self.steps.items():
            if op in operators:
                for item in items:
                    steps[item] = self._step(op, item, self.rngs[item])

    def _step(
        self, op: Operator, item: int, rng: np.random.RandomState
    ) -> OperatorStep:
        try:
            return OperatorStep(self._items[op][item], self._arrays[op], self._dt, rng)
        except Exception as err:
            note_origin(err, f"`make_step` of {describe_operator(op)}")
            raise


class OperatorStep:
    """
    The step function of an operator for one item of the minibatch.

    Parameters
    ----------
    op : nengo.builder.Operator
        The operator.
    arrays : dict of {Signal: array}
        An array for each base signal of the operator, which the steps of other items
        may use as well.
    dt : float
        Length of a step in seconds.
    rng : numpy.random.RandomState
        Random number generator, which operators may keep.
    """

    def __init__(
        self,
        op: Operator,
        arrays: dict[Signal, Any],
        dt: float,
        rng: np.random.RandomState,
    ):
        written = op.sets + op.incs + op.updates
        self._inputs = [_writer(arrays, signal) for signal in op.reads + written]
        self._outputs = [_view(arrays, signal) for signal in written]
        signals = OperatorSignals(op, arrays)
        op.init_signals(signals)
        self._step = op.make_step(signals, dt, rng)

    def __call__(self, time: None, *values: np.ndarray) -> Sequence[np.ndarray]:
        """Return the values of what was written, in arrays that the next step uses."""
        for write, value in zip(self._inputs, values):
            write(value)
        # as Nengo does
        with np.errstate(invalid="raise", divide="ignore"):
            self._step()
        return self._outputs


class OperatorSignals(NengoSignalDict):
    """
    The signals of one operator, as Nengo hands them to ``make_step``.

    Signals that the operator adds in ``init_signals`` are its own.

    Parameters
    ----------
    op : nengo.builder.Operator
        The operator.
    arrays : dict of {Signal: array}
        The array of each of its base signals.
    """

    def __init__(self, op: Operator, arrays: dict[Signal, Any]):
        super().__init__()
        self._op = op
        for signal in op.all_signals:
            array = _view(arrays, signal)
            if not signal.sparse:
                array.setflags(write=not signal.readonly)
            self.setdefault(signal, array)

    def __getitem__(self, signal: Signal) -> Any:
        try:
            return super().__getitem__(signal)
        except KeyError:
            raise BuildError(
                f"`{self._op}` must list all signals that it uses in its `sets`, "
                f"`incs`, `reads` or `updates`, but asks for {signal}; add it to one "
                "of them"
            ) from None


def _new_array(base: Signal) -> Any:
    value = base.initial_value
    if base.sparse:
        value = value.allocate() if isinstance(value, SparseMatrix) else value
        return value.copy()
    return np.array(value, order="C")


def _view(arrays: dict[Signal, Any], signal: Signal) -> Any:
    """Return a new view of the array of a base signal (or a sparse matrix itself)."""
    array = arrays[signal.base]
    if signal.sparse:
        return array
    return np.ndarray(
        signal.shape, signal.dtype, array, signal.offset, signal.initial_value.strides
    )


def _writer(arrays: dict[Signal, Any], signal: Signal) -> Callable[[np.ndarray], None]:
    """Return a function that writes what is stored of a signal into its array."""
    array = _view(arrays, signal)
    if signal.sparse:
        return _SparseWriter(array, signal)

    def write(value: np.ndarray) -> None:
        array[...] = value

    return write


class _SparseWriter:
    """Writes the nonzero elements of a sparse matrix, if they are other ones."""

    def __init__(self, matrix: Any, signal: Signal):
        self._matrix, self._signal = matrix, signal
        self._values = sparse_indices(signal)[1]

    def __call__(self, values: np.ndarray) -> None:
        if np.array_equal(values, self._values.astype(values.dtype)):
            return
        initial = self._signal.initial_value
        if isinstance(initial, SparseMatrix):
            # which may be in another order, or dense, where it is allocated
            new = SparseMatrix(initial.indices, values, initial.shape).allocate()
            if isinstance(new, np.ndarray):
                self._matrix[...] = new
            else:
                self._matrix.data[...] = new.data
        else:
            self._matrix.data[...] = values.reshape(self._matrix.data.shape)
        self._values = values.copy()


def copies(op: Operator, n: int) -> list[Operator]:
    """
    Return copies of an operator, with its state, but with the same signals.

    Raises
    ------
    nengo.exceptions.BuildError
        If there is something in the operator that cannot be copied.
    """
    if n == 0:
        return []
    shared: dict[int, Any] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> int | None:
            is_constant = isinstance(obj, np.ndarray) and not obj.flags.writeable
            if not (is_constant or isinstance(obj, SHARED)):
                return None
            shared[id(obj)] = obj
            return id(obj)

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, key: int) -> Any:
            return shared[key]

    stream = io.BytesIO()
    try:
        Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(op)
    except Exception as err:
        raise BuildError(
            f"Every item of a minibatch has to have an operator of its own, but `{op}` "
            f"cannot be copied ({type(err).__name__}: {err}); use `minibatch_size=1`, "
            "or create what cannot be copied in `make_step`"
        ) from err
    return [Unpickler(io.BytesIO(stream.getvalue())).load() for _ in range(n)]
