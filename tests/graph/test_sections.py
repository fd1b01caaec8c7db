import pytest
from graph.literal_graphs import Op, OtherOp, Stateful, signal, state
from nengo.exceptions import BuildError

from nengo_dl.graph.planners import greedy_planner
from nengo_dl.graph.section_choice import plan_sections
from nengo_dl.graph.sections import (
    Section,
    find_sections,
    resting_signals,
    strong_components,
    verify_sections,
)
from nengo_dl.graph.verify import verify_plan

pytestmark = pytest.mark.usefixtures("two_kinds")


class Resting(Stateful):
    """Has a state, its second output, that it does not touch in training."""

    @staticmethod
    def carried(op):
        return op.sets[1:]

    @staticmethod
    def resting_in_training(op):
        return op.sets[1:]


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


def test_strong_components():
    edges = [[1], [2, 3], [1], [4], [], [0]]
    assert [sorted(c) for c in strong_components(edges)] == [[5], [0], [1, 2], [3], [4]]
    assert strong_components([]) == []
    n = 5000  # deeper than Python's stack
    assert len(strong_components([[i + 1] for i in range(n)] + [[]])) == n + 1
    assert len(strong_components([[i + 1] for i in range(n)] + [[0]])) == 1
