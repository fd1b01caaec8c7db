"""
What the passes know about signals that always have the same value.

In: a signal, and who writes it. Out: its value, or None if that is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.operators import Constant
from nengo_dl.graph.signal_io import SignalIO, covers
from nengo_dl.graph.trainability import is_parameter


def constant_value(signal: Signal, io: SignalIO) -> Any:
    """
    Return the value that a signal has whenever it is read.

    Parameters
    ----------
    signal : nengo.builder.Signal
        A signal that an operator uses.
    io : SignalIO
        All accesses.

    Returns
    -------
    value : ``signal.shape`` array, or sparse matrix, or None
        The initial value of a signal that nothing writes; the value of the `Reset` or
        `Constant` that is the only one to write it; None for parameters, which training
        or loading may change, and for all other signals.
    """
    if is_parameter(signal):
        return None
    writers = list(islice(io.writers(signal), 2))
    if not writers:
        return signal.initial_value
    op, target = writers[0]
    if (
        len(writers) > 1
        or not is_exactly(op, Reset, Constant)
        or not covers(target, signal)
    ):
        return None
    return _part_of_value(op.value, target, signal)


def _part_of_value(value: Any, target: Signal, signal: Signal) -> np.ndarray:
    """Return what ``signal`` holds when ``target``, which covers it, is ``value``."""
    is_same = (target.shape, target.strides) == (signal.shape, signal.strides)
    if np.ndim(value) == 0 or is_same:
        return np.broadcast_to(value, signal.shape)
    memory = np.array(np.broadcast_to(value, target.shape), signal.dtype, order="C")
    return np.ndarray(
        signal.shape,
        signal.dtype,
        buffer=memory,
        offset=signal.offset - target.offset,
        strides=signal.strides,
    )


def is_constant_zero(signal: Signal, io: SignalIO) -> bool:
    """Return whether all elements of a signal are always zero."""
    value = constant_value(signal, io)
    if value is None:
        return False
    return not np.any(value.data if signal.sparse else value)


def slice_of(signal: Signal, indices: Sequence[int] | None) -> Signal | None:
    """
    Return the view of a signal that consists of the given rows.

    Parameters
    ----------
    signal : nengo.builder.Signal
        The signal.
    indices : sequence of int or of bool, or None
        Indices (or a mask) along the first axis; None for all.

    Returns
    -------
    view : nengo.builder.Signal or None
        None if the rows do not follow each other.
    """
    if indices is None:
        return signal
    rows = np.asarray(indices)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows % signal.shape[0]
    if rows.ndim != 1 or rows.size == 0 or np.any(np.diff(rows) != 1):
        return None
    return signal[int(rows[0]) : int(rows[-1]) + 1]
