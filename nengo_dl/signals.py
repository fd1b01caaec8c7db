"""
Where signals live in the base arrays, and how the step reads and writes them.

In: the placement of signals computed by `nengo_dl.layout`. Out: the tensors that
operator builders work on. This is the public API of operator builders:
`SignalDict.gather`, `SignalDict.scatter`, `SignalDict.combine` and
`SignalDict.op_constant`.

A base array has shape ``([minibatch_size,] n, ...)``: many signals side by side along
their first axis. All positions are known when the step is traced, so that a read
becomes a slice (or nothing at all), and no write needs a scatter operation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import tensorflow as tf
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.utils import ErrorBox

# Reads and writes of up to so many separate pieces are built from slices; beyond
# that, one gather with constant indices compiles faster.
MAX_PIECES = 8


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


class SignalDict(Mapping):
    """
    The signals of a step: a mapping `Signal` → `TensorSignal`, and their values.

    Parameters
    ----------
    dtype : str
        Type of floating point numbers, such as ``"float32"``.
    minibatch_size : int
        Number of items in a minibatch.

    Attributes
    ----------
    bases : dict
        Base arrays by key: the value that each has at this point of the step.
    base_shapes : dict
        Shapes of the base arrays, including the minibatch axis.
    sig_map : dict
        The position of every signal.
    read_types, write_types : collections.Counter
        Which kinds of reads and writes were built.
    dt : tf.Tensor
        Length of a simulation step in seconds (set before the step is built).
    dt_val : float
        The same as a number.
    errors : nengo_dl.utils.ErrorBox
        Where Python functions called by the step leave their exceptions.
    feeds : dict
        What `nengo_dl.operators.Feed` operators feed in at this step.
    step : scalar int32 tf.Tensor
        Number of the step that is being computed; the first one is 1.
    """

    def __init__(self, dtype: str, minibatch_size: int):
        self.dtype = tf.as_dtype(dtype)
        self.minibatch_size = minibatch_size
        self.bases: dict = {}
        self.base_shapes: dict = {}
        self.sig_map: dict[Signal, TensorSignal] = {}
        self.read_types: Counter = Counter()
        self.write_types: Counter = Counter()
        self.dt: tf.Tensor | None = None
        self.dt_val: float | None = None
        self.errors: ErrorBox | None = None
        self.feeds: dict = {}
        self.step: tf.Tensor | None = None

    @property
    def zero(self) -> tf.Tensor:
        """The number 0 in the simulator's type."""
        return tf.constant(0, dtype=self.dtype)

    @property
    def one(self) -> tf.Tensor:
        """The number 1 in the simulator's type."""
        return tf.constant(1, dtype=self.dtype)

    def __getitem__(self, signal: Signal) -> TensorSignal:
        return self.sig_map[signal]

    def __iter__(self):
        return iter(self.sig_map)

    def __len__(self) -> int:
        return len(self.sig_map)

    def __contains__(self, signal) -> bool:
        return signal in self.sig_map

    def reset(self) -> None:
        """Forget the values of the base arrays."""
        self.bases = {}

    def get_tensor_signal(
        self,
        slices,
        key,
        dtype,
        shape,
        minibatched,
        signal: Signal | None = None,
        label: str = "TensorSignal",
    ) -> TensorSignal:
        """
        Create a `TensorSignal`, and register it as the place of ``signal`` if given.

        Parameters
        ----------
        slices, key, dtype, shape, label
            As for `TensorSignal`.
        minibatched : bool
            Whether the signal has a minibatch axis.
        signal : nengo.builder.Signal, optional
            The signal that lives there.
        """
        tensor_signal = TensorSignal(
            slices,
            key,
            dtype,
            shape,
            self.minibatch_size if minibatched else None,
            label=label,
        )
        if signal is not None:
            if len(tensor_signal.shape) != len(signal.shape) or (
                tensor_signal.size != signal.size
            ):
                raise BuildError(
                    f"`{signal}` has shape {signal.shape} but its place has shape "
                    f"{tensor_signal.shape}"
                )
            self.sig_map[signal] = tensor_signal
        return tensor_signal

    def combine(self, sigs, label: str = "Combined"):
        """
        Combine several signals into one, side by side along the first axis.

        Parameters
        ----------
        sigs : list of (Signal or TensorSignal)
            Signals that agree in all but the first axis.

        Returns
        -------
        combined : TensorSignal
            An empty list if ``sigs`` is empty.
        """
        if len(sigs) == 0:
            return []
        places = [self._place(s) for s in sigs]
        places = [p if p.ndim > 0 else p.reshape((1,)) for p in places]
        shape = (sum(p.shape[0] for p in places), *places[0].shape[1:])
        elements = None
        if any(p.elements is not None for p in places):
            elements = self._combined_elements(places)
        return TensorSignal(
            [piece[1:] for p in places for piece in p.pieces],
            tuple(piece[0] for p in places for piece in p.pieces),
            places[0].dtype,
            shape,
            places[0].minibatch_size,
            label=label,
            elements=elements,
        )

    def _combined_elements(self, places) -> np.ndarray:
        """Number the elements of several places through their joined pieces."""
        elements = []
        offset = 0
        for place in places:
            own = np.arange(place.size) if place.elements is None else place.elements
            elements.append(own + offset)
            batch = int(place.minibatched)
            offset += sum(self._n_elements(piece, batch) for piece in place.pieces)
        return np.concatenate(elements)

    def op_constant(self, ops, op_sizes, attr, dtype, shape=(1, -1)) -> tf.Tensor:
        """
        Return an attribute of merged operators as a constant.

        Parameters
        ----------
        ops : list of object
            The objects that have the attribute.
        op_sizes : list of int
            How many elements each of them stands for.
        attr : str
            Name of the attribute.
        dtype : tf.DType
            Type of the constant.
        shape : tuple of int
            Shape of the constant if the objects differ.

        Returns
        -------
        constant : tf.Tensor
            A scalar if all objects agree, else an array of ``sum(op_sizes)`` values.
        """
        values = [getattr(op, attr) for op in ops]
        np_dtype = tf.as_dtype(dtype).as_numpy_dtype
        if np.ndim(values[0]) == 0 and all(v == values[0] for v in values):
            return tf.constant(values[0], dtype=dtype)
        values = [np.broadcast_to(v, (n,)) for v, n in zip(values, op_sizes)]
        return tf.constant(np.concatenate(values).astype(np_dtype).reshape(shape))

    # -- reads ------------------------------------------------------------------------

    def gather(self, src, force_copy: bool = False) -> tf.Tensor:
        """
        Read the current value of a signal.

        Parameters
        ----------
        src : Signal or TensorSignal
            What to read.
        force_copy : bool
            Read by an explicit gather operation.

        Returns
        -------
        value : ``src.full_shape`` tensor
            With minibatch axis only if the signal has one.
        """
        src = self._place(src)
        batch = int(src.minibatched)
        groups = self._grouped_pieces(src)
        values = [
            self._read_base(key, [p[1:] for p in pieces], batch, force_copy)
            for key, pieces in groups
        ]
        value = values[0] if len(values) == 1 else tf.concat(values, axis=batch)
        if src.elements is not None:
            value = tf.reshape(value, (*src.full_shape[:batch], -1))
            value = tf.gather(value, src.elements.astype(np.int32), axis=batch)
        if value.shape != src.full_shape:
            value = tf.reshape(value, src.full_shape)
        return value

    def _read_base(self, key, slices, batch, force_copy) -> tf.Tensor:
        try:
            base = self.bases[key]
        except KeyError:
            raise BuildError(
                f"Base array `{key}` is read before anything has set it; let the "
                "`carried` method of the builder of the operator that sets it return "
                "the signals whose previous values it reads"
            ) from None
        if slices == [(0, base.shape[batch])] and not force_copy:
            self.read_types["identity"] += 1
            return base
        if len(slices) <= MAX_PIECES and not force_copy:
            self.read_types["strided_slice"] += 1
            lead = (slice(None),) * batch
            values = [base[(*lead, slice(*s))] for s in slices]
            return values[0] if len(values) == 1 else tf.concat(values, axis=batch)
        self.read_types["gather"] += 1
        rows = np.concatenate([np.arange(*s, dtype=np.int32) for s in slices])
        return tf.gather(base, rows, axis=batch)

    # -- writes -----------------------------------------------------------------------

    def scatter(self, dst, val: tf.Tensor, mode: str = "update") -> None:
        """
        Write or increment the value of a signal.

        Parameters
        ----------
        dst : Signal or TensorSignal
            What to write. Elements that occur several times accumulate in mode
            ``"inc"``.
        val : tensor
            The new value, or the increment. May lack the minibatch axis.
        mode : "update" or "inc"
            Whether to replace the value or to add to it.
        """
        dst = self._place(dst)
        if val.dtype != tf.as_dtype(dst.dtype):
            raise BuildError(
                f"Tensor of the wrong dtype for `{dst.label}`: expected {dst.dtype}, "
                f"received {val.dtype.name}; cast it first"
            )
        batch = int(dst.minibatched)
        if batch and (val.shape.rank == dst.ndim and val.shape != dst.full_shape):
            val = val[None]
        if dst.elements is not None:
            self._scatter_elements(dst, val, mode)
            return

        # (minibatch, rows, ...): the rows of one base array after the other
        row_shape = self._row_shape(dst.pieces[0][0], batch)
        val = _reshape(val, (*val.shape[:batch], -1, *row_shape))
        sizes = [stop - start for _, start, stop in dst.pieces]
        offsets = np.cumsum([0, *sizes])
        by_key: dict = {}
        for (key, start, stop), offset in zip(dst.pieces, offsets):
            by_key.setdefault(key, []).append((start, stop, int(offset)))
        for key, pieces in by_key.items():
            if len(by_key) == 1:
                part = val
            else:
                part = _take_pieces(val, pieces, batch)
            rows = [(start, stop) for start, stop, _ in pieces]
            self._write_base(key, rows, part, mode, batch)

    def _write_base(self, key, slices, val, mode, batch) -> None:
        """Write ``val`` to rows ``slices`` of a base array."""
        shape = self._base_shape(key)
        old = self.bases.get(key)
        if isinstance(old, tuple):  # only the shape is known: nothing was written yet
            old = None
        if isinstance(old, tf.Variable):
            raise BuildError(
                f"Base array `{key}` should not be a Variable when it is written; "
                "read its value before the step starts"
            )
        n_rows = shape[batch]
        if batch and val.shape[0] != shape[0]:
            val = tf.broadcast_to(val, (shape[0], *val.shape[1:]))

        if slices == [(0, n_rows)]:
            if mode == "update":
                self.write_types["assign"] += 1
                self.bases[key] = val
            else:
                self.write_types["assign_add"] += 1
                self.bases[key] = val if old is None else old + val
            return

        self.write_types["scatter_add" if mode == "inc" else "scatter_update"] += 1
        if old is None:
            old = tf.zeros(shape, dtype=val.dtype)
        rows = np.concatenate([np.arange(*s) for s in slices])
        if len(slices) == 1 or (
            len(slices) <= MAX_PIECES and len(np.unique(rows)) == len(rows)
        ):
            new = _write_pieces(old, slices, val, mode, batch)
        else:
            new = _write_rows(old, rows, val, mode, batch)
        self.bases[key] = new

    def _scatter_elements(self, dst, val, mode) -> None:
        """Write single elements: read the flattened pieces, change, write back."""
        batch = int(dst.minibatched)
        whole = TensorSignal(
            dst.slices,
            tuple(k for k, _, _ in dst.pieces),
            dst.dtype,
            (sum(self._n_elements(piece, batch) for piece in dst.pieces),),
            dst.minibatch_size,
            label=dst.label,
        )
        for key, _, _ in whole.pieces:
            if key not in self.bases:
                self.bases[key] = tf.zeros(self._base_shape(key), dtype=val.dtype)
        val = tf.reshape(val, (*val.shape[:batch], dst.size))
        if batch:
            val = tf.broadcast_to(val, (dst.minibatch_size, dst.size))
        old = self.gather(whole)
        self.scatter(whole, _write_rows(old, dst.elements, val, mode, batch))

    # -- helpers ----------------------------------------------------------------------

    def _place(self, signal) -> TensorSignal:
        return signal if isinstance(signal, TensorSignal) else self.sig_map[signal]

    def _base_shape(self, key) -> tuple[int, ...]:
        if key in self.base_shapes:
            return self.base_shapes[key]
        base = self.bases[key]
        return tuple(base) if isinstance(base, tuple) else tuple(base.shape)

    def _row_shape(self, key, batch: int) -> tuple[int, ...]:
        """Shape of one row of a base array (with or without minibatch axis)."""
        return self._base_shape(key)[1 + batch :]

    def _n_elements(self, piece, batch: int) -> int:
        key, start, stop = piece
        return (stop - start) * math.prod(self._row_shape(key, batch))

    @staticmethod
    def _grouped_pieces(src):
        """Group successive pieces of the same base array."""
        return [(k, list(g)) for k, g in groupby(src.pieces, key=lambda p: p[0])]


def _reshape(value: tf.Tensor, shape) -> tf.Tensor:
    """Reshape, unless the shape is right already."""
    known = value.shape.as_list()
    if len(known) == len(shape) and all(n in (-1, m) for n, m in zip(shape, known)):
        return value
    return tf.reshape(value, shape)


def _take_pieces(val, pieces, batch) -> tf.Tensor:
    """Take the rows of ``val`` that go to one base array."""
    lead = (slice(None),) * batch
    if len(pieces) <= MAX_PIECES:
        parts = [val[(*lead, slice(o, o + b - a))] for a, b, o in pieces]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=batch)
    rows = np.concatenate([np.arange(o, o + b - a) for a, b, o in pieces])
    return tf.gather(val, rows.astype(np.int32), axis=batch)


def _write_pieces(old, slices, val, mode, batch) -> tf.Tensor:
    """Write a few separate pieces: the new array is the concatenation of parts."""
    lead = (slice(None),) * batch
    offsets = np.cumsum([0] + [stop - start for start, stop in slices])
    order = np.argsort([start for start, _ in slices])
    parts = []
    position = 0
    for i in order:
        start, stop = slices[i]
        if start > position:
            parts.append(old[(*lead, slice(position, start))])
        new = val[(*lead, slice(int(offsets[i]), int(offsets[i + 1])))]
        if mode == "inc":
            new = old[(*lead, slice(start, stop))] + new
        parts.append(new)
        position = stop
    if position < old.shape[batch]:
        parts.append(old[(*lead, slice(position, None))])
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=batch)


def _write_rows(old, rows, val, mode, batch) -> tf.Tensor:
    """
    Write arbitrary rows, by reading from [old, val] in the right order.

    Scatter operations are slow in compiled programs (one row after the other), reads
    with constant indices are not. Rows that occur several times in an increment are
    added in rounds, one for each repetition.
    """
    n = old.shape[batch]
    if mode == "update":
        source = np.arange(n)
        source[rows] = n + np.arange(len(rows))
        return tf.gather(
            tf.concat([old, val], axis=batch), source.astype(np.int32), axis=batch
        )
    zeros = tf.zeros((*val.shape[:batch], 1, *val.shape[batch + 1 :]), val.dtype)
    padded = tf.concat([val, zeros], axis=batch)
    for source in increment_rounds(rows, n):
        old = old + tf.gather(padded, source, axis=batch)
    return old


def increment_rounds(rows: np.ndarray, n: int) -> list[np.ndarray]:
    """
    Split increments of ``n`` rows into rounds in which no row occurs twice.

    Returns
    -------
    rounds : list of (n,) int32 array
        For every row, the position of its increment; ``len(rows)`` if it has none in
        that round.
    """
    rows = np.asarray(rows)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.searchsorted(ordered, ordered, side="left")
    repetition = np.arange(len(rows)) - first
    rounds = []
    for r in range(int(repetition.max(initial=-1)) + 1):
        source = np.full(n, len(rows), dtype=np.int32)
        chosen = repetition == r
        source[ordered[chosen]] = order[chosen]
        rounds.append(source)
    return rounds
