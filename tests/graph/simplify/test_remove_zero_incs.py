import nengo
import numpy as np
import pytest
from graph.literal_graphs import Op, signal
from nengo.builder import Signal
from nengo.builder.operator import Copy, DotInc, ElementwiseInc, Reset, SparseDotInc
from nengo.builder.transforms import ConvInc
from nengo.transforms import SparseMatrix

from nengo_dl.graph.operators import DotSet, ElementwiseSet, Feed, ResetInc
from nengo_dl.graph_optimizer import remove_zero_incs

pytestmark = pytest.mark.usefixtures("builders")


def matrix(value=1.0, **marks):
    return signal((3, 3), value, **marks)


def vector(value=1.0, **marks):
    return signal((3,), value, **marks)


@pytest.mark.parametrize(
    "op",
    (
        DotInc(matrix(0), vector(), vector()),
        DotInc(matrix(), vector(0), vector()),
        DotInc(matrix(), matrix(0)[:, 0], vector()),
        ElementwiseInc(vector(0), vector(), vector()),
        ElementwiseInc(vector(), vector(0), vector()),
        SparseDotInc(Signal(SparseMatrix([[0, 1]], [0.0], (3, 3))), vector(), vector()),
        Copy(vector(0), vector(), inc=True),
        Copy(vector(0), vector(), dst_slice=[0, 0, 2], inc=True),
        ResetInc(vector(), 0),
    ),
    ids=lambda op: type(op).__name__,
)
def test_increments_by_zero_vanish(op):
    assert remove_zero_incs([op]) == []


def test_convolution_with_zero_vanishes():
    conv = nengo.Convolution(2, (4, 4, 1))
    W, X = signal(conv.kernel_shape), signal((16,), 1)
    Y = signal((conv.output_shape.size,))
    assert remove_zero_incs([ConvInc(W, X, Y, conv)]) == []


@pytest.mark.parametrize(
    "op",
    (
        DotInc(matrix(), vector(), vector(0)),
        Copy(vector(), vector(0), inc=True),
        ResetInc(vector(), 1),
        SparseDotInc(Signal(SparseMatrix([[0, 1]], [1.0], (3, 3))), vector(), vector()),
        Op(reads=[vector(0)], incs=[vector()]),
    ),
    ids=lambda op: type(op).__name__,
)
def test_others_are_left_alone(op):
    assert remove_zero_incs([op]) == [op]


def test_part_of_source():
    x = signal((3,))
    one, zero = Op(incs=[x[:1]]), Copy(x, signal(), src_slice=[1], inc=True)
    # which part is written is not looked into
    assert remove_zero_incs([one, zero]) == [one, zero]
    x = Signal(np.array([0.0, 1.0, 0.0]))
    kept = Copy(x, signal((2,)), src_slice=[0, 1], inc=True)
    removed = Copy(x, signal((2,)), src_slice=[2, 0], inc=True)
    assert remove_zero_incs([kept, removed]) == [kept]


@pytest.mark.parametrize("mark", (True, False))
def test_parameters_may_change(mark):
    ops = [DotInc(matrix(0, trainable=mark), vector(), vector())]
    assert remove_zero_incs(ops) == ops
    assert remove_zero_incs([DotInc(matrix(trainable=mark), vector(0), vector())]) == []


@pytest.mark.parametrize("access", ("sets", "incs", "updates"))
def test_signals_that_are_written_may_change(access):
    x = vector(0)
    for part in (x, x[1:2]):
        ops = [Op(**{access: [part]}), DotInc(matrix(), x, vector())]
        assert remove_zero_incs(ops) == ops
    ops = [Op(**{access: [x[:1]]}), Copy(x[1:], signal((2,)), inc=True)]
    assert remove_zero_incs(ops) == ops[:1]


def test_fed_signals_may_change():
    x = vector(0)
    ops = [Feed(x, None), Copy(x, vector(), inc=True)]
    assert remove_zero_incs(ops) == ops


def test_resets():
    x, y = vector(1), vector(0)
    reset = Reset(x)
    assert remove_zero_incs([reset, DotInc(matrix(), x, vector())]) == [reset]
    assert remove_zero_incs([reset, DotInc(matrix(), x[:], vector())]) == [reset]
    ops = [Reset(y, value=1), DotInc(matrix(), y, vector())]
    assert remove_zero_incs(ops) == ops
    ops = [Reset(x), ResetInc(x, 1), DotInc(matrix(), x, vector())]
    assert remove_zero_incs(ops) == ops


def test_part_of_reset_signal():
    x = signal((5,))
    reset = Reset(x)
    reset.value = np.array([1.0, 0, 0, 0, 1])
    inc = Copy(x[1:4], vector(), inc=True)
    kept = Copy(x[2:], vector(), inc=True)
    assert remove_zero_incs([reset, inc, kept]) == [reset, kept]


@pytest.mark.parametrize(
    "make_op",
    (
        lambda y: Copy(vector(0), y, tag="tag"),
        lambda y: DotSet(matrix(0), vector(), y, tag="tag"),
        lambda y: ElementwiseSet(vector(), vector(0), y, tag="tag"),
    ),
)
def test_setting_zero_becomes_a_reset(make_op):
    y = vector()
    (op,) = remove_zero_incs([make_op(y)])
    assert type(op) is Reset
    assert (op.dst, op.value, op.tag) == (y, 0, "tag")


def test_setting_parts_to_zero():
    y = vector()
    (op,) = remove_zero_incs([Copy(signal((2,)), y, dst_slice=[1, 2])])
    assert type(op) is Reset
    assert (op.dst.base, op.dst.offset, op.dst.shape) == (y, 8, (2,))
    ops = [Copy(signal((2,)), y, dst_slice=[2, 0])]
    assert remove_zero_incs(ops) == ops
