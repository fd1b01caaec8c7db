import nengo
import numpy as np
from graph.literal_graphs import run, signal
from nengo.builder import Signal

from nengo_dl.graph.increments import facts_of
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet

CONV = nengo.Convolution(2, (3, 1), kernel_size=(1,), strides=(1,))


def test_scaled_convolutions():
    W = Signal(np.array([[[1.0, -2.0]]]))
    image, scale = Signal(np.arange(3.0)[:, None]), Signal(np.array([5.0, 7.0]))[1:]
    for cls in (ScaledConvInc, ScaledConvSet):
        y = signal((6,), 1.0)
        op = cls(W, image, scale, y, CONV, tag="tag")
        is_set = cls is ScaledConvSet
        assert (op.sets, op.incs) == (([y], []) if is_set else ([], [y]))
        assert (op.reads, op.updates, op.tag) == ([W, image, scale], [], "tag")
        assert all(str(s) in str(op) for s in (*op.reads, y))
        n_steps = 2
        product = np.multiply(7, [0, 0, 1, -2, 2, -4])
        expected = product if is_set else 1 + n_steps * product
        np.testing.assert_array_equal(run([op], n_steps)[y], expected)


def test_what_passes_know():
    op = ScaledConvInc(*(Signal(shape=n) for n in ((1, 1, 2), 3, 1, 6)), CONV)
    facts = facts_of(op)
    assert facts.is_product
    instead = facts.set_instead(op)
    assert isinstance(instead, ScaledConvSet)
    assert (instead.conv, instead.reads) == (CONV, op.reads)
