"""A `SignalDict` of one array."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nengo_dl.signals import SignalDict, TensorSignal

DTYPE = "float32"


class Case:
    """A `SignalDict` with one base array of shape `([minibatch_size,] *shape)`."""

    def __init__(self, minibatch_size, shape=(6, 2), key="base"):
        self.minibatch_size = minibatch_size
        self.signals = SignalDict(DTYPE, minibatch_size or 1)
        batch = () if minibatch_size is None else (minibatch_size,)
        self.axis = len(batch)
        self.array = np.random.RandomState(0).rand(*batch, *shape).astype(DTYPE)
        self.base = tf.constant(self.array)
        self.signals.bases = {key: self.base}

    def signal(self, slices, shape, key="base", **kwargs):
        return TensorSignal(slices, key, DTYPE, shape, self.minibatch_size, **kwargs)

    def rows(self, *index):
        """Selects rows of the original array."""
        return np.take(self.array, index, axis=self.axis)

    def values(self, *shape):
        """Returns new values for a signal of a shape."""
        batch = self.array.shape[: self.axis]
        return np.random.RandomState(1).rand(*batch, *shape).astype(DTYPE)

    def changed(self, index, change):
        """Returns the original array with a part changed by a function."""
        array = self.array.copy()
        rows = (slice(None),) * self.axis + (index,)
        array[rows] = change(array[rows])
        return array

    def result(self, key="base"):
        return self.signals.bases[key].numpy()
