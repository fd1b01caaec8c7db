"""What builders of several kinds of operators have in common."""

from __future__ import annotations

from collections.abc import Hashable

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.builder import OpBuilder
from nengo_dl.graph.operators import is_increment


class OverwritingBuilder(OpBuilder):
    """Base class of builders that set their outputs without reading them."""

    @staticmethod
    def carried(op) -> list:
        """Return nothing: previous values are overwritten."""
        return []


def write_mode(op: Operator, signal: Signal) -> str:
    """Return the mode with which `SignalDict.scatter` writes an operator's output."""
    return "inc" if is_increment(op, signal) else "update"


def view_key(signal: Signal) -> Hashable:
    """Return a value that is equal for signals of the same elements."""
    return id(signal.base), signal.offset, signal.shape, signal.strides
