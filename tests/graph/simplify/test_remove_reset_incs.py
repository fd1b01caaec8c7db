import nengo
import numpy as np
import pytest
from graph.literal_graphs import Op, signal
from nengo.builder import Signal
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    Reset,
    SparseDotInc,
)
from nengo.builder.processes import SimProcess
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.transforms import ChannelShape, SparseMatrix

from nengo_dl.graph.operators import (
    ConvSet,
    ConvTransposeSet,
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SparseDotSet,
)
from nengo_dl.graph_optimizer import remove_reset_incs

pytestmark = pytest.mark.usefixtures("builders")

A, X = signal((3, 3), 1), signal((3,), 2)


def check_replaced(inc, set_type, reset=None):
    """Check that ``inc`` becomes a ``set_type`` with the same signals."""
    (target,) = inc.incs
    (op,) = remove_reset_incs([reset or Reset(target), inc])
    assert type(op) is set_type
    assert (op.sets, op.incs) == ([target], [])
    assert (op.reads, op.updates, op.tag) == (inc.reads, inc.updates, inc.tag)
    assert inc.incs == [target] and inc.sets == []
    return op


def test_elementwise_inc():
    check_replaced(ElementwiseInc(X, X, signal((3,)), tag="tag"), ElementwiseSet)


@pytest.mark.parametrize("reshape", (False, True))
def test_dot_inc(reshape):
    inc = DotInc(A, X, signal((3,)), reshape=reshape, tag="tag")
    assert check_replaced(inc, DotSet).reshape is reshape


def test_sparse_dot_inc():
    sparse = Signal(SparseMatrix([[0, 1]], [1.0], (3, 3)))
    check_replaced(SparseDotInc(sparse, X, signal((3,)), tag="tag"), SparseDotSet)


def test_copy():
    op = check_replaced(Copy(X, signal((3,)), inc=True, tag="tag"), Copy)
    assert op.inc is False and op.dst is op.sets[0]
    inc = Copy(X, signal((2,)), src_slice=[2, 1], inc=True)
    assert check_replaced(inc, Copy).src_slice == [2, 1]


def test_convolution():
    conv = nengo.Convolution(2, (4, 4, 1))
    Y = signal((conv.output_shape.size,))
    inc = ConvInc(signal(conv.kernel_shape), signal((16,)), Y, conv, tag="tag")
    assert check_replaced(inc, ConvSet).conv is conv


def test_transposed_convolution():
    conv = nengo.ConvolutionTranspose(2, ChannelShape((4, 4, 1)))
    Y = signal((conv.output_shape.size,))
    inc = ConvTransposeInc(signal(conv.kernel_shape), signal((16,)), Y, conv, tag="tag")
    assert check_replaced(inc, ConvTransposeSet).conv is conv


@pytest.mark.parametrize("value", (2.0, np.arange(3)))
def test_reset_inc(value):
    assert check_replaced(ResetInc(signal((3,)), value, "tag"), Reset).value is value


@pytest.mark.parametrize(
    "make_op",
    (
        lambda Y: Feed(Y, object(), mode="inc"),
        lambda Y: SimProcess(nengo.processes.WhiteNoise(), X, Y, signal(), mode="inc"),
    ),
)
def test_operators_with_something_outside_are_left_alone(make_op):
    Y = signal((3,))
    ops = [Reset(Y), make_op(Y)]
    assert remove_reset_incs(ops) == ops
    kept, op = remove_reset_incs([*ops, Copy(X, Y, inc=True)])
    assert kept is ops[1] and type(op) is Copy and op.sets == [Y]


def test_reset_to_an_array_of_zeros():
    Y = signal((3,))
    reset = Reset(Y)
    reset.value = np.zeros(3)
    check_replaced(Copy(X, Y, inc=True), Copy, reset)


def test_only_the_first_increment_becomes_a_set():
    Y = signal((3,))
    first, second, part = (
        DotInc(A, X, Y),
        Copy(X, Y, inc=True),
        Copy(X[:2], Y[:2], inc=True),
    )
    op, *others = remove_reset_incs([part, Reset(Y), first, second])[::-1]
    assert op is second
    assert type(others[0]) is DotSet and others[1] is part


def test_whole_signal_as_a_view():
    Y = signal((3, 1))
    inc = DotInc(A, X, Y.reshape(3))
    check_replaced(inc, DotSet, Reset(Y))


@pytest.mark.parametrize("value", (1, np.array([0, 0, 1])))
def test_other_resets_are_left_alone(value):
    Y = signal((3,))
    reset = Reset(Y)
    reset.value = value
    ops = [reset, Copy(X, Y, inc=True)]
    assert remove_reset_incs(ops) == ops
    ops = [ResetInc(Y, 0), Copy(X, Y, inc=True)]
    assert remove_reset_incs(ops) == ops


def test_resets_without_increment_are_left_alone():
    Y = signal((3,))
    ops = [Reset(Y), Op(reads=[Y]), Op(updates=[Y])]
    assert remove_reset_incs(ops) == ops


@pytest.mark.parametrize(
    "make_inc",
    (
        lambda Y: Copy(X[:2], Y[:2], inc=True),
        lambda Y: Copy(X, Y, dst_slice=slice(0, 3, 2), src_slice=[0, 1], inc=True),
        lambda Y: Copy(X, Y, dst_slice=[0, 2], src_slice=[0, 1], inc=True),
        lambda Y: Copy(X, Y, dst_slice=[0, 0, 2], inc=True),
        lambda Y: Copy(X, Y, dst_slice=[0, 1, 1], inc=True),
    ),
)
def test_increments_of_a_part_are_left_alone(make_inc):
    Y = signal((3,))
    ops = [Reset(Y), make_inc(Y)]
    assert remove_reset_incs(ops) == ops


def test_increments_of_more_than_is_reset_are_left_alone():
    Y = signal((3,))
    ops = [Reset(Y[:2]), Copy(X, Y, inc=True)]
    assert remove_reset_incs(ops) == ops


def test_resets_of_all_parts():
    Y = signal((4,))
    parts = [Y[:2], Y[2:]]
    incs = [Copy(X[:2], part, inc=True) for part in parts]
    ops = remove_reset_incs([*(Reset(part) for part in parts), *incs])
    assert [op.sets for op in ops] == [[part] for part in parts]


def test_unknown_type_of_increment():
    Y = signal((3,))
    unknown = Op(incs=[Y])
    known = Copy(X, Y, inc=True)
    ops = [unknown, known, Reset(Y)]
    with pytest.warns(UserWarning, match="Unknown incer type `Op`"):
        same, op = remove_reset_incs(ops)
    assert same is unknown
    assert type(op) is Copy and op.sets == [Y]


def test_only_unknown_types_of_increments():
    Y = signal((3,))

    class DotIncOfMyOwn(DotInc):
        pass

    unknown = [Op(incs=[Y]), DotIncOfMyOwn(A, X, Y)]
    ops = [Reset(Y), *unknown]
    with pytest.warns(UserWarning, match="Unknown incer type"):
        assert remove_reset_incs(ops) == ops


def test_no_cycles():
    # `other` would have to wait for `inc`, which waits for it
    Y, z = signal((3,)), signal((3,))
    inc = Copy(z, Y, inc=True)
    other = Op(sets=[z], incs=[Y])
    ops = [Reset(Y), inc, other]
    assert remove_reset_incs(ops) == ops
