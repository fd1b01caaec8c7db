import pytest
from graph.literal_graphs import MergingBuilder, Op, OtherOp, signal
from nengo.builder.operator import DotInc, Reset
from nengo.exceptions import BuildError

from nengo_dl.config import Settings
from nengo_dl.graph.planners import greedy_planner
from nengo_dl.graph.sections import (
    Section,
    choose_sections,
    find_sections,
    is_heavy,
    n_products,
    plan_sections,
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


@pytest.fixture(autouse=True)
def two_kinds(builders):
    """`Op` is timeless, `OtherOp` is not."""
    builders.update({Op: Timeless, OtherOp: Stateful, Reset: Timeless})
    builders[DotInc] = Timeless


def state(shape=(1,)):
    return signal(shape, minibatched=True)


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
    sections = find_sections(layers)
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
    assert kinds(find_sections(layers, heavy)) == [
        (False, {"input", "product", "neurons"}),
        (True, {"decode"}),
        (False, {"filter", "output"}),
    ]
    assert kinds(find_sections(layers, [])) == [(False, {op.tag for op in layers})]


def test_recurrence_is_a_loop():
    a, b, w = state(), state(), signal()
    ops = [
        Op(sets=[a], tag="input"),
        Op(incs=[a], reads=[b, w], tag="recurrent"),
        OtherOp(updates=[b], reads=[a], tag="filter"),
        Op(sets=[state()], reads=[b], tag="output"),
    ]
    assert kinds(find_sections(ops)) == [
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
    assert kinds(find_sections(ops)) == [
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
    assert kinds(find_sections(ops)) == [(False, {"write", "read"})]


def test_matrices_of_learning_rules_are_not_kept_over_time():
    learned = state((3, 3))
    ops = [Op(sets=[learned], tag="rule"), Op(reads=[learned], tag="product")]
    assert kinds(find_sections(ops)) == [(False, {"rule", "product"})]


def test_what_has_no_minibatch_axis_differs_between_steps():
    time, w = signal(), signal()
    ops = [
        OtherOp(sets=[time], tag="time"),
        Op(reads=[time], sets=[state()], tag="of time"),
        Op(reads=[w], sets=[state()], tag="of weights"),
    ]
    assert (False, {"time", "of time"}) in kinds(find_sections(ops))


def test_wrong_sections(layers):
    ops = {op.tag: op for op in layers}
    sections = find_sections(layers)
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


def test_steps_at_once():
    ops = [Op(sets=[state((1000,))]), OtherOp(sets=[state((10**6,))])]
    sections = [Section(True, (ops[0],)), Section(False, (ops[1],))]
    sizes = (1, 1000, 2000, 2100, 30000, 10**9)
    steps = [steps_at_once(sections, Settings(minibatch_size=n)) for n in sizes]
    # 256 MB of 8 bytes each
    assert steps == [64, 32, 16, 8, 1, 1]


def test_strong_components():
    edges = [[1], [2, 3], [1], [4], [], [0]]
    assert [sorted(c) for c in strong_components(edges)] == [[5], [0], [1, 2], [3], [4]]
    assert strong_components([]) == []
    n = 5000  # deeper than Python's stack
    assert len(strong_components([[i + 1] for i in range(n)] + [[]])) == n + 1
    assert len(strong_components([[i + 1] for i in range(n)] + [[0]])) == 1
