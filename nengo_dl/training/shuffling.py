"""
Batches of arrays, shuffled in an order that follows from the seed of a simulator.

In: arrays, and a random number generator. Out: a `tf.data.Dataset` of the batches that
Keras would make of them, where all have the same number of items. (Keras draws the
order from TensorFlow's global seed, and if somebody sets that, it has the same order in
every epoch. It casts arrays to the float type of the process, which other threads may
have set.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nengo_dl.execution.lengths import IS_ITEM, LENGTHS


def shuffled_batches(
    arrays: tuple,
    batch_size: int,
    rng: np.random.RandomState,
    within: bool = False,
    by_length: int | None = None,
) -> tf.data.Dataset:
    """
    Return batches of arrays, in another order whenever they are iterated over.

    Parameters
    ----------
    arrays : tuple of dict of {str: (n_items, ...) array}
        Inputs, targets and weights.
    batch_size : int
        Number of items in a batch. If items are missing in the last batch, others fill
        it up, and the inputs say which items count; see `Lengths`.
    rng : numpy.random.RandomState
        Draws the orders.
    within : bool
        Whether every batch keeps its items, and only their order changes.
    by_length : int, optional
        If given, items of similar lengths make up batches, of no more steps than they
        need, in multiples of this number.
    """
    n_items = len(tf.nest.flatten(arrays)[0])

    def order() -> Iterator[np.ndarray]:
        if by_length is not None:
            yield _order_by_length(arrays[0][LENGTHS][:, 0], batch_size, rng)
        elif within:
            starts = range(0, n_items, batch_size)
            parts = [np.arange(i, min(i + batch_size, n_items)) for i in starts]
            yield np.concatenate([rng.permutation(part) for part in parts])
        else:
            yield rng.permutation(n_items)

    def rows() -> Iterator[np.ndarray]:
        for items in order():
            yield _rows(items, batch_size)

    spec = tf.TensorSpec((-(-n_items // batch_size), batch_size), tf.int64)
    orders = tf.data.Dataset.from_generator(rows, output_signature=spec)
    indices = orders.flat_map(tf.data.Dataset.from_tensor_slices)
    return _batches(arrays, indices, batch_size, by_length)


def ordered_batches(arrays: tuple, batch_size: int) -> tf.data.Dataset:
    """
    Return batches of arrays, in their order.

    Parameters
    ----------
    arrays, batch_size
        See `shuffled_batches`.
    """
    items = np.arange(len(tf.nest.flatten(arrays)[0]))
    indices = tf.data.Dataset.from_tensor_slices(_rows(items, batch_size))
    return _batches(arrays, indices, batch_size)


def _rows(items: np.ndarray, batch_size: int) -> np.ndarray:
    """Return items in rows of batches; those of the last one fill it up."""
    n_batches = -(-len(items) // batch_size)
    last = (n_batches - 1) * batch_size
    places = np.arange(n_batches * batch_size)
    # (items that do occur, as others might have no loss or gradient)
    places[last:] = last + np.arange(batch_size) % (len(items) - last)
    return items[places].reshape(n_batches, batch_size).astype(np.int64)


def _order_by_length(
    lengths: np.ndarray, batch_size: int, rng: np.random.RandomState
) -> np.ndarray:
    """Return an order in which batches have similar lengths, those of one by chance."""
    order = rng.permutation(len(lengths))
    n_even = len(order) // batch_size * batch_size
    even, rest = order[:n_even], order[n_even:]
    even = even[np.argsort(lengths[even], kind="stable")].reshape(-1, batch_size)
    return np.concatenate([rng.permutation(even).ravel(), rest])


def _batches(
    arrays: tuple,
    indices: tf.data.Dataset,
    batch_size: int,
    by_length: int | None = None,
) -> tf.data.Dataset:
    """Return the batches whose items a data set names."""
    n_items = len(tf.nest.flatten(arrays)[0])
    n_batches = -(-n_items // batch_size)
    sizes = np.full(n_batches, batch_size)
    sizes[-1] = n_items - (n_batches - 1) * batch_size
    is_even = sizes[-1] == batch_size
    tensors, held = _as_tensors(arrays)

    def take(rows: tf.Tensor, size: tf.Tensor, data: tuple) -> tuple:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        batch = tf.nest.map_structure(_hold, batch, held)
        x, *others = batch
        if not is_even:
            is_item = (tf.range(batch_size, dtype=size.dtype) < size)[:, None]
            if LENGTHS in x:
                x = {**x, LENGTHS: tf.where(is_item, x[LENGTHS], 0)}
            else:
                x = {**x, IS_ITEM: is_item}
        if by_length is None:
            return (x, *others)
        return _without_end((x, *others), by_length)

    data = tf.data.Dataset.from_tensors(tensors).repeat()
    parts = (indices, tf.data.Dataset.from_tensor_slices(sizes), data)
    dataset = tf.data.Dataset.zip(parts)
    dataset = dataset.map(take, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_batches))
    return _delivered(dataset)


def _without_end(batch: tuple, multiple: int) -> tuple:
    """Return a batch without the steps that count for no item."""
    x = batch[0]
    capacity = next((v.shape[1] for n, v in x.items() if v.shape.rank == 3), None)
    longest = tf.maximum(tf.reduce_max(x[LENGTHS]), 1)
    longest = (longest + multiple - 1) // multiple * multiple

    def cut(values: tf.Tensor) -> tf.Tensor:
        has_steps = values.shape.rank > 1 and values.shape[1] == capacity
        return values[:, :longest] if has_steps and capacity != 1 else values

    x, *others = tf.nest.map_structure(cut, batch)
    return ({**x, "n_steps": tf.fill(tf.shape(x["n_steps"]), longest)}, *others)


def _delivered(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return a data set that devices share, and that is ahead of them."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _as_tensors(arrays: tuple) -> tuple[tuple, tuple]:
    """
    Return arrays as tensors in the memory of the host, of Keras's float type.

    Of arrays whose steps share their memory, there is one step, and the second result
    says how many there are to be; it is zero for others.
    """
    floatx = keras.config.floatx()

    def n_held(array: np.ndarray) -> int:
        is_held = array.ndim > 2 and array.shape[1] > 1 and array.strides[1] == 0
        return array.shape[1] if is_held else 0

    def as_tensor(array: np.ndarray) -> tf.Tensor:
        tensor = tf.convert_to_tensor(array[:, :1] if n_held(array) else array)
        return tf.cast(tensor, floatx) if tensor.dtype.is_floating else tensor

    arrays = tf.nest.map_structure(np.asarray, arrays)
    with tf.device("/cpu:0"):
        tensors = tf.nest.map_structure(as_tensor, arrays)
    return tensors, tf.nest.map_structure(n_held, arrays)


def _hold(values: tf.Tensor, n_steps: int) -> tf.Tensor:
    return tf.repeat(values, n_steps, axis=1) if n_steps else values


def split(arrays: Any, fraction: float) -> tuple[Any, Any]:
    """Return the first items of arrays, and a fraction of the items, the last ones."""
    n_items = len(tf.nest.flatten(arrays)[0])
    n_first = int(n_items * (1 - fraction))
    first = tf.nest.map_structure(lambda x: x[:n_first], arrays)
    return first, tf.nest.map_structure(lambda x: x[n_first:], arrays)
