"""
Time, inputs, and operators that move values around.

Below, ``g`` is the number of operators in a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from nengo.builder.operator import Copy, Reset, TimeUpdate
from nengo.builder.probe import SimProbe
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import BuildConfig, Builder, OpBuilder
from nengo_dl.graph.joining import JoinColumns
from nengo_dl.graph.operators import Feed, ResetInc, is_increment
from nengo_dl.graph.trainability import is_trainable
from nengo_dl.op_builders.base import (
    OverwritingBuilder,
    are_better_alone,
    gather_batch,
    write_mode,
)
from nengo_dl.signals import SignalDict, TensorSignal, row_access


@Builder.register(TimeUpdate)
class TimeUpdateBuilder(OpBuilder):
    """``step += 1; time = step * dt``."""

    @staticmethod
    def carried(op: TimeUpdate) -> list[Signal]:
        """Return the step counter."""
        return [op.step]

    def build_step(self, signals: SignalDict) -> None:
        """Advance the step and the time."""
        op = self.ops[0]
        step = signals.gather(op.step) + 1
        signals.scatter(op.step, step)
        signals.scatter(op.time, tf.cast(step, signals.dtype) * signals.dt)


@Builder.register(Feed)
class FeedBuilder(OverwritingBuilder):
    """Let the values of Nodes and processes without input flow into the step."""

    @staticmethod
    def timeless(op: Feed) -> bool:
        """Say that it could."""
        return True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Combine the signals."""
        super().build_pre(signals, config)
        self.signal = signals.combine([op.signal for op in self.ops])

    def build_step(self, signals: SignalDict) -> None:
        """Write the values that were fed in for this step."""
        values = tf.concat([signals.feeds[op]() for op in self.ops], axis=1)
        op = self.ops[0]
        signals.scatter(
            self.signal,
            row_access.reshape(values, (-1, *self.signal.shape)),
            mode=write_mode(op, op.signal),
        )

    @staticmethod
    def mergeable(x: Feed, y: Feed) -> bool:
        """Merge all feeds of one mode."""
        return is_increment(x, x.signal) == is_increment(y, y.signal)


@Builder.register(Reset)
@Builder.register(ResetInc)
class ResetBuilder(OverwritingBuilder):
    """``dst = value`` (or ``dst += value``)."""

    @staticmethod
    def timeless(op: Reset) -> bool:
        """Say that it could."""
        return True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Lay the values side by side."""
        super().build_pre(signals, config)
        self.dst = signals.combine([op.dst for op in self.ops])
        dtype = tf.as_dtype(self.dst.dtype)
        values = [
            np.broadcast_to(np.asarray(op.value), op.dst.shape or (1,))
            for op in self.ops
        ]
        value = np.concatenate(values).astype(dtype.as_numpy_dtype)
        if value.size and (value == value.flat[0]).all():
            self.value = tf.fill(self.dst.shape, tf.constant(value.flat[0], dtype))
        else:
            self.value = tf.constant(value)

    def build_step(self, signals: SignalDict) -> None:
        """Write the values."""
        mode = write_mode(self.ops[0], self.ops[0].dst)
        signals.scatter(self.dst, self.value, mode=mode)

    @staticmethod
    def mergeable(x: Reset, y: Reset) -> bool:
        """Merge all resets."""
        return True


@Builder.register(SimProbe)
class SimProbeBuilder(OverwritingBuilder):
    """Keep a probed signal alive; there is nothing to compute."""

    def build_step(self, signals: SignalDict) -> None:
        """Do nothing: probed signals are read at the end of the step."""

    @staticmethod
    def mergeable(x: SimProbe, y: SimProbe) -> bool:
        """Merge nothing, as there is nothing to gain."""
        return False


@Builder.register(Copy)
class CopyBuilder(OverwritingBuilder):
    """``dst[dst_slice] (=|+=) src[src_slice]``."""

    @staticmethod
    def timeless(op: Copy) -> bool:
        """Say that it could."""
        return True

    @staticmethod
    def carried(op: Copy) -> list[Signal]:
        """Return ``dst`` if only a part of it is set."""
        return [] if op.dst_slice is None else list(op.sets)

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """
        Repeat parameters, such as biases, for all items in training.

        Gradients are then added up over the steps for every item by itself, and over
        the items only once. XLA takes long to add up columns.
        """
        self.repeated: dict[int, tf.Tensor] = {}
        if not (config.training and any(is_trainable(op.src) for op in self.ops)):
            return
        self.build_pre(signals, config)
        for i, (src, dst) in enumerate(self.pairs):
            if dst.minibatched and not src.minibatched and signals.is_known(src):
                value = self._read(signals, src, dst)
                self.repeated[i] = tf.broadcast_to(value, dst.full_shape)

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find the elements to copy."""
        super().build_pre(signals, config)
        sources, targets = [], []
        for op in self.ops:
            src, dst = signals[op.src], signals[op.dst]
            src = src if op.src_slice is None else src[op.src_slice]
            dst = dst if op.dst_slice is None else dst[op.dst_slice]
            if not op.inc and has_repetitions(op.dst_slice, op.dst):
                raise BuildError(
                    f"{op}: `dst_slice` must not contain an element twice unless the "
                    "copy is an increment"
                )
            if src.shape != dst.shape and src.size == dst.size:
                src = src.reshape(dst.shape)
            sources.append(src)
            targets.append(dst)
        self.mode = write_mode(self.ops[0], self.ops[0].dst)
        self.shapes_agree = all(s.shape == d.shape for s, d in zip(sources, targets))
        # many slices, such as columns of a matrix
        are_many = any(len(p.pieces) > row_access.MAX_SLICES for p in sources + targets)
        are_alone = are_many or are_better_alone(signals, sources, targets)
        if self.shapes_agree and not are_alone:
            sources, targets = [signals.combine(sources)], [signals.combine(targets)]
        self.pairs = list(zip(sources, targets))

    def build_step(self, signals: SignalDict) -> None:
        """Copy the elements."""
        for i, (src, dst) in enumerate(self.pairs):
            value = self.repeated.get(i)
            if value is None:
                value = self._read(signals, src, dst)
            signals.scatter(dst, value, mode=self.mode)

    def _read(
        self, signals: SignalDict, src: TensorSignal, dst: TensorSignal
    ) -> tf.Tensor:
        value = signals.gather(src)
        if not self.shapes_agree:
            batch = value.shape[: int(src.minibatched)]
            value = tf.broadcast_to(value, (*batch, *dst.shape))
        return value

    @staticmethod
    def mergeable(x: Copy, y: Copy) -> bool:
        """Merge all copies (of one mode)."""
        return True


@Builder.register(JoinColumns)
class JoinColumnsBuilder(OverwritingBuilder):
    """``dst = concatenate(sources, axis=1)``, all of them matrices."""

    @staticmethod
    def timeless(op: JoinColumns) -> bool:
        """Say that it could."""
        return True

    def build_step(self, signals: SignalDict) -> None:
        """Put the sources side by side."""
        (op,) = self.ops
        dst = signals[op.dst]
        gather = gather_batch if dst.minibatched else SignalDict.gather
        values = [gather(signals, signals[source]) for source in op.reads]
        n_axes = int(dst.minibatched)
        matrices = [tf.reshape(x, (*x.shape[:n_axes], op.n_rows, -1)) for x in values]
        joined = tf.concat(matrices, axis=-1)
        signals.scatter(dst, tf.reshape(joined, (*joined.shape[:n_axes], -1)))


def has_repetitions(indices: slice | Sequence[int] | None, signal: Signal) -> bool:
    """Return whether a part of a signal is selected more than once."""
    if indices is None:
        return False
    selected = np.arange(signal.shape[0])[indices]
    return len(np.unique(selected)) < len(selected)
