"""
Batches of a data set that other processes make.

In: a `keras.utils.PyDataset` that asks for processes. Out: its batches, or the
exceptions that it raises, in this process. In processes of Keras, batches would have to
be checked there, with TensorFlow, and Keras waits forever for an exception that cannot
be pickled, as many of Nengo's cannot.
"""

from __future__ import annotations

import gc
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import keras
from nengo.exceptions import SimulationError


class BatchProcesses:
    """
    Processes that make the batches of a data set.

    Parameters
    ----------
    data : keras.utils.PyDataset
        The data set; every process has a copy, as it was when the first batch was asked
        for.
    """

    def __init__(self, data: keras.utils.PyDataset):
        self._data = data
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def __getitem__(self, index: int) -> Any:
        """
        Return a batch; threads may ask for several at a time.

        Raises
        ------
        Exception
            What the data set raises; a `nengo.exceptions.SimulationError` in place of
            what cannot be pickled.
        """
        with self._lock:
            if self._pool is None:
                self._pool = self._start()
            batch = self._pool.submit(_make_batch, index)
        return batch.result()

    def _start(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            self._data.workers, initializer=_keep, initargs=(self._data,)
        )
        # A fork that frees garbage of TensorFlow crashes, or waits for threads that it
        # does not have. The first call that is submitted makes the forks.
        gc.freeze()
        try:
            pool.submit(int).result()
        finally:
            gc.unfreeze()
        return pool

    def close(self) -> None:
        """End the processes; new ones start when the next batch is asked for."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


# the data set, in the processes that make its batches
_kept: list[keras.utils.PyDataset] = []


def _keep(data: keras.utils.PyDataset) -> None:
    _kept.append(data)


def _make_batch(index: int) -> Any:
    try:
        return _kept[0][index]
    except Exception as err:
        try:
            pickle.loads(pickle.dumps(err))
        except Exception:
            raise SimulationError(f"{type(err).__name__}: {err}") from None
        raise
