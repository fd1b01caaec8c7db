"""
Generators and data sets of batches.

In: what a user's generator, `tf.data.Dataset`, or `keras.utils.PyDataset` yields. Out:
the same, by the names of Nodes and Probes, or an error that says what is wrong with it.
All that is checked for arrays is checked for every batch, by `BatchCheck`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from nengo_dl.training.batches import BatchCheck, as_tuple
from nengo_dl.training.datasets import checked_dataset
from nengo_dl.training.processes import BatchProcesses
from nengo_dl.utils import ErrorBox


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
        return checked_dataset(data, check, errors)
    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, check, errors)
    if not inspect.isgenerator(data):
        return data
    end = object()

    def next_batch() -> Any:
        batch = next(data, end)
        return batch if batch is end else check(as_tuple(batch))

    return _generator(iter(errors.guard(next_batch, passing=True), end))


def _generator(batches: Iterable[tuple]) -> Iterator[tuple]:
    """Return a generator, as Keras accepts no other iterators."""
    yield from batches


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
        self._batch = errors.guard(lambda i: check(as_tuple(batches[i])), passing=True)
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
