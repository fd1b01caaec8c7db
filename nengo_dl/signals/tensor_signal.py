"""
Where a signal lives in the base arrays.

In: the placement of signals computed by `nengo_dl.graph.layout`. Out: `TensorSignal`,
the handle with which operator builders read and write signals through a `.SignalDict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from nengo.exceptions import BuildError


class TensorSignal:
    """
    The position of a signal, or of several signals read together, in base arrays.

    Parameters
    ----------
    slices : sequence of (int, int)
        Start and stop positions along the first axis of the base array.
    key : object or tuple of object
        The base array, or a tuple with the base array of each slice.
    dtype : str
        Type of the elements, such as ``"float32"``.
    shape : tuple of int
        Shape of the signal (without minibatch axis).
    minibatch_size : int or None
        Number of items in a minibatch; None if the signal has no minibatch axis.
    label : str
        Name used in messages.
    elements : (size,) array of int, optional
        Selects single elements from the flattened content of the slices, for signals
        that are not made of whole rows of their base arrays.
    """

    def __init__(
        self,
        slices: Sequence[tuple[int, int]],
        key,
        dtype: str,
        shape: tuple[int, ...],
        minibatch_size: int | None,
        label: str = "TensorSignal",
        elements: np.ndarray | None = None,
    ):
        keys = key if isinstance(key, tuple) else (key,) * len(slices)
        merged: list[tuple[object, int, int]] = []
        for k, (start, stop) in zip(keys, slices):
            if merged and merged[-1][0] == k and merged[-1][2] == start:
                merged[-1] = (k, merged[-1][1], stop)
            else:
                merged.append((k, start, stop))
        self._pieces = tuple(merged)
        self._slices = tuple((start, stop) for _, start, stop in merged)
        self.dtype = dtype
        self.shape = tuple(int(n) for n in shape)
        self.minibatch_size = minibatch_size
        self.label = label
        self.elements = elements

    @property
    def pieces(self) -> tuple:
        """``(key, start, stop)`` of every contiguous piece."""
        return self._pieces

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        """Start and stop positions along the first axis of the base array(s)."""
        return self._slices

    @slices.setter
    def slices(self, value):
        raise BuildError(f"Slices are read only (of `{self.label}`)")

    @property
    def key(self):
        """The base array, or a tuple with the base array of each slice."""
        keys = tuple(k for k, _, _ in self._pieces)
        return keys[0] if len(set(keys)) == 1 else keys

    @property
    def ndim(self) -> int:
        """Number of axes of the signal (without minibatch axis)."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements of the signal (of one minibatch item)."""
        return math.prod(self.shape)

    @property
    def minibatched(self) -> bool:
        """Whether the signal has a minibatch axis."""
        return self.minibatch_size is not None

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape including the minibatch axis, if there is one."""
        if self.minibatch_size is None:
            return self.shape
        return (self.minibatch_size, *self.shape)

    @property
    def tf_shape(self) -> tf.Tensor:
        """`full_shape` as a tensor."""
        return tf.constant(self.full_shape, dtype=tf.int32)

    @property
    def rows(self) -> np.ndarray:
        """Positions along the first axis of the base array, one by one."""
        if not self._pieces:
            return np.zeros(0, dtype=np.int32)
        return np.concatenate(
            [np.arange(start, stop, dtype=np.int32) for start, stop in self._slices]
        )

    @property
    def tf_indices(self) -> tf.Tensor:
        """`rows` as a tensor."""
        return tf.constant(self.rows)

    @property
    def tf_indices_nd(self) -> tf.Tensor:
        """Indices with which `tf.gather_nd` reads the signal from its base array."""
        if not self.minibatched:
            return tf.constant(self.rows[:, None])
        grid = np.meshgrid(np.arange(self.minibatch_size), self.rows, indexing="ij")
        return tf.constant(np.stack(grid, axis=-1).astype(np.int32))

    @property
    def tf_slice(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Start and stop as tensors if the signal is one piece, else None."""
        if len(self._slices) != 1:
            return None
        start, stop = self._slices[0]
        return tf.constant([start]), tf.constant([stop])

    def reset(self) -> None:
        """Do nothing: there are no cached tensors."""

    def reshape(self, shape: Sequence[int]) -> TensorSignal:
        """
        Return the same elements as a signal of another shape.

        Parameters
        ----------
        shape : sequence of int
            The new shape; one entry may be -1.

        Raises
        ------
        nengo.exceptions.BuildError
            If the number of elements differs.
        """
        shape = tuple(shape)
        known = math.prod(n for n in shape if n != -1)
        unknown = shape.count(-1)
        if unknown == 1 and known and self.size % known == 0:
            shape = tuple(self.size // known if n == -1 else n for n in shape)
        elif unknown or known != self.size:
            raise BuildError(
                f"Cannot reshape `{self.label}` of shape {self.shape} to {shape}: the "
                f"number of elements must stay {self.size}"
            )
        return self._with(shape=shape)

    def __getitem__(self, item) -> TensorSignal:
        """Select along the first axis, by a slice or a list of positions."""
        if item is Ellipsis or (isinstance(item, slice) and item == slice(None)):
            return self
        n = self.shape[0]
        rows = np.arange(n)[item]
        shape = (len(rows), *self.shape[1:])
        if self.elements is not None:
            elements = self.elements.reshape(self.shape)[rows].ravel()
            return self._with(shape=shape, elements=elements)
        keys = [k for k, start, stop in self._pieces for _ in range(stop - start)]
        if len(keys) != n:  # rows of the signal are not rows of the base
            elements = np.arange(self.size).reshape(self.shape)[rows].ravel()
            return self._with(shape=shape, elements=elements)
        base = self.rows[rows]
        return TensorSignal(
            [(int(r), int(r) + 1) for r in base],
            tuple(keys[i] for i in rows),
            self.dtype,
            shape,
            self.minibatch_size,
            label=f"{self.label}[{item}]",
        )

    def _with(self, shape, elements=None) -> TensorSignal:
        return TensorSignal(
            self._slices,
            tuple(k for k, _, _ in self._pieces),
            self.dtype,
            shape,
            self.minibatch_size,
            label=self.label,
            elements=self.elements if elements is None else elements,
        )

    def __repr__(self) -> str:
        return f"<TensorSignal {self.label}: {self.shape} at {self._pieces}>"
