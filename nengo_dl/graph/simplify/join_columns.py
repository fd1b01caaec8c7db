"""A simplification pass: columns of a matrix are put side by side, not added to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nengo.builder.operator import Copy, Operator, Reset

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.joining import JoinColumns
from nengo_dl.graph.operators import is_zero
from nengo_dl.graph.signal_io import SignalIO


def join_columns(operators: Sequence[Operator]) -> list[Operator]:
    """
    Join signals that are copied to interleaved parts of another one.

    Every increment of such a part reads, adds and writes, from one end of the signal to
    the other. (Parts that are not interleaved are one slice each, and merged with other
    copies.)

    Before::

        Reset(y)                                    sets y
        Copy(a, y, dst_slice=[0, 3, 6], inc=True)   reads a, incs y
        Copy(b, y, dst_slice=[1, 2, 4, 5, 7, 8])    reads b, incs y

    After::

        JoinColumns([a, b], y, n_rows=3)            reads a, b, sets y

    The parts must make up all of ``y``.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    operators : list of nengo.builder.Operator
        Operators that do the same.
    """
    if not any(is_exactly(op, Copy) and op.dst_slice is not None for op in operators):
        return list(operators)  # saves time in large networks
    io = SignalIO.of(operators)
    replaced: dict[Operator, Operator] = {}
    removed: set[Operator] = set()
    for op in operators:
        if is_exactly(op, Reset) and is_zero(op.value) and op.dst.ndim == 1:
            copies = _copies_to_parts(op, io)
            join = _joined(op, copies)
            if join is not None:
                replaced[op] = join
                removed.update(copies)
    return [replaced.get(op, op) for op in operators if op not in removed]


def _copies_to_parts(reset: Reset, io: SignalIO) -> list[Copy]:
    """Return the copies that write all that follows a reset; else nothing."""
    copies = [op for op, _ in io.writers(reset.dst) if op is not reset]
    for op in copies:
        if not (
            is_exactly(op, Copy)
            and op.inc
            and op.dst is reset.dst
            and op.dst_slice is not None
            and op.src_slice is None
            and op.src.ndim == 1
            and op.src.dtype == op.dst.dtype
        ):
            return []
    return copies


def _joined(reset: Reset, copies: Sequence[Copy]) -> JoinColumns | None:
    """Return one operator in place of copies; None if they are no columns."""
    if len(copies) < 2:
        return None
    places = np.arange(reset.dst.size)
    parts = [(places[op.dst_slice], op) for op in copies]
    if any(len(part) == 0 or len(part) != op.src.size for part, op in parts):
        return None
    parts.sort(key=lambda item: item[0][0])
    # the first column of the second part is where the first part has a gap
    n_columns_of_first = int(parts[1][0][0])
    n_rows, rest = divmod(len(parts[0][0]), n_columns_of_first or 1)
    if rest or n_rows < 2 or reset.dst.size % n_rows:
        return None
    columns = [
        part.reshape((n_rows, -1)) for part, _ in parts if not part.size % n_rows
    ]
    if sum(part.size for part in columns) != reset.dst.size:
        return None
    joined = np.concatenate(columns, axis=1)
    if not np.array_equal(joined.ravel(), places):
        return None
    return JoinColumns([op.src for _, op in parts], reset.dst, n_rows, tag=reset.tag)
