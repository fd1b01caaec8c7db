"""
Batches of arrays, shuffled in an order that follows from the seed of a simulator.

In: arrays, and a random number generator. Out: a `tf.data.Dataset` of the batches that
Keras would make of them. (Keras draws the order from TensorFlow's global seed, and if
somebody sets that, it has the same order in every epoch. It casts arrays to the float
type of the process, and those for validation at a time when other threads may have set
that.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def shuffled_batches(
    arrays: Any, batch_size: int, rng: np.random.RandomState, within: bool = False
) -> tf.data.Dataset:
    """
    Return batches of arrays, in another order whenever they are iterated over.

    Parameters
    ----------
    arrays : structure of (n_items, ...) array
        Inputs, targets and weights.
    batch_size : int
        Number of items in a batch; the last batch may have less.
    rng : numpy.random.RandomState
        Draws the orders.
    within : bool
        Whether every batch keeps its items, and only their order changes.
    """
    tensors = _as_tensors(arrays)
    n_items = len(tf.nest.flatten(arrays)[0])

    def order() -> Iterator[np.ndarray]:
        if within:
            starts = range(0, n_items, batch_size)
            parts = [np.arange(i, min(i + batch_size, n_items)) for i in starts]
            yield np.concatenate([rng.permutation(part) for part in parts])
        else:
            yield rng.permutation(n_items)

    def batches(indices: tf.Tensor) -> tf.data.Dataset:
        is_even = n_items % batch_size == 0
        dataset = tf.data.Dataset.from_tensor_slices(indices)
        return dataset.batch(batch_size, drop_remainder=is_even)

    def take(indices: tf.Tensor, data: Any) -> Any:
        return tf.nest.map_structure(lambda x: tf.gather(x, indices), data)

    spec = tf.TensorSpec((n_items,), tf.int64)
    indices = tf.data.Dataset.from_generator(order, output_signature=spec)
    data = tf.data.Dataset.from_tensors(tensors).repeat()
    dataset = tf.data.Dataset.zip((indices.flat_map(batches), data))
    dataset = dataset.map(take, num_parallel_calls=tf.data.AUTOTUNE)
    n_batches = -(-n_items // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_batches))
    return _delivered(dataset)


def ordered_batches(arrays: Any, batch_size: int) -> tf.data.Dataset:
    """
    Return batches of arrays, in their order.

    Parameters
    ----------
    arrays : structure of (n_items, ...) array
        Inputs, targets and weights.
    batch_size : int
        Number of items in a batch; the last batch may have less.
    """
    is_even = len(tf.nest.flatten(arrays)[0]) % batch_size == 0
    dataset = tf.data.Dataset.from_tensor_slices(_as_tensors(arrays))
    return _delivered(dataset.batch(batch_size, drop_remainder=is_even))


def _delivered(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return a data set that devices share, and that is ahead of them."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _as_tensors(arrays: Any) -> Any:
    """Return arrays as tensors in the memory of the host, of Keras's float type."""
    floatx = keras.config.floatx()

    def as_tensor(array: Any) -> tf.Tensor:
        tensor = tf.convert_to_tensor(array)
        return tf.cast(tensor, floatx) if tensor.dtype.is_floating else tensor

    with tf.device("/cpu:0"):
        return tf.nest.map_structure(as_tensor, arrays)


def split(arrays: Any, fraction: float) -> tuple[Any, Any]:
    """Return the first items of arrays, and a fraction of the items, the last ones."""
    n_items = len(tf.nest.flatten(arrays)[0])
    n_first = int(n_items * (1 - fraction))
    first = tf.nest.map_structure(lambda x: x[:n_first], arrays)
    return first, tf.nest.map_structure(lambda x: x[n_first:], arrays)
