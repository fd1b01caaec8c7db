"""
Builders of Nengo's basic operators.

In: groups of merged operators. Out: TensorFlow operations of one simulation step.
Below, ``g`` is the number of operators in a group.
"""

from __future__ import annotations

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

    def build_step(self, signals):
        """Write the values that were fed in for this step."""
        for op in self.ops:
            signals.scatter(
                op.signal,
                tf.reshape(signals.feeds[op], (-1, *op.signal.shape)),
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

    def build_step(self, signals):
        """Multiply."""
        n_axes = max(self.A.ndim, self.X.ndim, len(self.ops[0].Y.shape) + 1)
        factors = []
        for factor in (self.A, self.X):
            value = signals.gather(factor)
            split = int(factor.minibatched) + 1
            ones = (1,) * (n_axes - factor.ndim)
            shape = (*value.shape[:split], *ones, *value.shape[split:])
            factors.append(tf.reshape(value, shape))
        product = factors[0] * factors[1]
        g, shape = len(self.ops), self.ops[0].Y.shape
        batch = product.shape[: product.shape.rank - n_axes]
        if product.shape[len(batch) :] != (g, *shape):
            size = int(np.prod(product.shape[len(batch) + 1 :]))
            if size != self.ops[0].Y.size:
                product = tf.broadcast_to(product, (*batch, g, *shape))
        product = tf.reshape(product, (*batch, *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)


@Builder.register(DotInc)
@Builder.register(DotSet)
class DotIncBuilder(StackedBuilder):
    """``Y (=|+=) A @ X``, for matrices ``A`` and vectors ``X``."""

    def build_step(self, signals):
        """Multiply."""
        A, X = signals.gather(self.A), signals.gather(self.X)
        batch = (signals.minibatch_size,)
        if self.A.minibatched and signals.minibatch_size == 1:
            A = A[0]
        a_batched = self.A.minibatched and signals.minibatch_size > 1
        m, n = _matrix_shape(self.ops[0])
        g = len(self.ops)
        A = tf.reshape(A, (*batch * a_batched, g, m, n))
        X = tf.reshape(X, (*batch * self.X.minibatched, g, n))
        product = stacked_matvec(A, X, a_batched, self.X.minibatched)
        has_batch = a_batched or self.X.minibatched
        product = tf.reshape(product, (*batch * has_batch, *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)


def _matrix_shape(op) -> tuple[int, int]:
    """Return the shape of ``A`` as a matrix that maps ``X`` to ``Y``."""
    n = op.X.size
    if op.A.size == 1 and op.X.size == op.Y.size and n != 1:
        raise NotImplementedError(f"{op} multiplies by a scalar; use ElementwiseInc")
    return op.A.size // n, n


def stacked_matvec(A, X, a_batched: bool, x_batched: bool) -> tf.Tensor:
    """
    Multiply ``g`` matrices with ``g`` vectors, in the form that runs fastest.

    Parameters
    ----------
    A : ([minibatch_size,] g, m, n) tensor
        The matrices.
    X : ([minibatch_size,] g, n) tensor
        The vectors.
    a_batched, x_batched : bool
        Which of the two have a minibatch axis.

    Returns
    -------
    product : ([minibatch_size,] g, m) tensor
    """
    g, m, n = A.shape[-3:]
    if n == 1:
        return A[..., 0] * X
    if m == 1:
        return tf.reduce_sum(A[..., 0, :] * X, axis=-1, keepdims=True)
    if g == 1 and not a_batched and x_batched:
        return tf.matmul(X[:, 0], A[0], transpose_b=True)[:, None]
    a, x = "b" * a_batched, "b" * x_batched
    return tf.einsum(f"{a}gmn,{x}gn->{a or x}gm", A, X)


@Builder.register(SparseDotInc)
@Builder.register(SparseDotSet)
class SparseDotIncBuilder(OverwritingBuilder):
    """``Y (=|+=) A @ X`` for sparse matrices ``A``, as one block-diagonal matrix."""

    def build_pre(self, signals, config):
        """Number the nonzero elements of all matrices."""
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


def sparse_matmul(A_indices, A_data, A_shape, X, transpose_x: bool = False):
    """
    Multiply a sparse matrix with dense vectors.

    Parameters
    ----------
    A_indices : (n, 2) array of int
        Rows and columns of the nonzero elements of ``A``.
    A_data : (n,) tensor
        The nonzero elements.
    A_shape : (int, int)
        Shape of ``A``.
    X : (A_shape[1], k) tensor
        The vectors; ``([k,] A_shape[1])`` with ``transpose_x``.
    transpose_x : bool
        Whether vectors are rows, in ``X`` and in the result.

    Returns
    -------
    product : (A_shape[0], k) tensor
        ``([k,] A_shape[0])`` with ``transpose_x``.
    """
    A_indices = np.asarray(A_indices)
    order = np.lexsort((A_indices[:, 1], A_indices[:, 0]))
    rows = A_indices[order, 0].astype(np.int32)
    columns = A_indices[order, 1].astype(np.int32)
    axis = -1 if transpose_x else 0
    data = tf.gather(A_data, order.astype(np.int32))
    data = data if transpose_x else data[:, None]
    terms = tf.gather(X, columns, axis=axis) * data
    return _sum_by_row(terms, rows, A_shape[0], axis)


def _sum_by_row(terms, rows: np.ndarray, n_rows: int, axis: int):
    """
    Add up terms that belong to the same row of a matrix.

    ``rows`` is sorted. Every row takes as many terms as the longest one; a term of
    zero, appended at the end, fills the shorter ones up.
    """
    n_terms = len(rows)
    counts = np.bincount(rows, minlength=n_rows)
    starts = np.cumsum(counts) - counts
    longest = int(counts.max(initial=0))
    padding = [[0, 0]] * terms.shape.rank
    padding[axis] = [0, 1]
    terms = tf.pad(terms, padding)
    table = np.full((n_rows, longest), n_terms, dtype=np.int32)
    table[rows, np.arange(n_terms) - starts[rows]] = np.arange(n_terms)
    gathered = tf.gather(terms, table, axis=axis)
    return tf.reduce_sum(gathered, axis=-1 if axis == -1 else 1)


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
