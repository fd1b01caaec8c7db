"""
Products: of elements, of matrices and vectors, and of sparse matrices and vectors.

Below, ``g`` is the number of operators in a group.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Hashable, Sequence

import numpy as np
import tensorflow as tf
from nengo.builder.operator import DotInc, ElementwiseInc, Operator, SparseDotInc
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.graph.layout import sparse_indices
from nengo_dl.graph.operators import DotSet, ElementwiseSet, SparseDotSet
from nengo_dl.graph.trainability import is_minibatched, is_parameter
from nengo_dl.op_builders.base import OverwritingBuilder, view_key, write_mode
from nengo_dl.op_builders.matvec import sparse_matmul, stacked_matvec
from nengo_dl.signals import SignalDict, TensorSignal, row_access

# Matrices of fewer rows are not transposed, nor are they for more items (in training,
# and elsewhere): products are as fast without.
MIN_ROWS = 32
MAX_ITEMS = {True: 32, False: 4}
# Products of so many elements are not stacked, if they can be added up instead.
MIN_LARGE = 2**10


class StackedBuilder(OverwritingBuilder):
    """
    Base class of ``Y (=|+=) A * X`` for some product.

    ``A`` and ``X`` of all operators are stacked along a new axis.
    """

    @staticmethod
    def timeless(op: Operator) -> bool:
        """Say that it could."""
        return True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find ``A``, ``X`` and ``Y`` of all operators."""
        super().build_pre(signals, config)
        g = len(self.ops)
        op = self.ops[0]
        self.A = signals.combine([op.A for op in self.ops]).reshape((g, *op.A.shape))
        self.X = signals.combine([op.X for op in self.ops]).reshape((g, *op.X.shape))
        self.Y = signals.combine([op.Y for op in self.ops])
        self.mode = write_mode(op, op.Y)

    @staticmethod
    def mergeable(x: Operator, y: Operator) -> bool:
        """Merge operators whose signals have equal shapes."""
        return all(a.shape[:1] == b.shape[:1] for a, b in _pairs(x, y)) or all(
            a.size == 1 and b.size == 1 for a, b in _pairs(x, y)
        )


def _pairs(x: Operator, y: Operator) -> list[tuple[Signal, Signal]]:
    return [(x.A, y.A), (x.X, y.X), (x.Y, y.Y)]


@Builder.register(ElementwiseInc)
@Builder.register(ElementwiseSet)
class ElementwiseIncBuilder(StackedBuilder):
    """
    ``Y (=|+=) A * X``, element by element with broadcasting.

    Large products that are all added to one signal are added up, and not stacked, as
    stacking copies the factors. So are, first, the ``X`` of equal ``A``: neurons have
    one gain, whatever the number of their inputs.
    """

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Check that the product has the shape of ``Y``."""
        super().build_pre(signals, config)
        op = self.ops[0]
        shape = np.broadcast_shapes(op.A.shape, op.X.shape)
        if math.prod(shape) != op.Y.size:
            raise BuildError(
                f"The product of signals of shapes {op.A.shape} and {op.X.shape} "
                f"cannot be written to a signal of shape {op.Y.shape} ({op})"
            )
        self.terms = [(self.A, [self.X])]
        n_targets = len({view_key(op.Y) for op in self.ops})
        is_large = op.Y.size * (self.Y.minibatch_size or 1) >= MIN_LARGE
        if n_targets == 1 < len(self.ops) and is_large:
            self.Y = signals[op.Y]
            self.terms = [
                (
                    signals[A].reshape((1, *A.shape)),
                    [signals[X].reshape((1, *X.shape)) for X in inputs],
                )
                for A, inputs in inputs_by_factor(self.ops)
            ]

    def build_step(self, signals: SignalDict) -> None:
        """Multiply."""
        products = [self._product(signals, A, inputs) for A, inputs in self.terms]
        signals.scatter(self.Y, _sum(products), mode=self.mode)

    def _product(
        self, signals: SignalDict, A: TensorSignal, inputs: Sequence[TensorSignal]
    ) -> tf.Tensor:
        """Multiply ``A`` with the sum of some ``X``."""
        n_axes = max(A.ndim, inputs[0].ndim)
        factors = []
        for terms in ([A], inputs):
            # NumPy's broadcasting aligns the last axes of each of the g products
            value = _sum([signals.gather(term) for term in terms])
            split = int(terms[0].minibatched) + 1
            ones = (1,) * (n_axes - terms[0].ndim)
            shape = (*value.shape[:split], *ones, *value.shape[split:])
            factors.append(tf.reshape(value, shape))
        product = factors[0] * factors[1]
        batch = product.shape[: product.shape.rank - n_axes]
        return tf.reshape(product, (*batch, *self.Y.shape))


def _sum(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    return functools.reduce(operator.add, terms)


def inputs_by_factor(
    ops: Sequence[ElementwiseInc],
) -> list[tuple[Signal, list[Signal]]]:
    """
    Find the inputs of products that have one factor in common.

    Returns
    -------
    inputs : list of (Signal, list of Signal)
        Every different ``A``, and all ``X`` that it is multiplied with. Two signals are
        the same ``A`` if they have the same value, and nothing ever changes it.
    """
    inputs: dict[Hashable, tuple[Signal, list[Signal]]] = {}
    for op in ops:
        key = view_key(op.A)
        if not (is_minibatched(op.A) or is_parameter(op.A)):
            key = (op.A.shape, op.A.dtype, op.A.initial_value.tobytes())
        inputs.setdefault(key, (op.A, []))[1].append(op.X)
    return list(inputs.values())


@Builder.register(DotInc)
@Builder.register(DotSet)
class DotIncBuilder(StackedBuilder):
    """``Y (=|+=) A @ X``, for matrices ``A`` and vectors ``X``."""

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """
        Transpose a matrix, if all steps multiply minibatches with it.

        XLA's products on CPUs are faster if they read matrices in the order of rows.
        Recurrent neurons are simulated in half of the time for a minibatch of 2, and in
        three quarters for one of 4; in training, forward products of 32 items take two
        thirds of the time.
        """
        self.transposed: tf.Tensor | None = None
        has_one_input = len({view_key(op.X) for op in self.ops}) == 1
        if not (has_one_input and self._transposing_pays(signals, config)):
            return
        self.build_pre(signals, config)
        if self.is_one_product and signals.is_known(self.A):
            self.transposed = tf.transpose(signals.gather(self.A))

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find ``A``, ``X`` and ``Y`` of all operators, as matrices and vectors."""
        super().build_pre(signals, config)
        op, g = self.ops[0], len(self.ops)
        n = op.X.size
        self.order = None
        self.is_one_product = False
        if op.A.ndim == 0:
            # a scalar multiplies every element of X
            self.A, self.X = self.A.reshape((g, 1, 1)), self.X.reshape((g, n))
            return
        inputs, order = shared_inputs(self.ops)
        if (order != np.arange(g)).any():
            self.order = np.argsort(order)
        A = signals.combine([self.ops[i].A for i in order])
        self.A = A.reshape((len(inputs), -1, n))
        self.X = signals.combine(inputs).reshape((len(inputs), n))
        # one matrix for all inputs: every reshape would have a gradient, a reshape too
        self.is_one_product = (
            len(inputs) == 1
            and self.X.minibatched
            and not self.A.minibatched
            and (config.training or self._transposing_pays(signals, config))
        )
        if self.is_one_product:
            self.A, self.X = self.A.reshape((-1, n)), self.X.reshape((n,))

    def _transposing_pays(self, signals: SignalDict, config: BuildConfig) -> bool:
        n_columns = self.ops[0].X.size
        n_rows = sum(op.A.size for op in self.ops) // max(1, n_columns)
        return (
            config.compiles
            and config.cpu_only
            and 1 < signals.minibatch_size <= MAX_ITEMS[config.training]
            and n_rows >= MIN_ROWS
            and n_columns > 1
        )

    def build_step(self, signals: SignalDict) -> None:
        """Multiply."""
        A, X = signals.gather(self.A), signals.gather(self.X)
        if self.is_one_product:
            product = self._one_product(A, X)
            batch = product.shape[:1]
        else:
            product = self._stacked_product(signals, A, X)
            batch = product.shape[:-2]
        if self.order is not None:
            product = tf.reshape(product, (*batch, len(self.ops), -1))
            product = tf.gather(product, self.order, axis=-2)
        product = row_access.reshape(product, (*batch, *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)

    def _one_product(self, A: tf.Tensor, X: tf.Tensor) -> tf.Tensor:
        transposed = self.transposed
        if transposed is None:
            return tf.matmul(X, A, transpose_b=True)
        if not self.config.training:
            return tf.matmul(X, transposed)

        @tf.custom_gradient
        def multiply(A: tf.Tensor, X: tf.Tensor) -> tuple:
            def gradient(upstream: tf.Tensor) -> tuple:
                return tf.matmul(upstream, X, transpose_a=True), tf.matmul(upstream, A)

            return tf.matmul(X, transposed), gradient

        return multiply(A, X)

    def _stacked_product(
        self, signals: SignalDict, A: tf.Tensor, X: tf.Tensor
    ) -> tf.Tensor:
        if self.A.shape[1] > 1 and self.A.shape[2] == 1:
            X = signals.materialize(X)
        a_batched = self.A.minibatched
        if a_batched and signals.minibatch_size == 1:
            A, a_batched = A[0], False
        return stacked_matvec(A, X, a_batched, self.X.minibatched)


def shared_inputs(ops: Sequence[DotInc]) -> tuple[list[Signal], np.ndarray]:
    """
    Find inputs that several products have in common, so that they are read only once.

    Returns
    -------
    inputs : list of nengo.builder.Signal
        The different ``X``, if each of them occurs equally often; else all of them.
    order : (g,) array of int
        The order of operators in which equal inputs are neighbours.
    """
    numbers: dict = {}
    index = [numbers.setdefault(view_key(op.X), len(numbers)) for op in ops]
    if len(set(np.bincount(index))) > 1:
        return [op.X for op in ops], np.arange(len(ops))
    order = np.argsort(index, kind="stable")
    return [ops[i].X for i in order[:: len(ops) // len(numbers)]], order


@Builder.register(SparseDotInc)
@Builder.register(SparseDotSet)
class SparseDotIncBuilder(OverwritingBuilder):
    """``Y (=|+=) A @ X`` for sparse matrices ``A``, as one block-diagonal matrix."""

    @staticmethod
    def timeless(op: Operator) -> bool:
        """Say that it could."""
        return True

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
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
        self.shape = (int(corner[0]), int(corner[1]))

    def build_step(self, signals: SignalDict) -> None:
        """Multiply."""
        X = signals.gather(self.X)
        X = tf.reshape(X, (*X.shape[: int(self.X.minibatched)], self.shape[1]))
        product = sparse_matmul(
            self.indices, signals.gather(self.A), self.shape, X, transpose_x=True
        )
        product = tf.reshape(product, (*X.shape[:-1], *self.Y.shape))
        signals.scatter(self.Y, product, mode=self.mode)

    @staticmethod
    def mergeable(x: SparseDotInc, y: SparseDotInc) -> bool:
        """Merge all products with sparse matrices."""
        return True
