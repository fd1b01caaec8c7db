import nengo
import numpy as np
import pytest
from nengo.builder import Signal
from nengo.builder.operator import DotInc, ElementwiseInc, Reset, SparseDotInc
from nengo.builder.signal import SignalDict
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.exceptions import BuildError, ValidationError
from nengo.transforms import ChannelShape

from nengo_dl.graph.operators import (
    Constant,
    ConvSet,
    ConvTransposeSet,
    DotSet,
    ElementwiseSet,
    Feed,
    ResetInc,
    SparseDotSet,
    is_increment,
    is_zero,
    reset_to,
)

rng = np.random.RandomState(0)


def step(op, n_steps=2):
    """Run an operator, and return the values of all signals."""
    values = SignalDict()
    op.init_signals(values)
    run = op.make_step(values, 0.001, rng)
    for _ in range(n_steps):
        run()
    return values


def random_signal(*shape):
    return Signal(rng.uniform(size=shape))


def dense():
    return random_signal(2, 3), random_signal(3), random_signal(2)


def elementwise():
    return random_signal(), random_signal(3), random_signal(3)


def sparse():
    matrix = pytest.importorskip("scipy.sparse").random(2, 3, 0.5, random_state=0)
    return Signal(matrix.tocsr()), random_signal(3), random_signal(2)


def convolution():
    conv = nengo.Convolution(2, (4, 4, 1))
    kernel = random_signal(*conv.kernel_shape)
    return kernel, random_signal(16), random_signal(conv.output_shape.size), conv


def transposed_convolution():
    conv = nengo.ConvolutionTranspose(2, ChannelShape((4, 4, 1)))
    kernel = random_signal(*conv.kernel_shape)
    return kernel, random_signal(16), random_signal(conv.output_shape.size), conv


@pytest.mark.parametrize(
    "set_type, inc_type, make_args",
    (
        (ElementwiseSet, ElementwiseInc, elementwise),
        (DotSet, DotInc, dense),
        (SparseDotSet, SparseDotInc, sparse),
        (ConvSet, ConvInc, convolution),
        (ConvTransposeSet, ConvTransposeInc, transposed_convolution),
    ),
)
def test_setting_counterparts(set_type, inc_type, make_args):
    args = make_args()
    Y = args[2]
    op = set_type(*args, tag="tag")
    parent = inc_type(*args)
    assert (op.sets, op.incs, op.reads, op.updates) == ([Y], [], parent.reads, [])
    assert op.Y is Y and op.X is args[1]
    assert op.tag == "tag" and str(Y) in str(op)

    increment = step(parent, n_steps=1)[Y] - Y.initial_value
    assert np.any(increment != 0)
    np.testing.assert_allclose(step(op)[Y], increment)


def test_errors_of_parents():
    A, X, Y = dense()
    with pytest.raises(BuildError, match="must be a sparse Signal"):
        SparseDotSet(A, X, Y)
    with pytest.raises(BuildError, match="shape mismatch"):
        DotSet(A, Y, X)


@pytest.mark.parametrize("value", (2.0, np.arange(3.0)))
def test_reset_inc(value):
    x = random_signal(3)
    op = ResetInc(x, value, tag="tag")
    assert (op.sets, op.incs, op.reads, op.updates) == ([], [x], [], [])
    assert op.dst is x and op.tag == "tag" and str(x) in str(op)
    np.testing.assert_allclose(step(op)[x], x.initial_value + 2 * np.asarray(value))


@pytest.mark.parametrize("value", (2.0, np.arange(3.0)))
def test_reset_to(value):
    x = random_signal(3)
    op = reset_to(x, value, tag="tag")
    assert type(op) is Reset and op.sets == [x] and op.tag == "tag"
    np.testing.assert_allclose(step(op)[x], np.broadcast_to(value, 3))


@pytest.mark.parametrize("value", (2.0, np.arange(2.0)))
def test_constant(value):
    x = random_signal(3)
    op = Constant(x[1:], value, tag="tag")
    (dst,) = op.sets
    assert op.dst is dst and dst.base is x and op.tag == "tag" and str(dst) in str(op)
    assert op.incs == op.reads == op.updates == []
    values = step(op, n_steps=0)
    np.testing.assert_allclose(values[x][1:], np.broadcast_to(value, 2))
    assert values[x][0] == x.initial_value[0]


@pytest.mark.parametrize("mode", ("set", "inc"))
def test_feed(mode):
    x = random_signal(3)
    source = object()
    op = Feed(x, source, mode=mode, tag="tag")
    assert op.sets == ([x] if mode == "set" else [])
    assert op.incs == ([x] if mode == "inc" else [])
    assert op.reads == op.updates == []
    assert op.signal is x and op.source is source and op.mode == mode
    assert op.tag == "tag" and str(x) in str(op)
    np.testing.assert_equal(step(op)[x], x.initial_value)


def test_mode_of_feed():
    assert Feed(random_signal(1), None).mode == "set"
    with pytest.raises(ValidationError, match="not 'update'"):
        Feed(random_signal(1), None, mode="update")


def test_is_increment():
    A, X, Y = dense()
    assert is_increment(DotInc(A, X, Y), Y)
    assert not is_increment(DotSet(A, X, Y), Y)
    assert not is_increment(DotInc(A, X, Y), X)


def test_is_zero():
    assert is_zero(0) and is_zero(np.zeros(3)) and is_zero(np.zeros(()))
    assert not is_zero(1) and not is_zero(np.array([0, 1]))
