"""
Lay the signals out in base arrays (stage 7 of the pipeline).

In: the ordered signals and the plan. Out: a `Layout`, which says for every signal in
which array it is, and where.

Two signals share an array if they are alike (type, trailing shape, marks of
`nengo_dl.graph.trainability`) and are used at the same positions of the same groups.
Whatever a group reads or writes is then a series of whole arrays, most often a single
one: reads need no indices, and writes replace arrays instead of changing a part of
them. Views are the exception, and are the only signals whose access costs a slice or a
gather.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.operators import Constant
from nengo_dl.graph.trainability import is_minibatched, is_trainable

#: How keys of base arrays begin, by the mark ``trainable`` of their signals.
KEYS = {True: "trainable", False: "non_trainable", None: "state"}


@dataclass(frozen=True)
class BaseArray:
    """
    Signals that are stored side by side.

    Parameters
    ----------
    key : str
        Name of the array.
    trainable : bool or None
        The mark of its signals: parameters that are trained, parameters that are not,
        or anything else.
    dtype : str
        Type of the elements.
    shape : tuple of int
        Shape without minibatch axis; the first axis runs through the signals.
    minibatched : bool
        Whether the array has a minibatch axis (in front).
    signals : tuple of nengo.builder.Signal
        The base signals, in order.
    """

    key: str
    trainable: bool | None
    dtype: str
    shape: tuple[int, ...]
    minibatched: bool
    signals: tuple[Signal, ...]

    def full_shape(self, minibatch_size: int) -> tuple[int, ...]:
        """Return the shape including the minibatch axis, if there is one."""
        return (minibatch_size, *self.shape) if self.minibatched else self.shape


@dataclass(frozen=True)
class Layout:
    """
    The base arrays, and the place of every base signal in them.

    Parameters
    ----------
    arrays : dict of {str: BaseArray}
        Base arrays by key.
    places : dict of {Signal: (str, int, int)}
        Base array, start and stop along its first axis, for every base signal.
    constants : tuple of Constant
        Operators that say what signals hold from the start.
    """

    arrays: dict[str, BaseArray]
    places: dict[Signal, tuple[str, int, int]]
    constants: tuple[Constant, ...]

    def initial_values(self, key: str) -> np.ndarray:
        """
        Return the initial value of a base array.

        Returns
        -------
        value : ``arrays[key].shape`` array
            Without minibatch axis. It is the signal's own, read-only array where this
            is all that is needed, as weights may be large.
        """
        array = self.arrays[key]
        held = [op for op in self.constants if self.places[op.dst.base][0] == key]
        first = dense_values(array.signals[0])
        if len(array.signals) == 1 and first.dtype == array.dtype and not held:
            return first.reshape(array.shape)
        value = np.empty(array.shape, array.dtype)
        for signal in array.signals:
            rows = self._rows_of(value, signal)
            rows[...] = dense_values(signal).reshape(rows.shape)
        for op in held:
            elements = self._rows_of(value, op.dst.base).reshape(-1)
            elements[element_positions(op.dst)] = np.broadcast_to(
                op.value, op.dst.shape
            ).ravel()
        return value

    def _rows_of(self, value: np.ndarray, signal: Signal) -> np.ndarray:
        """Return the part of a base array that belongs to a base signal."""
        _, start, stop = self.places[signal]
        return value[start:stop]


def lay_out(
    signals: Sequence[Signal],
    plan: Sequence[Sequence[Operator]],
    constants: Sequence[Constant] = (),
    dtype: str = "float32",
) -> Layout:
    """
    Assign every base signal to a place in a base array.

    Parameters
    ----------
    signals : sequence of nengo.builder.Signal
        Base signals in the order in which they are to be stored.
    plan : sequence of sequence of nengo.builder.Operator
        Groups of operators.
    constants : sequence of nengo_dl.graph.operators.Constant
        Operators that say what signals hold from the start.
    dtype : str
        Type in which floating point numbers are stored.

    Returns
    -------
    layout : Layout
        The arrays in order of their first signals.
    """
    uses = signal_uses(plan)
    members: dict[tuple, list[Signal]] = defaultdict(list)
    for signal in signals:
        signature = (*_likeness(signal, dtype), frozenset(uses.get(signal, ())))
        members[signature].append(signal)

    arrays: dict[str, BaseArray] = {}
    places: dict[Signal, tuple[str, int, int]] = {}
    for i, (signature, group) in enumerate(members.items()):
        element_type, row, trainable, minibatched, _, _ = signature
        key = f"{KEYS[trainable]}_{i}"
        start = 0
        for signal in group:
            stop = start + (len(dense_values(signal)) if signal.ndim else 1)
            places[signal] = (key, start, stop)
            start = stop
        arrays[key] = BaseArray(
            key, trainable, element_type, (start, *row), minibatched, tuple(group)
        )
    used = tuple(op for op in constants if op.dst.base in places)
    return Layout(arrays, places, used)


def signal_uses(
    plan: Sequence[Sequence[Operator]],
) -> dict[Signal, set[tuple[int, str, int]]]:
    """Return the ``(group, kind of access, position)`` uses of every base signal."""
    uses: dict[Signal, set[tuple[int, str, int]]] = defaultdict(set)
    for number, group in enumerate(plan):
        for op in group:
            for access in ("sets", "incs", "reads", "updates"):
                for position, signal in enumerate(getattr(op, access)):
                    uses[signal.base].add((number, access, position))
    return uses


def _likeness(signal: Signal, dtype: str) -> tuple:
    """Return what signals of one array must have in common, besides their uses."""
    row = () if signal.sparse else signal.shape[1:]
    minibatched = bool(is_minibatched(signal))
    element_type = stored_dtype(signal, dtype)
    return element_type, row, is_trainable(signal), minibatched, signal.sparse


def stored_dtype(signal: Signal, float_dtype: str) -> str:
    """
    Return the type in which the elements of a signal are stored.

    Sparse matrices of any type are multiplied with floats, and stored as such.
    """
    if np.issubdtype(signal.dtype, np.floating) or signal.sparse:
        return float_dtype
    if np.issubdtype(signal.dtype, np.integer):
        return "int32"
    if np.issubdtype(signal.dtype, np.bool_):
        return "bool"
    raise NotImplementedError(
        f"{signal} has elements of type `{signal.dtype}`; signals must hold floats, "
        "integers, or booleans"
    )


def dense_values(signal: Signal) -> np.ndarray:
    """Return what is stored of a signal: the nonzero elements if it is sparse."""
    if not signal.sparse:
        return signal.initial_value
    return sparse_indices(signal)[1]


def sparse_indices(signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the indices and the values of the nonzero elements of a sparse signal.

    Returns
    -------
    indices : (n, 2) array of int
        Row and column.
    data : (n,) array
        The values.
    """
    matrix = signal.initial_value
    if hasattr(matrix, "tocoo"):  # SciPy's
        matrix = matrix.tocoo()
        return np.stack([matrix.row, matrix.col], axis=1), matrix.data
    data = np.broadcast_to(matrix.data, (len(matrix.indices),))
    return np.asarray(matrix.indices), data


def row_slices(signal: Signal, first_row: int) -> list[tuple[int, int]] | None:
    """
    Return the rows of the base that a view consists of.

    Parameters
    ----------
    signal : nengo.builder.Signal
        A base signal or a view.
    first_row : int
        Where the base starts in its base array.

    Returns
    -------
    slices : list of (int, int)
        None if the view does not consist of whole rows in the order of their elements.
    """
    base = signal.base
    row_size = math.prod(base.shape[1:])
    contiguous = signal.initial_value.flags.c_contiguous
    if row_size == 0 or (contiguous and signal.size == base.size):
        return [(first_row, first_row + (base.shape[0] if base.ndim else 1))]
    if signal.size % row_size:
        return None
    if contiguous:
        positions = signal.elemoffset + row_size * np.arange(signal.size // row_size)
    else:
        elements = element_positions(signal).reshape(-1, row_size)
        positions = elements[:, 0]
        if (elements != positions[:, None] + np.arange(row_size)).any():
            return None
    if (positions % row_size).any():
        return None
    rows = first_row + positions // row_size
    return [(int(r), int(r) + 1) for r in rows]


def element_positions(signal: Signal) -> np.ndarray:
    """
    Return where the elements of a view are in its flattened base.

    Returns
    -------
    positions : (signal.size,) array of int
    """
    positions = np.full(signal.shape, signal.elemoffset, dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(signal.shape, signal.elemstrides)):
        steps = np.arange(n) * stride
        positions += steps.reshape((-1,) + (1,) * (signal.ndim - axis - 1))
    return positions.ravel()
