"""A simplification pass: PES changes weights by an outer product, never held whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nengo.builder.learning_rules import SimPES
from nengo.builder.operator import Copy, ElementwiseInc, Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.operators import SimPESFactors
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.trainability import is_minibatched


def remove_pes_deltas(operators: Sequence[Operator]) -> list[Operator]:
    """
    Keep the two factors of a change of weights instead of the change.

    With many neurons, most of the time of PES is spent on reading and writing arrays of
    the size of the weights.

    Before (where nothing else reads ``delta``)::

        Copy(delta, weights, inc=True)              reads delta, incs weights
        SimPES(a, e, delta)                         updates delta

    After::

        ElementwiseInc(rows, columns, weights)      incs weights
        SimPESFactors(a, e, rows, columns)          updates rows, columns

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    operators : list of nengo.builder.Operator
        Operators that do the same.
    """
    io = SignalIO.of(operators)
    replaced: dict[Operator, Operator] = {}
    for op in operators:
        if is_exactly(op, SimPES):
            replaced.update(_with_factors(op, io))
    return [replaced.get(op, op) for op in operators]


def _with_factors(op: SimPES, io: SignalIO) -> dict[Operator, Operator]:
    """Return what to put in the place of operators; nothing if that is impossible."""
    delta = op.delta
    readers = [reader for reader, _ in io.readers(delta)]
    is_outer_product = delta.shape == (op.error.size, op.pre_filtered.size)
    if len(readers) != 1 or not is_outer_product or np.any(delta.initial_value):
        return {}
    (copy,) = readers
    adds_all_of_it = (
        is_exactly(copy, Copy)
        and copy.inc
        and copy.src is delta
        and copy.dst.shape == delta.shape
        and copy.src_slice is copy.dst_slice is None
    )
    if not adds_all_of_it:
        return {}
    rows = _state_like(delta, (delta.shape[0], 1), "rows")
    columns = _state_like(delta, (1, delta.shape[1]), "columns")
    return {
        copy: ElementwiseInc(rows, columns, copy.dst, tag=copy.tag),
        op: SimPESFactors(
            op.pre_filtered, op.error, rows, columns, op.learning_rate, tag=op.tag
        ),
    }


def _state_like(delta: Signal, shape: tuple[int, int], name: str) -> Signal:
    signal = Signal(np.zeros(shape, delta.dtype), name=f"{delta.name}.{name}")
    signal.minibatched, signal.trainable = is_minibatched(delta), None
    return signal
