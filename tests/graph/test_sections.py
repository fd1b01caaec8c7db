import nengo
import numpy as np
import pytest
from graph.literal_graphs import MergingBuilder, Op, OtherOp, signal
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc
from nengo.exceptions import BuildError

from nengo_dl.builder import Work
from nengo_dl.config import Settings
from nengo_dl.graph.planners import greedy_planner
from nengo_dl.graph.sections import (
    Section,
    choose_sections,
    find_sections,
    is_heavy,
    loops_are_light,
    n_products,
    plan_sections,
    resting_signals,
    steps_at_once,
    strong_components,
    verify_sections,
)
from nengo_dl.graph.verify import verify_plan


class Timeless(MergingBuilder):
    """Overwrites what it sets, in the same way in every step."""

    @staticmethod
    def carried(op):
        return []

    @staticmethod
    def timeless(op):
        return True


class Stateful(MergingBuilder):
    @staticmethod
    def carried(op):
        return []


class Resting(Stateful):
    """Has a state, its second output, that it does not touch in training."""

    @staticmethod
    def carried(op):
        return op.sets[1:]

    @staticmethod
    def resting_in_training(op):
        return op.sets[1:]


@pytest.fixture(autouse=True)
def two_kinds(builders):
    """`Op` is timeless, `OtherOp` is not."""
    builders.update({Op: Timeless, OtherOp: Stateful, Reset: Timeless})
    builders[DotInc] = Timeless


def state(shape=(1,)):
    return signal(shape, minibatched=True)


def alone(ops):
    return [(op,) for op in ops]


def kinds(sections):
    return [(s.is_batch, {op.tag for op in s.operators}) for s in sections]


@pytest.fixture
def layers():
    """Product, neurons, product, filter, product."""
    a, b, c, d, e, w = *(state() for _ in range(5)), signal()
    return [
        Op(sets=[a], tag="input"),
        Op(sets=[b], reads=[a, w], tag="product"),
        OtherOp(sets=[c], reads=[b], tag="neurons"),
        Op(sets=[d], reads=[c, w], tag="decode"),
        OtherOp(updates=[e], reads=[d], tag="filter"),
        Op(reads=[e], sets=[state()], tag="output"),
    ]


def test_batches_and_loops_in_turn(layers):
    sections = find_sections(alone(layers))
    assert kinds(sections) == [
        (True, {"input", "product"}),
        (False, {"neurons"}),
        (True, {"decode"}),
        (False, {"filter"}),
        (True, {"output"}),
    ]
    plan = plan_sections(sections, greedy_planner)
    verify_plan(layers, plan)
    verify_sections(sections, plan)
    # step by step, what is updated is read before
    order = [op.tag for group in plan for op in group]
    assert order.index("output") < order.index("filter")


def test_light_operators_stay_in_loops(layers):
    heavy = [op for op in layers if op.tag == "decode"]
    assert kinds(find_sections(alone(layers), heavy)) == [
        (False, {"input", "product", "neurons"}),
        (True, {"decode"}),
        (False, {"filter", "output"}),
    ]
    everything = {op.tag for op in layers}
    assert kinds(find_sections(alone(layers), [])) == [(False, everything)]


def test_groups_stay_together(layers):
    """A cycle through groups is a loop, although there is none through operators."""
    ops = {op.tag: op for op in layers}
    product = (ops["product"], ops["decode"])
    groups = [product, *((op,) for op in layers if op not in product)]
    assert kinds(find_sections(groups)) == [
        (True, {"input"}),
        (False, {"product", "neurons", "decode", "filter"}),
        (True, {"output"}),
    ]
    alike = Op(sets=[state()], tag="a"), Op(sets=[state()], tag="b")
    assert kinds(find_sections([alike])) == [(True, {"a", "b"})]


def test_state_at_rest(builders):
    builders[OtherOp] = Resting
    x, y, (v, w) = state(), state(), (state(), state())
    ops = [
        OtherOp(sets=[x, v], tag="rates"),
        OtherOp(sets=[y, w], reads=[x], tag="read by others"),
    ]
    reader = Op(reads=[w], sets=[state()], tag="reader")
    assert resting_signals(ops, []) == {v, w}
    assert resting_signals([*ops, reader], []) == {v}
    assert resting_signals(ops, [w[:1]]) == {v}
    groups = alone([*ops, reader])
    assert [kind for kind, _ in kinds(find_sections(groups))] == [False]
    sections = find_sections(groups, None, {v})
    assert kinds(sections) == [(True, {"rates"}), (False, {"read by others", "reader"})]
    verify_sections(sections, groups, {v})
    with pytest.raises(BuildError, match="has to run step by step"):
        verify_sections(sections, groups)


def test_light_loops():
    batch = Section(True, (Op(sets=[state((10,))]),))
    for size, light in ((10, True), (11, False)):
        loop = Section(False, (OtherOp(updates=[state((size,))], sets=[signal()]),))
        assert loops_are_light([batch, loop]) == light


def test_recurrence_is_a_loop():
    a, b, w = state(), state(), signal()
    ops = [
        Op(sets=[a], tag="input"),
        Op(incs=[a], reads=[b, w], tag="recurrent"),
        OtherOp(updates=[b], reads=[a], tag="filter"),
        Op(sets=[state()], reads=[b], tag="output"),
    ]
    assert kinds(find_sections(alone(ops))) == [
        (True, {"input"}),
        (False, {"recurrent", "filter"}),
        (True, {"output"}),
    ]


def test_increments_wait_for_what_is_set_and_are_waited_for():
    a, b = state(), state()
    ops = [
        Op(sets=[a], tag="set"),
        OtherOp(sets=[b], tag="neurons"),
        Op(incs=[a], reads=[b], tag="inc"),
        OtherOp(reads=[a], tag="read"),
    ]
    assert kinds(find_sections(alone(ops))) == [
        (False, {"neurons"}),
        (True, {"set", "inc"}),
        (False, {"read"}),
    ]


@pytest.mark.parametrize(
    "make",
    [
        # changed for the next step without being set in each
        lambda x, y: [Op(incs=[x], reads=[y], tag="write"), Op(reads=[x], tag="read")],
        # set in part
        lambda x, y: [
            Op(sets=[x[:1]], reads=[y], tag="write"),
            Op(reads=[x], tag="read"),
        ],
        # set and updated
        lambda x, y: [
            Op(sets=[x], reads=[y], tag="write"),
            Op(updates=[x], tag="write"),
            Op(reads=[x], tag="read"),
        ],
    ],
)
def test_whoever_shares_what_is_carried_is_in_one_loop(make):
    ops = make(state((2,)), state())
    assert kinds(find_sections(alone(ops))) == [(False, {"write", "read"})]


def test_matrices_of_learning_rules_are_not_kept_over_time():
    learned = state((3, 3))
    ops = [Op(sets=[learned], tag="rule"), Op(reads=[learned], tag="product")]
    assert kinds(find_sections(alone(ops))) == [(False, {"rule", "product"})]


def test_what_has_no_minibatch_axis_differs_between_steps():
    time, w = signal(), signal()
    ops = [
        OtherOp(sets=[time], tag="time"),
        Op(reads=[time], sets=[state()], tag="of time"),
        Op(reads=[w], sets=[state()], tag="of weights"),
    ]
    assert (False, {"time", "of time"}) in kinds(find_sections(alone(ops)))


def test_wrong_sections(layers):
    ops = {op.tag: op for op in layers}
    sections = find_sections(alone(layers))
    plan = plan_sections(sections, greedy_planner)
    with pytest.raises(BuildError, match="is in several"):
        verify_sections(sections, [(ops["input"], ops["decode"])])
    with pytest.raises(BuildError, match=r"`Op\(product\)` in section 1 needs what"):
        wrong = [(), (ops["product"],), (ops["input"],)]
        verify_sections([Section(True, section) for section in wrong], [])
    with pytest.raises(BuildError, match="has to run step by step"):
        verify_sections([Section(True, tuple(layers))], plan)


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


def test_strong_components():
    edges = [[1], [2, 3], [1], [4], [], [0]]
    assert [sorted(c) for c in strong_components(edges)] == [[5], [0], [1, 2], [3], [4]]
    assert strong_components([]) == []
    n = 5000  # deeper than Python's stack
    assert len(strong_components([[i + 1] for i in range(n)] + [[]])) == n + 1
    assert len(strong_components([[i + 1] for i in range(n)] + [[0]])) == 1
