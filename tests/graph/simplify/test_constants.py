import numpy as np
import pytest
from graph.literal_graphs import Op, signal
from nengo.builder import Signal
from nengo.builder.operator import Reset
from nengo.transforms import SparseMatrix

from nengo_dl.graph.operators import Constant, ResetInc
from nengo_dl.graph.signal_io import SignalIO
from nengo_dl.graph.simplify.constants import (
    constant_value,
    is_constant_zero,
    slice_of,
)


def value_of(sig, *operators):
    return constant_value(sig, SignalIO([Op(reads=[sig]), *operators]))


def test_signals_that_nothing_writes():
    assert np.all(value_of(signal((3,), 2)) == [2, 2, 2])
    for trainable in (True, False):
        assert value_of(signal((3,), 2, trainable=trainable)) is None


def test_signals_with_one_writer():
    x = signal((2, 2))
    assert np.all(value_of(x, Reset(x, 3)) == np.full((2, 2), 3))
    assert np.all(value_of(x, Constant(x, np.eye(2))) == np.eye(2))
    # the part of a larger value
    column = x[:, 1]
    assert np.all(value_of(column, Constant(x, np.arange(4).reshape(2, 2))) == [1, 3])


def test_signals_that_change():
    x = signal((3,))
    for writers in (
        [Op(sets=[x])],
        [Op(updates=[x])],
        [ResetInc(x, 1)],
        [Reset(x, 1), Op(incs=[x])],
        # something else writes the rest
        [Reset(x[:2], 1), Op(sets=[x[2:]])],
        [Reset(x[:2], 1)],
    ):
        assert value_of(x, *writers) is None


def test_is_constant_zero():
    for sig, expected in (
        (signal((3,)), True),
        (signal((3,), 1), False),
        (Signal(SparseMatrix([[0, 1]], [0.0], (3, 3))), True),
        (Signal(SparseMatrix([[0, 1]], [2.0], (3, 3))), False),
    ):
        assert is_constant_zero(sig, SignalIO([Op(reads=[sig])])) is expected
    x = signal((3,))
    assert not is_constant_zero(x, SignalIO([Op(sets=[x])]))


@pytest.mark.parametrize(
    "indices, rows",
    [
        (None, [0, 1, 2, 3]),
        ([1, 2], [1, 2]),
        ([-1], [3]),
        ([False, True, True, False], [1, 2]),
        ([2, 1], None),
        ([0, 2], None),
        ([1, 1], None),
        ([], None),
        ([[1]], None),
    ],
)
def test_slice_of(indices, rows):
    x = signal((4,))
    x.initial_value.setflags(write=True)
    x.initial_value[...] = range(4)
    view = slice_of(x, indices)
    assert (None if view is None else list(view.initial_value)) == rows
