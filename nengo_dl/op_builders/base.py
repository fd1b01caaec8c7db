"""What builders of several kinds of operators have in common."""

from __future__ import annotations

from collections.abc import Hashable

import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.builder import OpBuilder
from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.operators import is_increment
from nengo_dl.signals import SignalDict, TensorSignal


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


def gather_batch(signals: SignalDict, signal: TensorSignal) -> tf.Tensor:
    """Return the ``(minibatch_size, ...)`` value of a signal."""
    value = signals.gather(signal)
    if signal.minibatched:
        return value
    return tf.broadcast_to(value[None], (signals.minibatch_size, *value.shape))


def view_key(signal: Signal) -> Hashable:
    """Return a value that is equal for signals of the same elements."""
    return id(signal.base), signal.offset, signal.shape, signal.strides
