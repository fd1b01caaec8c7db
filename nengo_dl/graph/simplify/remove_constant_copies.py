"""A simplification pass: copying a constant is resetting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nengo.builder.operator import Copy, Operator

from nengo_dl.graph.increments import is_exactly
from nengo_dl.graph.operators import ResetInc, reset_to
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.simplify.constants import constant_value, slice_of


def remove_constant_copies(operators: Sequence[Operator]) -> list[Operator]:
    """
    Turn copies of constants into resets.

    Before (where nothing writes ``x``, and its initial value is 2)::

        Copy(x, y)                              reads x, sets y
        Copy(x, z, dst_slice=[3], inc=True)     reads x, incs z
        Reset(a, value=3)                       sets a
        Copy(a, b)                              reads a, sets b

    After::

        Reset(y, value=2)                       sets y
        ResetInc(z[3:4], value=2)               incs z[3:4]
        Reset(b, value=3)                       sets b

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
    resets = {op: _as_reset(op, io) for op in operators if is_exactly(op, Copy)}
    replaced = {op: reset for op, reset in resets.items() if reset is not None}
    unused = {
        writer
        for op in replaced
        for writer, target in io.writers(op.src)
        if all(reader in replaced for reader, _ in io.readers(target))
    }
    return [replaced.get(op, op) for op in operators if op not in unused]


def _as_reset(op: Copy, io: SignalIO) -> Operator | None:
    """Return a reset that does what a copy does, None if its source may change."""
    value = constant_value(op.src, io)
    dst = slice_of(op.dst, op.dst_slice)
    if value is None or dst is None or op.src.sparse:
        return None
    if op.src_slice is not None:
        value = value[op.src_slice]
    if value.size == dst.size:
        value = value.reshape(dst.shape)
    value = np.broadcast_to(value, dst.shape)
    return ResetInc(dst, value, op.tag) if op.inc else reset_to(dst, value, op.tag)
