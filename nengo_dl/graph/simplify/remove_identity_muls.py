"""A simplification pass: multiplying by one is copying."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nengo.builder.operator import Copy, DotInc, ElementwiseInc, Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.operators import DotSet, ElementwiseSet
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.simplify.constants import constant_value


def remove_identity_muls(operators: Sequence[Operator]) -> list[Operator]:
    """
    Turn products with one, or with an identity matrix, into copies.

    Before (where nothing writes ``eye``, and its initial value is a unit matrix)::

        DotInc(eye, x, y)        reads eye, x, incs y

    After::

        Copy(x, y, inc=True)     reads x, incs y

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    operators : list of nengo.builder.Operator
        Operators that do the same.
    """
    io = SignalIO(operators)
    simplified = []
    for op in operators:
        copied = _copied_signal(op, io)
        if copied is not None:
            op = Copy(copied, op.Y, inc=not op.sets, tag=op.tag)
        simplified.append(op)
    return simplified


def _copied_signal(op: Operator, io: SignalIO) -> Signal | None:
    """Return the signal that an operator just copies, None if it does more."""
    if type(op) in (ElementwiseInc, ElementwiseSet):
        are_units = (_is_all_ones, _is_all_ones)
    elif type(op) in (DotInc, DotSet):
        are_units = (_is_unit_matrix, _is_one)
    else:
        return None
    for factor, other, is_unit in zip((op.A, op.X), (op.X, op.A), are_units):
        if (other.shape, other.dtype) == (op.Y.shape, op.Y.dtype):
            value = constant_value(factor, io)
            if value is not None and not factor.sparse and is_unit(value):
                return other
    return None


def _is_all_ones(value: np.ndarray) -> bool:
    return bool(np.all(value == 1))


def _is_one(value: np.ndarray) -> bool:
    return value.size == 1 and _is_all_ones(value)


def _is_unit_matrix(value: np.ndarray) -> bool:
    """Return whether a matrix product with ``value`` changes nothing."""
    if value.size == 1:
        return _is_all_ones(value)
    return (
        value.ndim == 2
        and value.shape[0] == value.shape[1]
        and np.count_nonzero(value) == len(value)
        and _is_all_ones(np.diagonal(value))
    )
