"""A simplification pass: adding zero is no work."""

from __future__ import annotations

from collections.abc import Sequence

from nengo.builder.operator import Copy, Operator, Reset

from nengo_dl.graph.increments import facts_of, is_exactly
from nengo_dl.graph.operators import ResetInc, is_zero
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.simplify.constants import (
    constant_value,
    is_constant_zero,
    slice_of,
)


def remove_zero_incs(operators: Sequence[Operator]) -> list[Operator]:
    """
    Remove operators that add zero; reset the targets of those that set zero.

    Before (where nothing writes ``zero``, and its initial value is 0)::

        DotInc(A, zero, y)       reads A, zero, incs y
        Copy(zero, z)            reads zero, sets z

    After::

        Reset(z)                 sets z

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
    simplified: list[Operator] = []
    for op in operators:
        if not _yields_zero(op, io):
            simplified.append(op)
        elif op.sets:
            dst = slice_of(op.sets[0], op.dst_slice if is_exactly(op, Copy) else None)
            simplified.append(op if dst is None else Reset(dst, tag=op.tag))
    return simplified


def _yields_zero(op: Operator, io: SignalIO) -> bool:
    """Return whether what an operator writes or adds is always zero."""
    facts = facts_of(op)
    if facts is not None and facts.is_product:
        return any(is_constant_zero(signal, io) for signal in op.reads)
    if is_exactly(op, ResetInc):
        return is_zero(op.value)
    if is_exactly(op, Copy):
        value = constant_value(op.src, io)
        if value is not None and op.src_slice is not None:
            value = value[op.src_slice]
        return value is not None and is_zero(value)
    return False
