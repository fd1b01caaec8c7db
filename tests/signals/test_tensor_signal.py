"""Places of signals in base arrays."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import BuildError
from signals.signal_case import DTYPE, Case

from nengo_dl.signals import TensorSignal


def test_slices_are_read_only():
    signal = TensorSignal([(0, 1), (2, 3)], "key", DTYPE, (2, 2), None)
    with pytest.raises(BuildError, match="Slices are read only"):
        signal.slices = ((0, 1),)
    with pytest.raises(TypeError):
        signal.slices[0] = (0, 1)
    with pytest.raises(TypeError):
        signal.slices[0][0] = 1


def test_shapes():
    signal = TensorSignal([(0, 4)], "key", DTYPE, (4, 3), None, label="name")
    assert (signal.ndim, signal.size) == (2, 12)
    assert (signal.key, signal.dtype, signal.shape) == ("key", DTYPE, (4, 3))
    assert not signal.minibatched
    assert signal.full_shape == (4, 3)
    assert signal.tf_shape.numpy().tolist() == [4, 3]
    assert repr(signal) == "<TensorSignal name: (4, 3) at (('key', 0, 4),)>"

    signal = TensorSignal([(0, 4)], "key", DTYPE, (4, 3), 5)
    assert signal.minibatched
    assert signal.full_shape == (5, 4, 3)
    assert signal.tf_shape.numpy().tolist() == [5, 4, 3]


def test_getitem():
    signal = TensorSignal([(1, 5)], "key", DTYPE, (4, 3), 2)

    part = signal[:2]
    assert part.slices == ((1, 3),)
    assert part.key == "key"
    assert part.shape == (2, 3)
    assert part.minibatch_size == 2

    assert signal[...] is signal
    assert signal[:] is signal
    assert signal[::2].slices == ((1, 2), (3, 4))
    assert signal[::-1].slices == ((4, 5), (3, 4), (2, 3), (1, 2))
    assert signal[[-1]].slices == ((4, 5),)
    assert signal[[True, False, True, True]].slices == ((1, 2), (3, 5))
    assert signal[[]].shape == (0, 3)


def test_getitem_of_separate_positions():
    signal = TensorSignal([(1, 6)], "key", DTYPE, (5, 3), None)
    part = signal[[0, 1, 3, 4]]
    assert part.slices == ((1, 3), (4, 6))
    assert part.shape == (4, 3)
    assert part[[1, 2]].slices == ((2, 3), (4, 5))


def test_reshape():
    signal = TensorSignal([(0, 2), (3, 5)], "key", DTYPE, (4, 3), None)
    for shape in ((4, 3), (12,), (2, 2, 3), (2, 6), (1, 4, 3, 1)):
        reshaped = signal.reshape(shape)
        assert reshaped.shape == shape
        assert reshaped.slices == signal.slices
        assert reshaped.key == signal.key
    assert signal.reshape((-1,)).shape == (12,)
    assert signal.reshape((2, -1, 3)).shape == (2, 2, 3)
    for shape in ((5, 3), (-1, 5), (-1, -1, 3), (12, 0)):
        with pytest.raises(BuildError, match="number of elements"):
            signal.reshape(shape)


def test_indices_of_one_piece():
    signal = TensorSignal([(2, 5)], "key", DTYPE, (3,), None)
    assert signal.tf_indices.numpy().tolist() == [2, 3, 4]
    start, stop = signal.tf_slice
    assert (start.numpy().tolist(), stop.numpy().tolist()) == ([2], [5])


def test_indices_of_several_pieces():
    signal = TensorSignal([(0, 2), (1, 2), (4, 6)], "key", DTYPE, (5,), None)
    assert signal.tf_indices.numpy().tolist() == [0, 1, 1, 4, 5]
    assert signal.tf_slice is None
    assert TensorSignal([], "key", DTYPE, (0,), None).tf_indices.shape == (0,)


@pytest.mark.parametrize("row", [(), (2,), (2, 3)])
def test_indices_nd(row, minibatch_size):
    case = Case(minibatch_size, shape=(6, *row))
    signal = case.signal([(0, 2), (3, 5)], (4, *row))
    values = tf.gather_nd(case.base, signal.tf_indices_nd)
    assert np.array_equal(values, case.rows(0, 1, 3, 4))


def test_adjacent_pieces_become_one():
    signal = TensorSignal([(0, 2), (2, 3), (4, 5)], "key", DTYPE, (4,), None)
    assert signal.slices == ((0, 3), (4, 5))


def test_pieces_of_several_base_arrays():
    signal = TensorSignal([(0, 2), (2, 3)], ("x", "y"), DTYPE, (3,), None)
    assert signal.slices == ((0, 2), (2, 3))
    assert signal.key == ("x", "y")
    assert signal.pieces == (("x", 0, 2), ("y", 2, 3))
    assert signal[1:].pieces == (("x", 1, 2), ("y", 2, 3))
    assert signal[:2].key == "x"


def test_reset():
    case = Case(None)
    case.signals.reset()
    assert case.signals.bases == {}
