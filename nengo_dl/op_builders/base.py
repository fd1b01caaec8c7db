"""What builders of several kinds of operators have in common."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.builder import OpBuilder
from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.operators import is_increment
from nengo_dl.signals import SignalDict, TensorSignal

# Signals of so many elements each (on average) are not put side by side first; those of
# all items count if there are only a few signals: each one makes a program longer.
MIN_ALONE = 2**10
MAX_FEW = 16


class OverwritingBuilder(OpBuilder):
    """Base class of builders that set their outputs without reading them."""

    @staticmethod
    def carried(op: Operator) -> list[Signal]:
        """Return nothing: previous values are overwritten."""
        return []


def write_mode(op: Operator, signal: Signal) -> str:
    """Return the mode with which `.SignalDict.scatter` writes an operator's output."""
    return "inc" if is_increment(op, signal) else "update"


def combined_length(signal: Signal) -> int:
    """Return the length of the first axis of a signal where signals are combined."""
    shape = stored_shape(signal)
    return shape[0] if shape else 1


def stored_shape(signal: Signal) -> tuple[int, ...]:
    """Return the shape of what is stored of a signal: ``(n,)`` for a sparse one."""
    return dense_values(signal).shape if signal.sparse else signal.shape


def are_better_alone(
    signals: SignalDict,
    sources: Sequence[Signal | TensorSignal],
    targets: Sequence[Signal | TensorSignal],
) -> bool:
    """
    Return whether to read and write each operator's signals for themselves.

    So it is for large ones that are no neighbours, which would be put side by side.

    Parameters
    ----------
    signals : SignalDict
        The signals.
    sources, targets : sequence of (Signal or TensorSignal)
        What each operator reads and writes.
    """
    places = signals.combine(sources), signals.combine(targets)
    n_pieces = max(len(place.pieces) for place in places)
    n_elements = places[1].size
    if n_pieces <= MAX_FEW:
        n_elements *= places[1].minibatch_size or 1
    return n_pieces >= len(sources) and n_elements >= MIN_ALONE * n_pieces


def gather_batch(signals: SignalDict, signal: TensorSignal) -> tf.Tensor:
    """Return the ``(minibatch_size, ...)`` value of a signal."""
    value = signals.gather(signal)
    if signal.minibatched:
        return value
    return tf.broadcast_to(value[None], (signals.minibatch_size, *value.shape))


def view_key(signal: Signal) -> Hashable:
    """Return a value that is equal for signals of the same elements."""
    return id(signal.base), signal.offset, signal.shape, signal.strides
