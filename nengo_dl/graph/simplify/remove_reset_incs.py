"""A simplification pass: the first addition to zero may as well overwrite."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from nengo.builder.operator import Operator, Reset

from nengo_dl.builder import Builder
from nengo_dl.graph.increments import facts_of, is_exactly
from nengo_dl.graph.operators import is_increment, is_zero
from nengo_dl.graph.signal_io import SignalIO, covers


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
        If there is an increment by a type of operator of which nothing is known; see
        `nengo_dl.graph.increments`.
    """
    io = SignalIO.of(operators)
    replaced: dict[Operator, Operator] = {}
    removed: set[Operator] = set()
    for op in operators:
        if is_exactly(op, Reset) and is_zero(op.value):
            replacement = _replacement(op, io)
            if replacement:
                replaced.update(replacement)
                removed.add(op)
    return [replaced.get(op, op) for op in operators if op not in removed]


def _replacement(reset: Reset, io: SignalIO) -> dict[Operator, Operator]:
    """Return an increment of what is reset, and what sets the same; or nothing."""
    incers = [
        (op, target) for op, target in io.writers(reset.dst) if is_increment(op, target)
    ]
    # the others have to wait for the one that is chosen; that could lead to a cycle if
    # the chosen one depends on something else that they write
    if any(len(op.sets) + len(op.incs) > 1 for op, _ in incers):
        return {}
    for op, target in incers:
        if not (covers(target, reset.dst) and covers(reset.dst, target)):
            continue
        facts = facts_of(op)
        if facts is None and Builder.runs_in_numpy(op):
            continue
        if facts is None:
            warnings.warn(
                f"Unknown incer type `{type(op).__name__}`: it is not known how to "
                f"set {target} with it, so that its reset cannot be left out; this "
                "costs some speed only"
            )
            continue
        setting = facts.set_instead(op)
        if setting is not None:
            return {op: setting}
    return {}
