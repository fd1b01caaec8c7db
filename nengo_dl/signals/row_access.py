"""
Read and write rows of an array, at positions that are known when a step is traced.

In: tensors of shape ``([minibatch_size,] n, ...)``, and positions along the axis of
length ``n``. Out: the cheapest operations that read or write there. Arrays are values:
a write returns a new one (XLA changes the old one in place where nobody needs it).

Below, ``slices`` is a list of (start, stop) positions, and ``axis`` is 1 if there is a
minibatch axis, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

Slices = Sequence[tuple[int, int]]

# Up to so many slices are read and written one by one; beyond that, one gather or
# scatter with constant indices compiles faster.
MAX_SLICES = 8


def reshape(array: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Reshape an array, unless its shape is right already."""
    known = array.shape.as_list()
    if len(known) == len(shape) and all(n in (-1, m) for n, m in zip(shape, known)):
        return array
    return tf.reshape(array, shape)


def positions_in(slices: Slices) -> np.ndarray:
    """Return the positions in ``slices`` one by one."""
    if len(slices) == 0:
        return np.zeros(0, dtype=np.int32)
    starts, stops = np.asarray(slices, dtype=np.int32).T
    lengths = stops - starts
    begins = np.cumsum(lengths) - lengths  # of the slices, in the result
    return np.repeat(starts - begins, lengths) + np.arange(
        lengths.sum(), dtype=np.int32
    )


def slices_of(
    positions: np.ndarray, owners: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """
    Return the slices that positions consist of, in their order.

    Parameters
    ----------
    positions : (n,) array of int
        The positions.
    owners : (n,) array of int, optional
        What each position belongs to; no slice belongs to two of them.
    """
    if len(positions) == 0:
        return []
    is_break = np.diff(positions) != 1
    if owners is not None:
        is_break |= np.diff(owners) != 0
    breaks = np.flatnonzero(is_break)
    starts = positions[np.append(0, breaks + 1)]
    stops = positions[np.append(breaks, len(positions) - 1)] + 1
    return list(zip(starts.tolist(), stops.tolist()))


class Box(NamedTuple):
    """
    Slices of one length, at equal distances: columns of some rows of a matrix.

    Parameters
    ----------
    start : int
        Where the matrix begins.
    n_rows, n_columns : int
        Shape of the matrix.
    first, last : int
        The first column, and the one after the last.
    """

    start: int
    n_rows: int
    n_columns: int
    first: int
    last: int


def box_of(slices: Slices, n: int) -> Box | None:
    """
    Return the matrix of which ``slices`` are columns.

    Parameters
    ----------
    slices : list of (int, int)
        The slices.
    n : int
        Length of the array.

    Returns
    -------
    box : Box or None
        None if the slices are no such columns.
    """
    if len(slices) < 2:
        return None
    starts, stops = np.asarray(slices).T
    distance, length = int(starts[1] - starts[0]), int(stops[0] - starts[0])
    if distance < length or (np.diff(starts) != distance).any():
        return None
    if (stops - starts != length).any():
        return None
    # where a row begins is free, as long as the last one ends within the array
    first = max(0, int(starts[0]) + len(slices) * distance - n)
    if first > starts[0] or first + length > distance:
        return None
    start = int(starts[0]) - first
    return Box(start, len(slices), distance, first, first + length)


def read_rows(array: tf.Tensor, slices: Slices, axis: int) -> tf.Tensor:
    """Return the rows in ``slices``, one slice after the other."""
    if len(slices) > MAX_SLICES:
        box = box_of(slices, array.shape[axis])
        if box is not None:
            part = _matrix(array, box, axis)[
                (*(slice(None),) * (axis + 1), _columns(box))
            ]
            n = box.n_rows * (box.last - box.first)
            return tf.reshape(part, (*array.shape[:axis], n, *array.shape[axis + 1 :]))
        return tf.gather(array, positions_in(slices), axis=axis)
    parts = [_slice(array, start, stop, axis) for start, stop in slices]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=axis)


def set_rows(
    array: tf.Tensor, slices: Slices, value: tf.Tensor, axis: int
) -> tf.Tensor:
    """Return the array with the rows in ``slices`` replaced by those of ``value``."""
    if len(slices) > MAX_SLICES:
        box = box_of(slices, array.shape[axis])
        if box is not None:
            return _set_box(array, box, value, axis)
        indices = _indices(positions_in(slices), array, axis)
        return tf.tensor_scatter_nd_update(array, indices, value)
    offset = 0
    for start, stop in slices:
        part = _slice(value, offset, offset + stop - start, axis)
        array = _set_slice(array, start, stop, part, axis)
        offset += stop - start
    return array


def add_rows(
    array: tf.Tensor, slices: Slices, value: tf.Tensor, axis: int
) -> tf.Tensor:
    """
    Return the array with ``value`` added to the rows in ``slices``.

    Rows that occur several times accumulate.
    """
    if len(slices) > MAX_SLICES and box_of(slices, array.shape[axis]) is not None:
        value = read_rows(array, slices, axis) + value
        return set_rows(array, slices, value, axis)
    positions = positions_in(slices)
    n_rounds = _n_rounds(positions)
    if n_rounds > 1:
        # the same rows again and again: add up before writing
        shape = value.shape
        positions = positions[: len(positions) // n_rounds]
        rounds = (*shape[:axis], n_rounds, len(positions), *shape[axis + 1 :])
        value = tf.reduce_sum(tf.reshape(value, rounds), axis=axis)
        slices = slices_of(positions)
    if len(slices) > MAX_SLICES or len(np.unique(positions)) < len(positions):
        return tf.tensor_scatter_nd_add(array, _indices(positions, array, axis), value)
    if [tuple(s) for s in slices] == [(0, array.shape[axis])]:
        return array + value
    return set_rows(array, slices, read_rows(array, slices, axis) + value, axis)


def _n_rounds(positions: np.ndarray) -> int:
    """Return how often positions repeat their beginning; 1 if that is all of them."""
    if len(positions) == 0:
        return 1
    again = np.flatnonzero(positions[1:] == positions[0]) + 1
    if len(again) == 0 or len(positions) % again[0]:
        return 1
    rounds = positions.reshape(-1, again[0])
    return len(rounds) if (rounds == rounds[0]).all() else 1


def _slice(array: tf.Tensor, start: int, stop: int, axis: int) -> tf.Tensor:
    if (start, stop) == (0, array.shape[axis]):
        return array
    return array[:, start:stop] if axis else array[start:stop]


def _set_slice(
    array: tf.Tensor, start: int, stop: int, value: tf.Tensor, axis: int
) -> tf.Tensor:
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


def _columns(box: Box) -> slice:
    return slice(box.first, box.last)


def _matrix(array: tf.Tensor, box: Box, axis: int) -> tf.Tensor:
    """Return rows of an array as the matrix of a box."""
    rows = _slice(array, box.start, box.start + box.n_rows * box.n_columns, axis)
    shape = (*rows.shape[:axis], box.n_rows, box.n_columns, *rows.shape[axis + 1 :])
    return tf.reshape(rows, shape)


def _set_box(array: tf.Tensor, box: Box, value: tf.Tensor, axis: int) -> tf.Tensor:
    """Replace columns of the matrix of a box."""
    matrix = _matrix(array, box, axis)
    n_columns = box.last - box.first
    value = tf.reshape(
        value, (*array.shape[:axis], box.n_rows, n_columns, *array.shape[axis + 1 :])
    )
    whole_axes = (1 << (axis + 1)) - 1  # bits of the axes in front of the columns
    matrix = tf.raw_ops.TensorStridedSliceUpdate(
        input=matrix,
        begin=[0] * (axis + 1) + [box.first],
        end=[0] * (axis + 1) + [box.last],
        strides=[1] * (axis + 2),
        value=value,
        begin_mask=whole_axes,
        end_mask=whole_axes,
    )
    n = box.n_rows * box.n_columns
    rows = tf.reshape(matrix, (*array.shape[:axis], n, *array.shape[axis + 1 :]))
    return _set_slice(array, box.start, box.start + n, rows, axis)


def _indices(positions: np.ndarray, array: tf.Tensor, axis: int) -> np.ndarray:
    """Return the indices of rows for `tf.tensor_scatter_nd_add` and its like."""
    if axis == 0:
        return positions[:, None]
    items = np.arange(array.shape[0], dtype=np.int32)
    return np.stack(np.meshgrid(items, positions, indexing="ij"), axis=-1)
