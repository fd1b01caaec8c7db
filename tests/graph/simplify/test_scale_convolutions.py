import nengo
import numpy as np
import pytest
from graph.literal_graphs import Op, run, signal
from nengo.builder import Signal
from nengo.builder.operator import Copy, DotInc
from nengo.builder.transforms import ConvInc

from nengo_dl.graph.operators import ConvSet, DotSet
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet
from nengo_dl.graph_optimizer import scale_convolutions

CONV = nengo.Convolution(2, (3, 1), kernel_size=(1,), strides=(1,))


@pytest.fixture
def chain():
    """Signals, and operators from a number to a convolution."""
    rng = np.random.RandomState(0)
    shapes = {"A": (3, 1), "x": 1, "a": 3, "image": 3, "W": (1, 1, 2), "y": 6}
    signals = {
        name: Signal(rng.uniform(size=shape), name=name)
        for name, shape in shapes.items()
    }
    return signals, operators(**signals)


def operators(A, x, a, image, W, y, conv=ConvSet):
    return [DotSet(A, x, a), Copy(a, image), conv(W, image, y, CONV, tag="tag")]


@pytest.mark.parametrize(
    "conv, scaled", [(ConvInc, ScaledConvInc), (ConvSet, ScaledConvSet)]
)
def test_a_number(chain, conv, scaled):
    s, _ = chain
    before = operators(**s, conv=conv)
    (op,) = after = scale_convolutions(before)
    assert isinstance(op, scaled) and op.tag == "tag"
    assert (op.reads, op.Y, op.conv) == ([s["W"], s["A"], s["x"]], s["y"], CONV)
    np.testing.assert_allclose(run(after)[s["y"]], run(before)[s["y"]], rtol=1e-14)


def test_product_without_copies(chain):
    s, _ = chain
    before = [DotSet(s["A"], s["x"], s["a"]), ConvInc(s["W"], s["a"], s["y"], CONV)]
    (op,) = scale_convolutions(before)
    assert isinstance(op, ScaledConvInc) and op.X is s["A"] and op.scale is s["x"]


def test_what_others_read_stays(chain):
    s, ops = chain
    probe = Op(reads=[s["a"]])
    after = scale_convolutions([*ops, probe])
    assert [type(op) for op in after] == [DotSet, ScaledConvSet, Op]
    # all readers are convolutions
    other = ConvInc(s["W"], s["image"], signal((6,)), CONV)
    after = scale_convolutions([*ops, other])
    assert [type(op) for op in after] == [ScaledConvSet, ScaledConvInc]


@pytest.mark.parametrize(
    "change",
    [
        # what is convolved, or what it is convolved with, is not constant
        lambda s: [Op(updates=[s["W"]])],
        lambda s: [Op(updates=[s["A"]])],
        lambda s: setattr(s["W"], "minibatched", True),
        # others add to the image
        lambda s: [Op(incs=[s["image"][1:]])],
        lambda s: [DotInc(s["A"], s["x"], s["a"])],
    ],
)
def test_other_writers(chain, change):
    s, ops = chain
    ops += change(s) or []
    assert scale_convolutions(ops) == ops


def test_other_images(chain):
    s, (product, copy, convolution) = chain
    A, x, a, image = (s[name] for name in ("A", "x", "a", "image"))
    other = Signal(np.ones((3, 3)))
    for ops in (
        [],
        [Op(sets=[image])],
        [Op(sets=[image[:2]]), product],
        [DotSet(other, signal((3,)), image)],
        [DotInc(A, x, a), copy],
        [product, Copy(a, image, inc=True)],
        [product, Copy(a, image, src_slice=[2, 1, 0])],
        [product, Copy(a, image, dst_slice=[2, 1, 0])],
        [Copy(x, image), DotSet(s["A"][:1], signal(), x)],
    ):
        ops.append(convolution)
        assert scale_convolutions(ops) == ops
