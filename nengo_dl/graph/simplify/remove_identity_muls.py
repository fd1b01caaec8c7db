"""A simplification pass: multiplying by one is copying."""

from __future__ import annotations

from collections.abc import Sequence

from nengo.builder.operator import Copy, Operator

from nengo_dl.graph.increments import facts_of
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
    io = SignalIO.of(operators)
    return [_as_copy(op, io) or op for op in operators]


def _as_copy(op: Operator, io: SignalIO) -> Copy | None:
    """Return a copy that does what a product does, None if it does more."""
    facts = facts_of(op)
    if facts is None or not facts.units:
        return None
    (target,) = op.sets + op.incs
    for factor, other, is_unit in zip(op.reads, reversed(op.reads), facts.units):
        if (other.shape, other.dtype) == (target.shape, target.dtype):
            value = constant_value(factor, io)
            if value is not None and not factor.sparse and is_unit(value):
                return Copy(other, target, inc=not op.sets, tag=op.tag)
    return None
