"""
Builders of Nengo's basic operators.

In: groups of merged operators. Out: TensorFlow operations of one simulation step.
Below, ``g`` is the number of operators in a group.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Reset,
    SimPyFunc,
    SparseDotInc,
    TimeUpdate,
)
from nengo.builder.probe import SimProbe
from nengo.exceptions import BuildError

from nengo_dl.builder import Builder, OpBuilder
from nengo_dl.layout import sparse_indices
from nengo_dl.operators import (
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SparseDotSet,
    is_increment,
)
from nengo_dl.products import sparse_matmul, stacked_matvec
from nengo_dl.utils import (
    align_func,
    fit_output,
    function_name,
    note_origin,
    numpy_function,
)


class OverwritingBuilder(OpBuilder):
    """Base class of builders that set their outputs without reading them."""

    @staticmethod
    def carried(op) -> list:
        """Return nothing: previous values are overwritten."""
        return []


def write_mode(op, signal) -> str:
    """Return the mode with which `SignalDict.scatter` writes an operator's output."""
    return "inc" if is_increment(op, signal) else "update"


@Builder.register(TimeUpdate)
class TimeUpdateBuilder(OpBuilder):
    """``step += 1; time = step * dt``."""

    @staticmethod
    def carried(op) -> list:
        """Return the step counter."""
        return [op.step]

    def build_step(self, signals):
        """Advance the step and the time."""
        op = self.ops[0]
        step = signals.gather(op.step) + 1
        signals.scatter(op.step, step)
        signals.scatter(op.time, tf.cast(step, signals.dtype) * signals.dt)


@Builder.register(Feed)
class FeedBuilder(OverwritingBuilder):
    """Let the values of Nodes and processes without input flow into the step."""

    def build_pre(self, signals, config):
        """Combine the signals."""
        super().build_pre(signals, config)
        self.signal = signals.combine([op.signal for op in self.ops])

    def build_step(self, signals):
        """Write the values that were fed in for this step."""
        values = tf.concat([signals.feeds[op] for op in self.ops], axis=1)
        op = self.ops[0]
        signals.scatter(
            self.signal,
            tf.reshape(values, (-1, *self.signal.shape)),
            mode=write_mode(op, op.signal),
        )

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge all feeds of one mode."""
        return is_increment(x, x.signal) == is_increment(y, y.signal)


@Builder.register(Reset)
@Builder.register(ResetInc)
class ResetBuilder(OverwritingBuilder):
    """``dst = value`` (or ``dst += value``)."""

    def build_pre(self, signals, config):
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

    def build_step(self, signals):
        """Write the values."""
        mode = write_mode(self.ops[0], self.ops[0].dst)
        signals.scatter(self.dst, self.value, mode=mode)

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge all resets."""
        return True


@Builder.register(SimProbe)
class SimProbeBuilder(OverwritingBuilder):
    """Keep a probed signal alive; there is nothing to compute."""

    def build_step(self, signals):
        """Do nothing: probed signals are read at the end of the step."""

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge nothing, as there is nothing to gain."""
        return False


@Builder.register(Copy)
class CopyBuilder(OverwritingBuilder):
    """``dst[dst_slice] (=|+=) src[src_slice]``."""

    @staticmethod
    def carried(op) -> list:
        """Return ``dst`` if only a part of it is set."""
        return [] if op.dst_slice is None else list(op.sets)

    def build_pre(self, signals, config):
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
        if self.shapes_agree:
            sources, targets = [signals.combine(sources)], [signals.combine(targets)]
        self.pairs = list(zip(sources, targets))

    def build_step(self, signals):
        """Copy the elements."""
        for src, dst in self.pairs:
            value = signals.gather(src)
            if not self.shapes_agree:
                batch = value.shape[: int(src.minibatched)]
                value = tf.broadcast_to(value, (*batch, *dst.shape))
            signals.scatter(dst, value, mode=self.mode)

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge all copies (of one mode)."""
        return True


def has_repetitions(indices, signal) -> bool:
    """Return whether a part of a signal is selected more than once."""
    if indices is None:
        return False
    selected = np.arange(signal.shape[0])[indices]
    return len(np.unique(selected)) < len(selected)


class StackedBuilder(OverwritingBuilder):
    """
    Base class of ``Y (=|+=) A * X`` for some product.

    ``A`` and ``X`` of all operators are stacked along a new axis.
    """

    def build_pre(self, signals, config):
        """Find ``A``, ``X`` and ``Y`` of all operators."""
        super().build_pre(signals, config)
        g = len(self.ops)
        op = self.ops[0]
        self.A = signals.combine([op.A for op in self.ops]).reshape((g, *op.A.shape))
        self.X = signals.combine([op.X for op in self.ops]).reshape((g, *op.X.shape))
        self.Y = signals.combine([op.Y for op in self.ops])
        self.mode = write_mode(op, op.Y)

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge operators whose signals have equal shapes."""
        return all(a.shape[:1] == b.shape[:1] for a, b in _pairs(x, y)) or all(
            a.size == 1 and b.size == 1 for a, b in _pairs(x, y)
        )


def _pairs(x, y):
    return [(x.A, y.A), (x.X, y.X), (x.Y, y.Y)]


@Builder.register(ElementwiseInc)
@Builder.register(ElementwiseSet)
class ElementwiseIncBuilder(StackedBuilder):
    """``Y (=|+=) A * X``, element by element with broadcasting."""

    def build_pre(self, signals, config):
        """Check that the product has the shape of ``Y``."""
        super().build_pre(signals, config)
        op = self.ops[0]
        shape = np.broadcast_shapes(op.A.shape, op.X.shape)
        if math.prod(shape) != op.Y.size:
            raise BuildError(
                f"The product of signals of shapes {op.A.shape} and {op.X.shape} "
                f"cannot be written to a signal of shape {op.Y.shape} ({op})"
            )

    def build_step(self, signals):
        """Multiply."""
        n_axes = max(self.A.ndim, self.X.ndim)
        factors = []
        for factor in (self.A, self.X):
            # NumPy's broadcasting aligns the last axes of each of the g products
            value = signals.gather(factor)
            split = int(factor.minibatched) + 1
            ones = (1,) * (n_axes - factor.ndim)
            shape = (*value.shape[:split], *ones, *value.shape[split:])
            factors.append(tf.reshape(value, shape))
        product = factors[0] * factors[1]
        batch = product.shape[: product.shape.rank - n_axes]
        product = tf.reshape(product, (*batch, *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)


@Builder.register(DotInc)
@Builder.register(DotSet)
class DotIncBuilder(StackedBuilder):
    """``Y (=|+=) A @ X``, for matrices ``A`` and vectors ``X``."""

    def build_pre(self, signals, config):
        """Find ``A``, ``X`` and ``Y`` of all operators, as matrices and vectors."""
        super().build_pre(signals, config)
        op, g = self.ops[0], len(self.ops)
        n = op.X.size
        if op.A.ndim == 0:
            # a scalar multiplies every element of X
            self.A, self.X = self.A.reshape((g, 1, 1)), self.X.reshape((g, n))
        elif all(other.X is op.X for other in self.ops):
            self.A = self.A.reshape((1, -1, n))
            self.X = signals[op.X].reshape((1, n))
        else:
            self.A = self.A.reshape((g, -1, n))
            self.X = self.X.reshape((g, n))

    def build_step(self, signals):
        """Multiply."""
        A, X = signals.gather(self.A), signals.gather(self.X)
        a_batched = self.A.minibatched
        if a_batched and signals.minibatch_size == 1:
            A, a_batched = A[0], False
        product = stacked_matvec(A, X, a_batched, self.X.minibatched)
        batch = product.shape[:-2]
        product = tf.reshape(product, (*batch, *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)


@Builder.register(SparseDotInc)
@Builder.register(SparseDotSet)
class SparseDotIncBuilder(OverwritingBuilder):
    """``Y (=|+=) A @ X`` for sparse matrices ``A``, as one block-diagonal matrix."""

    def build_pre(self, signals, config):
        """Find the nonzero elements of all matrices."""
        super().build_pre(signals, config)
        self.A = signals.combine([op.A for op in self.ops])
        self.X = signals.combine([op.X for op in self.ops])
        self.Y = signals.combine([op.Y for op in self.ops])
        self.mode = write_mode(self.ops[0], self.ops[0].Y)
        indices, corner = [], np.zeros(2, dtype=np.int64)
        for op in self.ops:
            indices.append(sparse_indices(op.A)[0] + corner)
            corner = corner + op.A.shape
        self.indices = np.concatenate(indices)
        self.shape = tuple(int(n) for n in corner)

    def build_step(self, signals):
        """Multiply."""
        X = signals.gather(self.X)
        X = tf.reshape(X, (*X.shape[: int(self.X.minibatched)], self.shape[1]))
        product = sparse_matmul(
            self.indices, signals.gather(self.A), self.shape, X, transpose_x=True
        )
        product = tf.reshape(product, (*X.shape[:-1], *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge all products with sparse matrices."""
        return True


@Builder.register(SimPyFunc)
class SimPyFuncBuilder(OverwritingBuilder):
    """``output = fn([t], [x])`` for Python functions, item by item of the minibatch."""

    pure = False

    def build_pre(self, signals, config):
        """Prepare the function that TensorFlow calls."""
        super().build_pre(signals, config)
        self.time = self.ops[0].t
        has_input = [op for op in self.ops if op.x is not None]
        has_output = [op for op in self.ops if op.output is not None]
        self.x = signals.combine([op.x for op in has_input])
        self.output = signals.combine([op.output for op in has_output])
        self.func = merged_py_func(
            self.ops, signals.minibatch_size, signals.dtype, signals.dt_val
        )

    def build_step(self, signals):
        """Call the functions."""
        time = signals.zero if self.time is None else signals.gather(self.time)
        inputs = [time]
        if self.x:
            x = signals.gather(self.x)
            if not self.x.minibatched:
                x = tf.broadcast_to(x[None], (signals.minibatch_size, *x.shape))
            inputs.append(x)
        output = numpy_function(self.func, inputs, signals.dtype, errors=signals.errors)
        if not self.output:
            return output
        output.set_shape((signals.minibatch_size, *self.output.shape))
        signals.scatter(self.output, output)
        return output

    @staticmethod
    def mergeable(x, y) -> bool:
        """Merge functions that all read the time, or that all do not."""
        return x.t is y.t


def merged_py_func(ops, minibatch_size: int, dtype, dt: float):
    """
    Return one function of arrays that calls the functions of several operators.

    Parameters
    ----------
    ops : list of nengo.builder.operator.SimPyFunc
        The operators.
    minibatch_size : int
        Number of items for which each function is called.
    dtype : tf.DType
        Type of the output.
    dt : float
        Length of a step in seconds.

    Returns
    -------
    func : callable
        Maps the time and the ``(minibatch_size, sum of inputs)`` array to the
        ``(minibatch_size, sum of outputs)`` array.
    """
    np_dtype = dtype.as_numpy_dtype
    funcs = [op.fn if op.output is None else align_func(np_dtype)(op.fn) for op in ops]

    def call_all(time, x=None):
        # the time in double precision, as Nengo passes it
        args = [] if ops[0].t is None else [round(time.item() / dt) * dt]
        rows = []
        for item in range(minibatch_size):
            outputs = []
            start = 0
            for op, func in zip(ops, funcs):
                op_args = args
                if op.x is not None:
                    stop = start + op.x.size
                    op_args = [*args, x[item, start:stop].reshape(op.x.shape).copy()]
                    start = stop
                try:
                    value = func(*op_args)
                    if op.output is not None:
                        name = function_name(op.fn, sanitize=False)
                        outputs.append(fit_output(value, op.output.size, name))
                except Exception as err:
                    origin = op.x if op.output is None else op.output
                    note_origin(err, f"the function of {origin.name}")
                    raise
            rows.append(np.concatenate(outputs) if outputs else np.zeros(0, np_dtype))
        return np.stack(rows).astype(np_dtype)

    return call_all
