"""A simplification pass: the first addition to zero may as well overwrite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Operator,
    Reset,
    SparseDotInc,
)
from nengo.builder.processes import SimProcess
from nengo.builder.transforms import ConvInc, ConvTransposeInc

from nengo_dl.graph.operators import (
    ConvSet,
    ConvTransposeSet,
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SparseDotSet,
    is_increment,
    is_zero,
    reset_to,
)
from nengo_dl.graph.signal_io import SignalIO, covers

#: Operators that are left as they are, because what belongs to them outside of the step
#: (data that are fed in, random number generators) is found by the operator itself.
KEPT = (Feed, SimProcess)

#: For each type of incrementing operator, how to make one that sets the same.
SETTERS: dict[type, Callable[[Operator], Operator]] = {
    ElementwiseInc: lambda op: ElementwiseSet(op.A, op.X, op.Y, tag=op.tag),
    DotInc: lambda op: DotSet(op.A, op.X, op.Y, reshape=op.reshape, tag=op.tag),
    SparseDotInc: lambda op: SparseDotSet(op.A, op.X, op.Y, tag=op.tag),
    ConvInc: lambda op: ConvSet(op.W, op.X, op.Y, op.conv, tag=op.tag),
    ConvTransposeInc: lambda op: ConvTransposeSet(
        op.W, op.X, op.Y, op.conv, tag=op.tag
    ),
    Copy: lambda op: Copy(op.src, op.dst, src_slice=op.src_slice, tag=op.tag),
    ResetInc: lambda op: reset_to(op.dst, op.value, tag=op.tag),
}


def remove_reset_incs(operators: Sequence[Operator]) -> list[Operator]:
    """
    Merge resets to zero with the first increment that follows.

    Before::

        Reset(y)             sets y
        DotInc(A, x, y)      reads A, x, incs y
        DotInc(B, z, y)      reads B, z, incs y

    After::

        DotSet(A, x, y)      reads A, x, sets y
        DotInc(B, z, y)      reads B, z, incs y

    The increment must concern all that is reset, and nothing else.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    operators : list of nengo.builder.Operator
        Operators that do the same.

    Warns
    -----
    UserWarning
        If there is an increment by a type of operator that is not in `SETTERS`.
    """
    io = SignalIO(operators)
    replaced: dict[Operator, Operator] = {}
    removed: set[Operator] = set()
    for op in operators:
        if isinstance(op, Reset) and not is_increment(op, op.dst) and is_zero(op.value):
            incer = _first_incer(op, io)
            if incer is not None:
                replaced[incer] = SETTERS[type(incer)](incer)
                removed.add(op)
    return [replaced.get(op, op) for op in operators if op not in removed]


def _first_incer(reset: Reset, io: SignalIO) -> Operator | None:
    """Return an operator that can take over the reset of what it increments."""
    incers = [
        (op, target) for op, target in io.writers(reset.dst) if is_increment(op, target)
    ]
    # the others have to wait for the one that is chosen; that could lead to a cycle if
    # the chosen one depends on something else that they write
    if any(len(op.sets) + len(op.incs) > 1 for op, _ in incers):
        return None
    for op, target in incers:
        if not (covers(target, reset.dst) and covers(reset.dst, target)):
            continue
        if isinstance(op, KEPT):
            continue
        if type(op) not in SETTERS:
            warnings.warn(
                f"Unknown incer type `{type(op).__name__}`: it is not known how to "
                f"set {target} with it, so that its reset cannot be left out; this "
                "costs some speed only"
            )
        elif not (isinstance(op, Copy) and op.dst_slice is not None):
            return op
    return None
