"""When sections pay."""

import nengo
import numpy as np
import pytest
from graph.literal_graphs import Op, OtherOp, Timeless, signal, state
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc

from nengo_dl.builder import Work
from nengo_dl.config import Settings
from nengo_dl.graph.planners import greedy_planner
from nengo_dl.graph.section_choice import (
    choose_sections,
    is_heavy,
    loops_are_light,
    n_products,
    steps_at_once,
)
from nengo_dl.graph.sections import Section
from nengo_dl.graph.verify import verify_plan

pytestmark = pytest.mark.usefixtures("two_kinds")


def test_choice():
    wide = signal((300, 300))
    x, y, z = state((300,)), state((300,)), state((300,))
    ops = [
        Reset(x, 1, tag="input"),
        Reset(y, tag="reset"),
        DotInc(wide, x, y, tag="product"),
        OtherOp(sets=[z], reads=[y], tag="neurons"),
    ]
    assert n_products(ops[2]) == 90000
    assert n_products(ops[0]) == 0

    def chosen(layerwise="auto", minibatch_size=1, **settings):
        settings = Settings(
            layerwise=layerwise, minibatch_size=minibatch_size, **settings
        )
        plan, sections = choose_sections(ops, greedy_planner, settings)
        verify_plan(ops, plan)
        return len(sections)

    assert chosen() == 2
    assert chosen(True) == 2
    assert chosen(False) == 0
    assert chosen(True, use_loop=False) == 0
    # in a large minibatch, the weights are used often as it is
    assert is_heavy(ops[2], 1) and not is_heavy(ops[2], 16)
    assert chosen(minibatch_size=16) == 0
    assert chosen(True, minibatch_size=16) == 2


def test_outer_products_are_not_heavy():
    """Convolutions with one product for each number, such as biases of channels."""
    for kernel_size, heavy in ((1, False), (2, True)):
        conv = nengo.Convolution(64, (500, 1), kernel_size=(kernel_size,), strides=(1,))
        signals = (
            Signal(np.zeros(shape))
            for shape in (conv.kernel_shape, conv.size_in, conv.size_out)
        )
        assert is_heavy(ConvInc(*signals, conv), 1) == heavy


def test_steps_at_once():
    ops = [Op(sets=[state((1000,))]), OtherOp(sets=[state((10**6,))])]
    sections = [Section(True, (ops[0],)), Section(False, (ops[1],))]
    sizes = (1, 1000, 2000, 2100, 30000, 10**9)
    steps = [steps_at_once(sections, Settings(minibatch_size=n)) for n in sizes]
    # 256 MB of 8 bytes each
    assert steps == [64, 32, 16, 8, 1, 1]


@pytest.mark.parametrize(
    "work, is_large, n_steps",
    [
        (Work(), False, 64),
        (Work(n_products=2**14), True, 64),
        (Work(n_products=2**14 - 1), False, 64),
        # of a large minibatch, in convolutions only
        (Work(n_products=2**18), True, 64),
        (Work(n_products=2**14, n_convolved=1), True, 64),
        # results that take too much memory
        (Work(n_values=2**20 - 200), False, 32),
    ],
)
def test_hidden_work(builders, work, is_large, n_steps):
    class Hiding(Timeless):
        @staticmethod
        def hidden_work(op):
            return work

    builders[OtherOp] = Hiding
    op = OtherOp(sets=[state((100,))], reads=[state((100,))])
    assert n_products(op) == work.n_products
    assert is_heavy(op, 1) == is_large
    assert is_heavy(op, 100) == (work.n_convolved > 0)
    assert steps_at_once([Section(True, (op,))], Settings()) == n_steps


def test_light_loops():
    batch = Section(True, (Op(sets=[state((10,))]),))
    for size, light in ((10, True), (11, False)):
        loop = Section(False, (OtherOp(updates=[state((size,))], sets=[signal()]),))
        assert loops_are_light([batch, loop]) == light
