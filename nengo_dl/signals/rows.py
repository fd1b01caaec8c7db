"""
Read and write rows of an array, at positions that are known when a step is traced.

In: tensors of shape ``([minibatch_size,] n, ...)``, and positions along the axis of
length ``n``. Out: the cheapest operations that read or write there. Arrays are values:
a write returns a new one (XLA changes the old one in place where nobody needs it).

Below, ``slices`` is a list of (start, stop) positions, and ``axis`` is 1 if there is a
minibatch axis, and 0 otherwise.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Reads and writes of up to so many separate pieces are built from slices; beyond
# that, one gather or scatter with constant indices compiles faster.
MAX_PIECES = 8


def reshape(array: tf.Tensor, shape) -> tf.Tensor:
    """Reshape an array, unless its shape is right already."""
    known = array.shape.as_list()
    if len(known) == len(shape) and all(n in (-1, m) for n, m in zip(shape, known)):
        return array
    return tf.reshape(array, shape)


def positions(slices) -> np.ndarray:
    """Return the positions in ``slices`` one by one."""
    if len(slices) == 0:
        return np.zeros(0, dtype=np.int32)
    return np.concatenate([np.arange(*piece, dtype=np.int32) for piece in slices])


def read_rows(array: tf.Tensor, slices, axis: int) -> tf.Tensor:
    """Return the rows in ``slices``, one piece after the other."""
    if len(slices) > MAX_PIECES:
        return tf.gather(array, positions(slices), axis=axis)
    pieces = [_slice(array, start, stop, axis) for start, stop in slices]
    return pieces[0] if len(pieces) == 1 else tf.concat(pieces, axis=axis)


def set_rows(array: tf.Tensor, slices, value: tf.Tensor, axis: int) -> tf.Tensor:
    """Return the array with the rows in ``slices`` replaced by those of ``value``."""
    if len(slices) > MAX_PIECES:
        indices = _indices(positions(slices), array, axis)
        return tf.tensor_scatter_nd_update(array, indices, value)
    offset = 0
    for start, stop in slices:
        piece = _slice(value, offset, offset + stop - start, axis)
        array = _set_piece(array, start, stop, piece, axis)
        offset += stop - start
    return array


def add_rows(array: tf.Tensor, slices, value: tf.Tensor, axis: int) -> tf.Tensor:
    """
    Return the array with ``value`` added to the rows in ``slices``.

    Rows that occur several times accumulate.
    """
    rows = positions(slices)
    n_rounds = _n_rounds(rows)
    if n_rounds > 1:
        # the same rows again and again: add up before writing
        shape = value.shape
        rows = rows[: len(rows) // n_rounds]
        rounds = (*shape[:axis], n_rounds, len(rows), *shape[axis + 1 :])
        value = tf.reduce_sum(tf.reshape(value, rounds), axis=axis)
        slices = runs(rows)
    if len(slices) > MAX_PIECES or len(np.unique(rows)) < len(rows):
        return tf.tensor_scatter_nd_add(array, _indices(rows, array, axis), value)
    if [tuple(piece) for piece in slices] == [(0, array.shape[axis])]:
        return array + value
    return set_rows(array, slices, read_rows(array, slices, axis) + value, axis)


def _n_rounds(rows: np.ndarray) -> int:
    """Return how often ``rows`` repeats its beginning; 1 if it is no repetition."""
    again = np.flatnonzero(rows[1:] == rows[0]) + 1 if len(rows) else rows
    if len(again) == 0 or len(rows) % again[0]:
        return 1
    rounds = rows.reshape(-1, again[0])
    return len(rounds) if (rounds == rounds[0]).all() else 1


def runs(rows: np.ndarray) -> list[tuple[int, int]]:
    """Return the slices that successive rows consist of."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(rows, breaks)]


def _slice(array: tf.Tensor, start: int, stop: int, axis: int) -> tf.Tensor:
    if (start, stop) == (0, array.shape[axis]):
        return array
    return array[:, start:stop] if axis else array[start:stop]


def _set_piece(array, start: int, stop: int, value, axis: int) -> tf.Tensor:
    """Replace rows ``start`` to ``stop``; XLA does that in place."""
    if (start, stop) == (0, array.shape[axis]):
        return value
    whole_axes = axis  # bits of the axes in front, which are taken as a whole
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=array,
        begin=[0] * axis + [start],
        end=[0] * axis + [stop],
        strides=[1] * (axis + 1),
        value=value,
        begin_mask=whole_axes,
        end_mask=whole_axes,
    )


def _indices(rows: np.ndarray, array: tf.Tensor, axis: int) -> np.ndarray:
    """Return the indices of rows for `tf.tensor_scatter_nd_add` and its like."""
    if axis == 0:
        return rows[:, None]
    grid = np.meshgrid(np.arange(array.shape[0], dtype=np.int32), rows, indexing="ij")
    return np.stack(grid, axis=-1)
