"""A simplification pass: resets that nothing undoes are no work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from nengo.builder.operator import Operator, Reset

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.operators import Constant
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.trainability import is_parameter


def remove_unmodified_resets(operators: Sequence[Operator]) -> list[Operator]:
    """
    Turn resets of signals that nothing else changes into constants.

    Before::

        Reset(x, value=2)    sets x
        DotInc(A, x, y)      reads A, x, incs y

    After::

        Constant(x, 2)       sets x; there is nothing to do in a step
        DotInc(A, x, y)      reads A, x, incs y

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
    return [
        Constant(op.dst, op.value, tag=op.tag) if _is_unmodified(op, io) else op
        for op in operators
    ]


def _is_unmodified(op: Operator, io: SignalIO) -> bool:
    """Return whether an operator is a reset, and the only one to write its target."""
    return (
        is_exactly(op, Reset)
        and not is_parameter(op.dst)
        and len(list(islice(io.writers(op.dst), 2))) == 1
    )
