"""
`TensorSignal`: the place of one signal, by which it is read and written.

In: the placement of signals computed by `nengo_dl.graph.layout`. Out: `TensorSignal`,
the handle with which operator builders read and write signals through a `.SignalDict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from nengo.exceptions import BuildError

from nengo_dl.signals.row_access import positions_in, slices_of

# A base array, and start and stop along its first axis.
Piece = tuple[Any, int, int]


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
        key: Any,
        dtype: str,
        shape: tuple[int, ...],
        minibatch_size: int | None,
        label: str = "TensorSignal",
        elements: np.ndarray | None = None,
    ):
        keys = key if isinstance(key, tuple) else (key,) * len(slices)
        merged: list[Piece] = []
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
    def pieces(self) -> tuple[Piece, ...]:
        """``(key, start, stop)`` of every contiguous piece."""
        return self._pieces

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        """Start and stop positions along the first axis of the base array(s)."""
        return self._slices

    @slices.setter
    def slices(self, value: Any) -> None:
        raise BuildError(f"Slices are read only (of `{self.label}`)")

    @property
    def key(self) -> Any:
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
    def positions(self) -> np.ndarray:
        """Positions along the first axis of the base array, one by one."""
        return positions_in(self._slices)

    @property
    def tf_indices(self) -> tf.Tensor:
        """`positions` as a tensor."""
        return tf.constant(self.positions)

    @property
    def tf_indices_nd(self) -> tf.Tensor:
        """Indices with which `tf.gather_nd` reads the signal from its base array."""
        if not self.minibatched:
            return tf.constant(self.positions[:, None])
        items = np.arange(self.minibatch_size)
        grid = np.meshgrid(items, self.positions, indexing="ij")
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

    def __getitem__(self, item: Any) -> TensorSignal:
        """Select along the first axis, by a slice or a list of positions."""
        if item is Ellipsis or (isinstance(item, slice) and item == slice(None)):
            return self
        n = self.shape[0]
        chosen = np.arange(n)[item]
        shape = (len(chosen), *self.shape[1:])
        if self.elements is not None:
            elements = self.elements.reshape(self.shape)[chosen].ravel()
            return self._with(shape=shape, elements=elements)
        positions = self.positions
        if len(positions) != n:  # rows of the signal are not rows of the base
            elements = np.arange(self.size).reshape(self.shape)[chosen].ravel()
            return self._with(shape=shape, elements=elements)
        lengths = [stop - start for _, start, stop in self._pieces]
        owners = np.repeat(np.arange(len(lengths)), lengths)
        slices = slices_of(positions[chosen], owners[chosen])
        firsts = np.cumsum([0, *(stop - start for start, stop in slices)])[:-1]
        return TensorSignal(
            slices,
            tuple(self._pieces[i][0] for i in owners[chosen][firsts]),
            self.dtype,
            shape,
            self.minibatch_size,
            label=f"{self.label}[{item if np.ndim(item) == 0 else '...'}]",
        )

    def _with(
        self, shape: tuple[int, ...], elements: np.ndarray | None = None
    ) -> TensorSignal:
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


def combine_signals(
    signals: Sequence[TensorSignal],
    label: str,
    n_elements: Callable[[Piece, int], int],
) -> TensorSignal:
    """
    Combine several signals into one, side by side along the first axis.

    Parameters
    ----------
    signals : sequence of TensorSignal
        Signals that agree in all but the first axis; those without axes count as one
        row.
    label : str
        Name of the result, for messages.
    n_elements : callable
        Maps a piece and the axis of its rows to the number of elements of the piece, of
        one minibatch item.

    Raises
    ------
    nengo.exceptions.BuildError
        If the signals cannot be combined.
    """
    signals = [s if s.ndim > 0 else s.reshape((1,)) for s in signals]
    first = signals[0]
    if len({(s.shape[1:], s.minibatch_size) for s in signals}) > 1:
        raise BuildError(
            "Signals can only be combined if they agree in all but the first axis; "
            f"received {', '.join(map(str, signals))}"
        )
    elements = None
    if any(s.elements is not None for s in signals):
        elements = _combined_elements(signals, n_elements)
    return TensorSignal(
        [piece[1:] for s in signals for piece in s.pieces],
        tuple(piece[0] for s in signals for piece in s.pieces),
        first.dtype,
        (sum(s.shape[0] for s in signals), *first.shape[1:]),
        first.minibatch_size,
        label=label,
        elements=elements,
    )


def _combined_elements(
    signals: Sequence[TensorSignal], n_elements: Callable[[Piece, int], int]
) -> np.ndarray:
    """Find the elements of several signals in their joined pieces."""
    elements = []
    offset = 0
    for signal in signals:
        own = np.arange(signal.size) if signal.elements is None else signal.elements
        elements.append(own + offset)
        axis = int(signal.minibatched)
        offset += sum(n_elements(piece, axis) for piece in signal.pieces)
    return np.concatenate(elements)
