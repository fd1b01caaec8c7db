import numpy as np
import pytest
from graph.literal_graphs import Op, signal
from nengo.builder import Signal
from nengo.builder.operator import Copy, DotInc, ElementwiseInc, Reset

from nengo_dl.graph.operators import DotSet, ElementwiseSet, Feed
from nengo_dl.graph_optimizer import remove_identity_muls

pytestmark = pytest.mark.usefixtures("builders")


def unit_matrix(**marks):
    sig = Signal(np.eye(3))
    for mark, value in marks.items():
        setattr(sig, mark, value)
    return sig


def x():
    return signal((3,), 2.0, name="x")


def y():
    return signal((3,), 0.0, name="y")


def check_copy(op, src, dst, inc):
    assert type(op) is Copy
    assert (op.src, op.dst, op.inc, op.tag) == (src, dst, inc, "tag")
    assert op.src_slice is None and op.dst_slice is None


@pytest.mark.parametrize("set_", (False, True))
@pytest.mark.parametrize(
    "kind, factor",
    (
        ("elementwise", signal((), 1)),
        ("elementwise", signal((1,), 1)),
        ("elementwise", signal((3,), 1)),
        ("dot", signal((), 1)),
        ("dot", unit_matrix()),
    ),
)
def test_products_with_one(kind, factor, set_):
    types = {"elementwise": (ElementwiseInc, ElementwiseSet), "dot": (DotInc, DotSet)}
    X, Y = x(), y()
    (op,) = remove_identity_muls([types[kind][set_](factor, X, Y, tag="tag")])
    check_copy(op, X, Y, inc=not set_)


@pytest.mark.parametrize("cls", (ElementwiseInc, DotInc))
def test_second_factor(cls):
    A, Y = x(), y()
    (op,) = remove_identity_muls([cls(A, signal((), 1), Y, tag="tag")])
    check_copy(op, A, Y, inc=True)


def test_scalars():
    X, Y = signal(), signal()
    (op,) = remove_identity_muls([DotInc(signal((1, 1), 1), X, Y, tag="tag")])
    check_copy(op, X, Y, inc=True)


@pytest.mark.parametrize(
    "op",
    (
        DotInc(signal((3, 3), 1), x(), y()),
        DotInc(Signal(np.eye(3)[::-1]), x(), y()),
        DotInc(Signal(np.eye(4)[:3]), signal((4,)), y()),
        DotInc(Signal(2 * np.eye(3)), x(), y()),
        ElementwiseInc(signal((), 2), x(), y()),
        ElementwiseInc(Signal(np.array([1.0, 1.0, 2.0])), x(), y()),
        # the result has another shape, or another type, than either factor
        ElementwiseInc(signal((3, 1), 1), signal((1, 2)), signal((3, 2))),
        ElementwiseInc(signal((), 1), signal((1,)), y()),
        ElementwiseInc(signal((), 1), signal((3,), dtype="int64"), y()),
        Op(reads=[signal((), 1), x()], incs=[y()]),
    ),
    ids=str,
)
def test_others_are_left_alone(op):
    assert remove_identity_muls([op]) == [op]


@pytest.mark.parametrize("value", (1, np.array(1.0), np.ones(3)))
def test_reset_to_one(value):
    A, X, Y = signal((3,)), x(), y()
    reset = Reset(A)
    reset.value = value
    same, op = remove_identity_muls([reset, ElementwiseInc(A, X, Y, tag="tag")])
    assert same is reset
    check_copy(op, X, Y, inc=True)


def test_reset_to_unit_matrix():
    A, X, Y = signal((3, 3)), x(), y()
    reset = Reset(A, value=1)
    ops = [reset, DotInc(A, X, Y, tag="tag")]
    assert remove_identity_muls(ops) == ops
    reset.value = np.eye(3)
    check_copy(remove_identity_muls(ops)[1], X, Y, inc=True)


@pytest.mark.parametrize("mark", (True, False))
def test_parameters_may_change(mark):
    ops = [DotInc(unit_matrix(trainable=mark), x(), y())]
    assert remove_identity_muls(ops) == ops


@pytest.mark.parametrize("access", ("sets", "incs", "updates"))
def test_signals_that_are_written_may_change(access):
    A = unit_matrix()
    ops = [Op(**{access: [A[:1]]}), DotInc(A, x(), y())]
    assert remove_identity_muls(ops) == ops


def test_fed_signals_may_change():
    A = signal((3,), 1)
    ops = [Feed(A, None), ElementwiseInc(A, x(), y())]
    assert remove_identity_muls(ops) == ops
