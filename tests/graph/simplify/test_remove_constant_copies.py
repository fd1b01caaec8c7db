import numpy as np
import pytest
from graph.literal_graphs import Op, signal
from nengo.builder import Signal
from nengo.builder.operator import Copy, Reset

from nengo_dl.graph.operators import Constant, Feed, ResetInc
from nengo_dl.graph_optimizer import remove_constant_copies

pytestmark = pytest.mark.usefixtures("builders")


def x():
    return Signal(np.array([1.0, 2.0, 3.0]), name="x")


def y():
    return signal((3,), name="y")


def test_copy_becomes_reset():
    X, Y = x(), y()
    (op,) = remove_constant_copies([Copy(X, Y, tag="tag")])
    assert type(op) is Reset
    assert (op.dst, op.tag) == (Y, "tag")
    np.testing.assert_equal(op.value, [1, 2, 3])


def test_increment():
    X, Y = x(), y()
    (op,) = remove_constant_copies([Copy(X, Y, inc=True, tag="tag")])
    assert type(op) is ResetInc
    assert (op.sets, op.incs, op.tag) == ([], [Y], "tag")
    np.testing.assert_equal(op.value, [1, 2, 3])


def test_broadcasting():
    (op,) = remove_constant_copies([Copy(signal(value=2), y())])
    np.testing.assert_equal(op.value, [2, 2, 2])
    (op,) = remove_constant_copies([Copy(x(), signal((3, 1)))])
    np.testing.assert_equal(op.value, [[1], [2], [3]])


@pytest.mark.parametrize("src_slice", ([2, 0], np.array([False, True, True])))
def test_source_slice(src_slice):
    X = x()
    (op,) = remove_constant_copies([Copy(X, signal((2,)), src_slice=src_slice)])
    np.testing.assert_equal(op.value, X.initial_value[src_slice])


@pytest.mark.parametrize("inc", (False, True))
@pytest.mark.parametrize(
    "dst_slice",
    ([1, 2], [-2, -1], np.array([False, True, True]), slice(1, 3), slice(1, None)),
)
def test_target_slice(dst_slice, inc):
    Y = y()
    copy = Copy(x(), Y, src_slice=[0, 1], dst_slice=dst_slice, inc=inc)
    (op,) = remove_constant_copies([copy])
    assert type(op) is (ResetInc if inc else Reset)
    assert (op.dst.base, op.dst.offset, op.dst.shape) == (Y, 8, (2,))
    np.testing.assert_equal(op.value, [1, 2])


@pytest.mark.parametrize(
    "dst_slice, inc", (([0, 2, 1], False), ([2, 1, 0], True), ([0, 0, 1], True))
)
def test_other_target_slices_are_left_alone(dst_slice, inc):
    ops = [Copy(x(), y(), dst_slice=dst_slice, inc=inc)]
    assert remove_constant_copies(ops) == ops


@pytest.mark.parametrize("mark", (True, False))
def test_parameters_may_change(mark):
    X = x()
    X.trainable = mark
    ops = [Copy(X, y())]
    assert remove_constant_copies(ops) == ops


@pytest.mark.parametrize("access", ("sets", "incs", "updates"))
@pytest.mark.parametrize("part", (slice(None), slice(1, 2)))
def test_signals_that_are_written_may_change(access, part):
    X = x()
    ops = [Op(**{access: [X[part]]}), Copy(X, y())]
    assert remove_constant_copies(ops) == ops


def test_fed_signals_may_change():
    X = x()
    ops = [Feed(X, None), Copy(X, y())]
    assert remove_constant_copies(ops) == ops


def test_readers_do_not_matter():
    X, Y = x(), y()
    readers = [Op(reads=[X]), Op(reads=[Y])]
    op, *others = remove_constant_copies([Copy(X, Y), *readers])
    assert type(op) is Reset and others == readers


@pytest.mark.parametrize("cls", (Reset, Constant))
def test_reset_sources(cls):
    X, Y = x(), y()
    (op,) = remove_constant_copies([cls(X, 4), Copy(X, Y)])
    assert type(op) is Reset and op.dst is Y
    np.testing.assert_equal(op.value, [4, 4, 4])


def test_reset_sources_that_are_read_elsewhere_are_kept():
    X, Y = x(), y()
    reset, reader = Reset(X, 4), Op(reads=[X[1:]])
    assert remove_constant_copies([reset, Copy(X, Y), reader])[::2] == [reset, reader]


def test_part_of_reset_source():
    X, Y = x(), signal((2,))
    reset = Reset(X)
    reset.value = np.array([4.0, 5.0, 6.0])
    (op,) = remove_constant_copies([reset, Copy(X[1:], Y)])
    np.testing.assert_equal(op.value, [5, 6])
    (op,) = remove_constant_copies([reset, Copy(X[::-2], Y)])
    np.testing.assert_equal(op.value, [6, 4])


def test_sources_that_are_reset_in_parts_are_left_alone():
    X = x()
    ops = [Reset(X[:1]), Reset(X[1:]), Copy(X, y())]
    assert remove_constant_copies(ops) == ops
    ops = [Reset(X[:1]), Copy(X, y())]
    assert remove_constant_copies(ops) == ops
