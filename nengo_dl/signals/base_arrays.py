"""
The values of the base arrays at one point of a step.

In: rows of base arrays, and tensors to write there. Out: the tensors that are there. It
is `.SignalDict` that knows whose rows they are.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import tensorflow as tf
from nengo.exceptions import BuildError

from nengo_dl.signals import row_access


class BaseArrays:
    """
    Base arrays by key, read and written by the row.

    Below, ``axis`` is the axis of the rows: 1 if there is a minibatch axis, else 0.

    Parameters
    ----------
    minibatch_size : int
        Number of items in a minibatch.

    Attributes
    ----------
    values : dict
        The value of each array; or its shape, before anything is written.
    shapes : dict
        Shapes of the arrays, including the minibatch axis.
    read_types, write_types : collections.Counter
        Which kinds of reads and writes were built.
    """

    def __init__(self, minibatch_size: int):
        self.minibatch_size = minibatch_size
        self.values: dict[Any, Any] = {}
        self.shapes: dict[Any, tuple[int, ...]] = {}
        self.read_types: Counter = Counter()
        self.write_types: Counter = Counter()
        # what was written to whole arrays, before and after it was broadcast
        self._broadcasts: dict[Any, tuple[tf.Tensor, tf.Tensor]] = {}

    def reset(self) -> None:
        """Forget the values."""
        self.values = {}
        self._broadcasts = {}

    def shape(self, key: Any) -> tuple[int, ...]:
        """Return the shape of an array."""
        if key in self.shapes:
            return self.shapes[key]
        value = self.values[key]
        return tuple(value) if isinstance(value, tuple) else tuple(value.shape)

    def row_shape(self, key: Any, axis: int) -> tuple[int, ...]:
        """Return the shape of one row of an array."""
        return self.shape(key)[1 + axis :]

    def is_known(self, key: Any) -> bool:
        """Return whether an array has a value."""
        return not isinstance(self.values.get(key), (tuple, type(None)))

    def read(
        self, key: Any, slices: row_access.Slices, axis: int, force_copy: bool
    ) -> tf.Tensor:
        """Return rows of an array; with ``force_copy``, by a gather operation."""
        if not self.is_known(key):
            raise BuildError(
                f"Base array `{key}` is read before anything has set it; let the "
                "`carried` method of the builder of the operator that sets it return "
                "the signals whose previous values it reads"
            )
        array = self.values[key]
        if force_copy:
            self.read_types["gather"] += 1
            return tf.gather(array, row_access.positions_in(slices), axis=axis)
        if slices == [(0, array.shape[axis])]:
            self.read_types["identity"] += 1
            return array
        self.read_types["strided_slice" if len(slices) == 1 else "gather"] += 1
        return row_access.read_rows(array, slices, axis)

    def write(
        self, key: Any, slices: row_access.Slices, val: tf.Tensor, mode: str, axis: int
    ) -> None:
        """Replace rows of an array (mode ``"update"``), or add to them (``"inc"``)."""
        shape = self.shape(key)
        old = self.values[key] if self.is_known(key) else None
        if isinstance(old, (tf.Variable, keras.Variable)):
            raise BuildError(
                f"Base array `{key}` should not be a Variable when it is written; "
                "read its value before the step starts"
            )
        one_item, val = val, self.for_all_items(val) if axis else val
        is_whole = slices == [(0, shape[axis])]
        if is_whole and (mode == "update" or old is None):
            self.write_types["assign"] += 1
            self.values[key] = val
            self._broadcasts[key] = (one_item, val)
            return
        if old is None:
            old = tf.zeros(shape, dtype=val.dtype)
        if mode == "update":
            self.write_types["scatter_update"] += 1
            self.values[key] = row_access.set_rows(old, slices, val, axis)
        else:
            self.write_types["assign_add" if is_whole else "scatter_add"] += 1
            one_item, broadcast = self._broadcasts.get(key, (None, None))
            if is_whole and old is broadcast:
                old = one_item  # the sum broadcasts it, and saves a pass over memory
            self.values[key] = row_access.add_rows(old, slices, val, axis)

    def for_all_items(self, val: tf.Tensor) -> tf.Tensor:
        """Give every item of the minibatch a value."""
        n = self.minibatch_size
        return val if val.shape[0] == n else tf.broadcast_to(val, (n, *val.shape[1:]))
