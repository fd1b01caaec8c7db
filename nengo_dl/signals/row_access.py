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
    return np.concatenate([np.arange(*s, dtype=np.int32) for s in slices])


def slices_of(positions: np.ndarray) -> list[tuple[int, int]]:
    """Return the slices that positions consist of, in their order."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    return [(int(s[0]), int(s[-1]) + 1) for s in np.split(positions, breaks)]


def read_rows(array: tf.Tensor, slices: Slices, axis: int) -> tf.Tensor:
    """Return the rows in ``slices``, one slice after the other."""
    if len(slices) > MAX_SLICES:
        return tf.gather(array, positions_in(slices), axis=axis)
    parts = [_slice(array, start, stop, axis) for start, stop in slices]
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=axis)


def set_rows(
    array: tf.Tensor, slices: Slices, value: tf.Tensor, axis: int
) -> tf.Tensor:
    """Return the array with the rows in ``slices`` replaced by those of ``value``."""
    if len(slices) > MAX_SLICES:
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


def _indices(positions: np.ndarray, array: tf.Tensor, axis: int) -> np.ndarray:
    """Return the indices of rows for `tf.tensor_scatter_nd_add` and its like."""
    if axis == 0:
        return positions[:, None]
    items = np.arange(array.shape[0], dtype=np.int32)
    return np.stack(np.meshgrid(items, positions, indexing="ij"), axis=-1)
