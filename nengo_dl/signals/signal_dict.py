"""
`SignalDict`: the signals of a step, as builders read and write them.

In: the placement of signals computed by `nengo_dl.graph.layout`. Out: the tensors that
operator builders work on. This is the public API of operator builders:
`SignalDict.gather`, `SignalDict.scatter`, `SignalDict.combine` and
`SignalDict.op_constant`.

A base array has shape ``([minibatch_size,] n, ...)``: many signals side by side along
their first axis. All positions are known when the step is traced, so that a read
becomes a slice (or nothing at all), and a write replaces an array, or a slice of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import tensorflow as tf
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.graph.trainability import is_minibatched
from nengo_dl.signals import row_access
from nengo_dl.signals.base_arrays import BaseArrays
from nengo_dl.signals.tensor_signal import Piece, TensorSignal, combine_signals
from nengo_dl.utils import ErrorBox


class SignalDict(Mapping):
    """
    The signals of a step: a mapping ``Signal`` → `.TensorSignal`, and their values.

    Parameters
    ----------
    dtype : str
        Type of floating point numbers, such as ``"float32"``.
    minibatch_size : int
        Number of items in a minibatch.

    Attributes
    ----------
    arrays : BaseArrays
        The base arrays.
    sig_map : dict
        The position of every signal.
    dt : tf.Tensor
        Length of a simulation step in seconds. Set before the step is built.
    dt_val : float
        The same as a number. Set before the step is built.
    errors : nengo_dl.utils.ErrorBox
        Where Python functions called by the step leave their exceptions.
    feeds : dict of {Feed: callable}
        Return what `nengo_dl.graph.operators.Feed` operators feed in at this step, as a
        ``(minibatch_size, size)`` tensor.
    losses : list of scalar tf.Tensor
        What builders add to the loss at this step.
    step : scalar int32 tf.Tensor
        Number of the step that is being computed; the first one is 1.
    random_key : (uint32 tf.Tensor, uint32 tf.Tensor)
        What random numbers within the step follow from, besides its number. Set before
        the step is built.
    process_rngs : dict of {SimProcess: list of numpy.random.RandomState}
        Random number generators of processes, for every item of the minibatch.
    operator_steps : dict of {Operator: list of callable}
        Steps of operators that only NumPy can run, for every item of the minibatch; see
        `nengo_dl.execution.operator_steps`.
    """

    dt: tf.Tensor
    dt_val: float
    random_key: tuple[tf.Tensor, tf.Tensor]

    def __init__(self, dtype: str, minibatch_size: int):
        self.dtype = tf.as_dtype(dtype)
        self.minibatch_size = minibatch_size
        self.arrays = BaseArrays(minibatch_size)
        self.sig_map: dict[Signal, TensorSignal] = {}
        self.feeds: dict[Operator, Callable[[], tf.Tensor]] = {}
        self.losses: list[tf.Tensor] = []
        self.step: Any = None
        self.errors: ErrorBox | None = None
        self.process_rngs: dict[Operator, list[np.random.RandomState]] = {}
        self.operator_steps: Mapping[Operator, Sequence[Callable]] = {}

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

    def __iter__(self) -> Iterator[Signal]:
        return iter(self.sig_map)

    def __len__(self) -> int:
        return len(self.sig_map)

    def __contains__(self, signal: object) -> bool:
        return signal in self.sig_map

    @property
    def bases(self) -> dict[Any, Any]:
        """Base arrays by key: the value that each has at this point of the step."""
        return self.arrays.values

    @bases.setter
    def bases(self, values: dict[Any, Any]) -> None:
        self.arrays.values = values

    @property
    def base_shapes(self) -> dict[Any, tuple[int, ...]]:
        """Shapes of the base arrays, including the minibatch axis."""
        return self.arrays.shapes

    @property
    def read_types(self) -> Counter:
        """Which kinds of reads were built."""
        return self.arrays.read_types

    @property
    def write_types(self) -> Counter:
        """Which kinds of writes were built."""
        return self.arrays.write_types

    def reset(self) -> None:
        """Forget the values of the base arrays."""
        self.arrays.reset()

    def get_tensor_signal(
        self,
        slices: row_access.Slices,
        key: Any,
        dtype: str,
        shape: tuple[int, ...],
        minibatched: bool,
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
            The signal in that place.

        Raises
        ------
        nengo.exceptions.BuildError
            If ``signal`` does not fit there.
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
            if tensor_signal.ndim != signal.ndim or tensor_signal.size != signal.size:
                raise BuildError(
                    f"`{signal}` has shape {signal.shape} but its place has shape "
                    f"{tensor_signal.shape}"
                )
            if tensor_signal.minibatched != bool(is_minibatched(signal)):
                raise BuildError(
                    f"`{signal}` and its place must both have a minibatch axis, or "
                    f"both have none; the place has shape {tensor_signal.full_shape}"
                )
            self.sig_map[signal] = tensor_signal
        return tensor_signal

    def combine(
        self, sigs: Sequence[Signal | TensorSignal], label: str = "Combined"
    ) -> Any:
        """
        Combine several signals into one, side by side along the first axis.

        Parameters
        ----------
        sigs : list of (Signal or TensorSignal)
            Signals that agree in all but the first axis.
        label : str
            A name for the result, in messages.

        Returns
        -------
        combined : TensorSignal
            An empty list if ``sigs`` is empty.

        Raises
        ------
        nengo.exceptions.BuildError
            If the signals cannot be combined.
        """
        if len(sigs) == 0:
            return []
        places = [self._place(s) for s in sigs]
        return combine_signals(places, label, self._n_elements)

    def op_constant(
        self,
        ops: Sequence[Any],
        op_sizes: Sequence[int],
        attr: str,
        dtype: tf.DType,
        shape: tuple[int, ...] = (1, -1),
    ) -> tf.Tensor:
        """
        Return an attribute of merged operators as a constant.

        Parameters
        ----------
        ops : list of object
            The objects that have the attribute.
        op_sizes : list of int
            How many elements each of them stands for.
        attr : str
            Name of the attribute: a number, or an array. An array of as many values
            has one for each element, others are repeated for each element.
        dtype : tf.DType
            Type of the constant.
        shape : tuple of int
            Shape of the constant if the objects differ.

        Returns
        -------
        constant : tf.Tensor
            A scalar if all objects have the same number, else an array of
            ``sum(op_sizes)`` numbers (or arrays).
        """
        values = [getattr(op, attr) for op in ops]
        np_dtype = tf.as_dtype(dtype).as_numpy_dtype
        if all(np.ndim(v) == 0 for v in values) and len(set(values)) == 1:
            return tf.constant(values[0], dtype=dtype)
        values = [_repeated(np.asarray(v), n) for v, n in zip(values, op_sizes)]
        return tf.constant(np.concatenate(values).astype(np_dtype).reshape(shape))

    # -- reads ------------------------------------------------------------------------

    def gather(self, src: Signal | TensorSignal, force_copy: bool = False) -> tf.Tensor:
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
        axis = int(src.minibatched)
        values = [
            self.arrays.read(key, [piece[1:] for piece in pieces], axis, force_copy)
            for key, pieces in groupby(src.pieces, key=lambda piece: piece[0])
        ]
        value = values[0] if len(values) == 1 else tf.concat(values, axis=axis)
        if src.elements is not None:
            value = tf.reshape(value, (*src.full_shape[:axis], -1))
            value = tf.gather(value, src.elements.astype(np.int32), axis=axis)
        return row_access.reshape(value, src.full_shape)

    def is_known(self, src: Signal | TensorSignal) -> bool:
        """Return whether a signal has a value at this point of the step, or ahead."""
        return all(key in self.bases for key, _, _ in self._place(src).pieces)

    def materialize(self, value: tf.Tensor) -> tf.Tensor:
        """
        Make XLA compute a value only once, although it is broadcast.

        XLA repeats cheap operations for every element that depends on them, in loops
        that it can then not vectorize. It never repeats divisions, and does not know
        that this divisor is one.

        Parameters
        ----------
        value : tensor
            Any value of the step.
        """
        return value / tf.cast(self.step > 0, value.dtype)

    # -- writes -----------------------------------------------------------------------

    def scatter(
        self, dst: Signal | TensorSignal, val: tf.Tensor, mode: str = "update"
    ) -> None:
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

        Raises
        ------
        nengo.exceptions.BuildError
            If the type of the value is not that of the signal.
        """
        dst = self._place(dst)
        if val.dtype != tf.as_dtype(dst.dtype):
            raise BuildError(
                f"Tensor of the wrong dtype for `{dst.label}`: expected {dst.dtype}, "
                f"received {val.dtype.name}; cast it first"
            )
        axis = int(dst.minibatched)
        if (
            axis
            and val.shape.num_elements() == dst.size
            and val.shape != dst.full_shape
        ):
            val = tf.reshape(val, (1, *dst.shape))  # one value for all items
        if dst.elements is not None:
            val = self.arrays.for_all_items(val) if axis else val
            self._scatter_elements(dst, val, mode)
            return

        # rows of the base array (or arrays)
        row_shape = self.arrays.row_shape(dst.pieces[0][0], axis)
        val = row_access.reshape(val, (*val.shape[:axis], -1, *row_shape))
        offset = 0
        parts: dict = {}
        for key, start, stop in dst.pieces:
            slices, offsets = parts.setdefault(key, ([], []))
            slices.append((start, stop))
            offsets.append((offset, offset + stop - start))
            offset += stop - start
        for key, (slices, offsets) in parts.items():
            part = val if len(parts) == 1 else row_access.read_rows(val, offsets, axis)
            self.arrays.write(key, slices, part, mode, axis)

    def _scatter_elements(self, dst: TensorSignal, val: tf.Tensor, mode: str) -> None:
        """Write single elements: read the flattened pieces, change, write back."""
        axis = int(dst.minibatched)
        whole = TensorSignal(
            dst.slices,
            tuple(key for key, _, _ in dst.pieces),
            dst.dtype,
            (sum(self._n_elements(piece, axis) for piece in dst.pieces),),
            dst.minibatch_size,
            label=dst.label,
        )
        for key, _, _ in whole.pieces:
            if not self.arrays.is_known(key):
                self.bases[key] = tf.zeros(self.arrays.shape(key), dtype=val.dtype)
        val = row_access.reshape(val, (*val.shape[:axis], dst.size))
        write = row_access.set_rows if mode == "update" else row_access.add_rows
        new = write(
            self.gather(whole),
            row_access.slices_of(np.asarray(dst.elements)),
            val,
            axis,
        )
        self.scatter(whole, new)

    # -- helpers ----------------------------------------------------------------------

    def _place(self, signal: Signal | TensorSignal) -> TensorSignal:
        return signal if isinstance(signal, TensorSignal) else self.sig_map[signal]

    def _n_elements(self, piece: Piece, axis: int) -> int:
        """Return the number of elements of a piece (of one minibatch item)."""
        key, start, stop = piece
        return (stop - start) * math.prod(self.arrays.row_shape(key, axis))


def _repeated(value: np.ndarray, n: int) -> np.ndarray:
    """Return a value for each of ``n`` elements, flattened."""
    if value.shape in ((), (1,), (n,)):
        return np.broadcast_to(value, (n,))
    return np.broadcast_to(value, (n, *value.shape)).ravel()
