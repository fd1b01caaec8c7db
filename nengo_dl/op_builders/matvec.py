"""
Products of matrices and vectors, in the forms that run fastest.

The choices below are those that were fastest on CPUs, compiled by XLA, for minibatches
of one and of many items. XLA adds up the elements of a row one after the other, while
the kernels of matrix products use the vector units of the processor.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Products with up to so many rows ...
FEW_ROWS = 4
# ... of at least this length are computed row by row.
LONG_ROW = 64

# Short rows of sparse matrices are filled up with zeros, if that makes no more than
# so many elements out of one.
MAX_PADDING = 2


def stacked_matvec(
    A: tf.Tensor, X: tf.Tensor, a_batched: bool, x_batched: bool
) -> tf.Tensor:
    """
    Multiply ``g`` matrices with ``g`` vectors.

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
    m, n = A.shape[-2:]
    if n == 1:
        return A[..., 0] * X
    if n >= LONG_ROW and m <= (1 if a_batched else FEW_ROWS):
        return row_sums(A * X[..., None, :])
    if a_batched or not x_batched:
        return tf.linalg.matvec(A, X)

    # one product of matrices for all items, with the longer side of the result in front
    X = tf.transpose(X, (1, 0, 2))
    if m > X.shape[1]:
        return tf.transpose(tf.matmul(A, X, transpose_b=True), (2, 0, 1))
    return tf.transpose(tf.matmul(X, A, transpose_b=True), (1, 0, 2))


def row_sums(X: tf.Tensor) -> tf.Tensor:
    """
    Add up the last axis.

    Parameters
    ----------
    X : (..., n) tensor
        What to add up.

    Returns
    -------
    sums : (...) tensor
    """
    n = X.shape[-1]
    sums = tf.matmul(tf.reshape(X, (-1, n)), tf.ones((n, 1), X.dtype))
    return tf.reshape(sums, X.shape[:-1])


def sparse_matmul(
    A_indices: np.ndarray,
    A_data: tf.Tensor,
    A_shape: tuple[int, int],
    X: tf.Tensor,
    transpose_x: bool = False,
) -> tf.Tensor:
    """
    Multiply a sparse matrix with dense vectors.

    Parameters
    ----------
    A_indices : (n, 2) array of int
        Rows and columns of the nonzero elements of ``A``, which accumulate if they
        occur several times.
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
    if not transpose_x:
        product = sparse_matmul(A_indices, A_data, A_shape, tf.transpose(X), True)
        return tf.transpose(product)

    rows, columns = np.asarray(A_indices, dtype=np.int32).reshape(-1, 2).T
    n_rows = A_shape[0]
    longest = int(np.bincount(rows, minlength=n_rows).max(initial=0))
    if longest * n_rows > MAX_PADDING * (len(rows) + n_rows):
        terms = tf.gather(X, columns, axis=-1) * A_data
        return _segment_sum(terms, rows, n_rows)
    table = padded_table(rows, n_rows, longest)
    columns = np.append(columns, np.int32(0))[table]
    data = tf.gather(tf.pad(A_data, [[0, 1]]), table)
    return tf.reduce_sum(tf.gather(X, columns, axis=-1) * data, axis=-1)


def _segment_sum(terms: tf.Tensor, rows: np.ndarray, n_rows: int) -> tf.Tensor:
    """Add up the terms that belong to the same row, along the last axis."""
    sums = tf.math.unsorted_segment_sum(tf.transpose(terms), rows, n_rows)
    return tf.transpose(sums)


def padded_table(rows: np.ndarray, n_rows: int, longest: int) -> np.ndarray:
    """
    List the elements of every row of a sparse matrix.

    Parameters
    ----------
    rows : (n,) array of int
        The row of each element.
    n_rows : int
        Number of rows.
    longest : int
        Number of elements of the longest row.

    Returns
    -------
    table : (n_rows, longest) array of int
        Numbers of the elements; ``n`` where a row has no more of them.
    """
    n = len(rows)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    position_in_row = np.arange(n) - np.searchsorted(ordered, ordered)
    table = np.full((n_rows, longest), n, dtype=np.int32)
    table[ordered, position_in_row] = order
    return table
