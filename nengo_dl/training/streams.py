"""
Generators and data sets of batches.

In: what a user's generator, `tf.data.Dataset`, or `keras.utils.PyDataset` yields. Out:
the same, by the names of Nodes and Probes, or an error that says what is wrong with it.
All that is checked for arrays is checked for every batch, by `BatchCheck`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nengo_dl.simulation.arrays import Extent, as_array
from nengo_dl.training.batches import BatchCheck
from nengo_dl.training.processes import BatchProcesses
from nengo_dl.training.sequences import as_lengths, check_longest, check_same_lengths
from nengo_dl.utils import ErrorBox, numpy_function


def checked_batches(data: Any, check: BatchCheck, errors: ErrorBox) -> Any:
    """
    Return a generator or data set whose batches are checked.

    Parameters
    ----------
    data : object
        The generator or data set; anything else is returned as it is.
    check : BatchCheck
        Called with every batch.
    errors : ErrorBox
        Where exceptions of the generator, and of the check, are left.
    """
    if isinstance(data, tf.data.Dataset):
        return _checked_dataset(data, check, errors)
    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, check, errors)
    if not inspect.isgenerator(data):
        return data
    end = object()

    def next_batch() -> Any:
        batch = next(data, end)
        return batch if batch is end else check(_as_tuple(batch))

    return _generator(iter(errors.guard(next_batch, passing=True), end))


def _generator(batches: Iterable[tuple]) -> Iterator[tuple]:
    """Return a generator, as Keras accepts no other iterators."""
    yield from batches


def _as_tuple(batch: Any) -> tuple:
    return tuple(batch) if isinstance(batch, (list, tuple)) else (batch,)


class _CheckedPyDataset(keras.utils.PyDataset):
    """A data set of Keras whose batches are checked, in threads of this process."""

    def __init__(
        self, data: keras.utils.PyDataset, check: BatchCheck, errors: ErrorBox
    ):
        super().__init__(
            workers=data.workers,
            max_queue_size=data.max_queue_size,
        )
        self._data = data
        batches, close = data, lambda: None
        if data.use_multiprocessing and data.workers > 0:
            batches = BatchProcesses(data)
            close = batches.close
        # TensorFlow keeps this object, but `errors` frees the processes
        self._batch = errors.guard(lambda i: check(_as_tuple(batches[i])), passing=True)
        self._close_processes = errors.guard(close, passing=True)

    def __getitem__(self, index: int) -> tuple:
        return self._batch(index)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None if they never end."""
        return self._data.num_batches

    def on_epoch_begin(self) -> None:
        """Tell the user's data set."""
        self._data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the user's data set."""
        # those of the next epoch are to see what it changes
        self._close_processes()
        self._data.on_epoch_end()


def _checked_dataset(
    data: tf.data.Dataset, check: BatchCheck, errors: ErrorBox
) -> tf.data.Dataset:
    """Return a data set with checks: of what is known now, and of every batch."""
    specs = check.specs(check.named(_as_tuple(data.element_spec)))
    for name, spec in ((n, s) for part in specs for n, s in part.items()):
        if not (spec.dtype.is_floating or spec.dtype.is_integer or spec.dtype.is_bool):
            as_array(name, np.empty(0, spec.dtype.as_numpy_dtype))
    if all(spec.shape.rank is not None for spec in tf.nest.flatten(specs)):
        check.check(specs)
    n_items = [spec.shape[:1] for spec in tf.nest.flatten(specs)]
    is_whole = all(shape == [check.batch_size] for shape in n_items)

    def check_facts(
        names: Sequence[str], dtypes: Any, lengths: np.ndarray, *facts: np.ndarray
    ) -> bool:
        for name, other in zip(names, lengths):
            check_same_lengths(names[0], as_lengths(lengths[0]), name, other)
        stand_ins = [
            np.broadcast_to(dtype(0), shape)
            for dtype, shape in zip(tf.nest.flatten(dtypes), facts[1::2])
        ]
        x, *others = tf.nest.pack_sequence_as(dtypes, stand_ins)
        counts = np.broadcast_to(facts[0], x["n_steps"].shape)
        if len(lengths):
            check_longest(lengths[0], int(facts[0]))
            check.check_lengths(lengths[0], ({"n_steps": counts}, *others))
        check.check(({**x, "n_steps": counts}, *others))
        extents = [Extent(low, high, nan > 0) for low, high, nan in facts[2::2]]
        check.check_numbers(tf.nest.pack_sequence_as(dtypes, extents))
        return True

    def checked(*batch: Any) -> tuple[dict[str, tf.Tensor], ...]:
        parts, lengths = check.with_steps(check.named(batch))
        dtypes = tf.nest.map_structure(lambda t: t.dtype.as_numpy_dtype, parts)
        # the data themselves need not go through Python
        facts = [[tf.shape(t), _extent(t)] for t in tf.nest.flatten(parts)]
        n_steps = tf.reduce_max(parts[0]["n_steps"])
        rows = tf.zeros((0, 0), tf.int32)
        if lengths:
            rows = tf.ragged.stack(list(lengths.values())).to_tensor()
        is_right = numpy_function(
            partial(check_facts, list(lengths), dtypes),
            [rows, n_steps, *tf.nest.flatten(facts)],
            tf.bool,
            errors=errors,
        )
        with tf.control_dependencies([is_right]):
            parts = tf.nest.map_structure(tf.identity, parts)
        return check.filled_up(parts, lengths, is_whole)

    return data.map(checked)


def _extent(tensor: tf.Tensor) -> tf.Tensor:
    """Return the numbers of an `Extent`."""
    numbers, has_nan = tensor, tf.constant(False)
    if tensor.dtype.is_bool:
        numbers = tf.cast(tensor, tf.int32)
    if tensor.dtype.is_floating:
        is_nan = tf.math.is_nan(tensor)
        numbers = tf.where(is_nan, tf.zeros_like(tensor), tensor)
        has_nan = tf.reduce_any(is_nan)
    extent = [tf.reduce_min(numbers), tf.reduce_max(numbers), has_nan]
    extent = tf.stack([tf.cast(number, tf.float64) for number in extent])
    return tf.where(tf.equal(tf.size(tensor), 0), tf.zeros_like(extent), extent)
