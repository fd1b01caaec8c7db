import time

import numpy as np
import pytest
from graph.literal_graphs import Op, OtherOp, signal, signals
from nengo.builder.operator import Copy, SimPyFunc
from nengo.exceptions import BuildError

from nengo_dl.graph.schedule import Candidates, Schedule
from nengo_dl.graph_optimizer import (
    greedy_planner,
    noop_planner,
    transitive_closure_recurse,
    transitive_planner,
    tree_planner,
    verify_plan,
)

pytestmark = pytest.mark.usefixtures("builders")

merging_planners = pytest.mark.parametrize(
    "planner", (greedy_planner, tree_planner, transitive_planner)
)
all_planners = pytest.mark.parametrize(
    "planner", (greedy_planner, tree_planner, transitive_planner, noop_planner)
)


def sizes(plan):
    return [len(group) for group in plan]


@merging_planners
def test_mergeable_operators_form_a_group(planner):
    x, y = signals(2)
    ops = [Copy(x, signal()), Copy(y, signal())]
    assert planner(ops) == [tuple(ops)]


@merging_planners
def test_different_operators_do_not(planner):
    x, y = signal(dtype="float32"), signal(dtype="float64")
    ops = [Copy(x, signal(dtype="float32")), Copy(y, signal())]
    assert sizes(planner(ops)) == [1, 1]


@merging_planners
def test_chain_of_groups(planner):
    x, out = signal((3,)), signal((2,))
    inputs = signals(3)
    before = [Copy(s, x[i : i + 1], inc=True) for i, s in enumerate(inputs)]
    func = SimPyFunc(out, lambda x: x, None, x)
    after = [Copy(out[i : i + 1], s, inc=True) for i, s in enumerate(signals(2))]
    plan = planner([*after, func, *before])
    assert plan == [tuple(before), (func,), tuple(after)]


@all_planners
def test_cycle(planner):
    x, y = signals(2)
    ops = [Copy(x, y), Copy(y, x), Copy(signal(), signal())]
    with pytest.raises(BuildError, match="cycle"):
        planner(ops)


@all_planners
def test_unregistered_type(planner, builders):
    del builders[Op]
    if planner is noop_planner:
        assert len(planner([Op()])) == 1
    else:
        with pytest.raises(BuildError, match="No registered builder"):
            planner([Op()])


@all_planners
def test_no_operators(planner):
    assert planner([]) == []


@all_planners
def test_operators_that_depend_on_each_other_do_not_merge(planner):
    x, y, z = signals(3)
    ops = [Copy(y, z), Copy(x, y)]
    assert planner(ops) == [(ops[1],), (ops[0],)]


@all_planners
def test_increments_of_one_target_merge(planner):
    x, y, z = signals(3)
    ops = [Copy(x, z, inc=True), Copy(y, z, inc=True)]
    assert sizes(planner(ops)) == ([1, 1] if planner is noop_planner else [2])


@all_planners
def test_the_input_is_left_alone(planner):
    ops = [Op(sets=[x]) for x in signals(3)][::-1]
    given = list(ops)
    planner(ops)
    assert ops == given


def test_greedy_takes_the_largest_group_first():
    ops = [
        Op(reads=[signal(shape)]) for shape in [(1,)] + 3 * [(1, 1)] + 2 * [(1, 1, 1)]
    ]
    assert sizes(greedy_planner(ops)) == [3, 2, 1]


def test_noop_keeps_the_order_if_possible():
    x, y = signals(2)
    ops = [Op(sets=[x]), Op(sets=[y]), Op(reads=[x, y])]
    assert noop_planner(ops) == [(op,) for op in ops]
    assert noop_planner(ops[::-1]) == [(ops[1],), (ops[0],), (ops[2],)]


def worth_waiting():
    """Three `Op`s are ready, three more wait for a single `OtherOp`."""
    x = signal()
    other = OtherOp(sets=[x])
    ready = [Op(reads=[signal()]) for _ in range(3)]
    later = [Op(reads=[x]) for _ in range(3)]
    return [*ready, *later, other]


def test_tree_waits_for_larger_groups():
    ops = worth_waiting()
    assert sizes(greedy_planner(ops)) == [3, 1, 3]
    assert sizes(tree_planner(ops)) == [1, 6]
    assert sizes(transitive_planner(ops)) == [1, 6]


def test_tree_of_depth_one_is_greedy():
    ops = worth_waiting()
    assert tree_planner(ops, max_depth=1) == greedy_planner(ops)


def test_tree_does_not_wait_for_operators_that_come_later_anyway():
    # Op -> Op -> OtherOp: the second Op cannot join the first one
    x, y, z = signals(3)
    first, second = Op(sets=[x]), Op(reads=[x], sets=[y])
    others = [OtherOp(reads=[y], sets=[signal()]), OtherOp(reads=[z], sets=[signal()])]
    plan = tree_planner([first, second, *others])
    assert plan == [(first,), (second,), tuple(others)]


def test_tree_splits_the_group_that_holds_up_most():
    # one class has to be split: that of `a` and `b`, which three others wait for, or
    # that of `others`, which only `b` waits for
    x, y = signals(2)
    a = Op(sets=[x])
    waiting = [OtherOp(reads=[x], sets=[signal()]) for _ in range(3)]
    ready = OtherOp(reads=[signal()], sets=[y])
    b = Op(sets=[signal()])
    b.reads = [y]
    a.reads = [signal()]
    plan = tree_planner([b, a, ready, *waiting])
    assert plan == [(a,), (ready, *waiting), (b,)]


def test_tree_calls_functions_without_output_last():
    x, y = signals(2)
    before, after = Copy(x, y), Copy(y, signal())
    calls = [SimPyFunc(None, np.sin, None, source) for source in (x, y)]
    # this one has to be called before its input is updated
    updated = signal()
    first, update = SimPyFunc(None, np.sin, x, updated), Op(updates=[updated])
    ops = [*calls, first, before, after, update]
    plan = tree_planner(ops)
    verify_plan(ops, plan)
    assert plan[-1] == tuple(calls)
    assert plan.index((first,)) < plan.index((update,))


def test_transitive_merges_types_in_order_of_priority(builders):
    # either the Ops or the OtherOps can be merged, but not both
    def ops():
        x, y = signals(2)
        return [
            Op(sets=[x], reads=[signal()]),
            Op(sets=[signal()], reads=[y]),
            OtherOp(reads=[x], sets=[signal()]),
            OtherOp(reads=[signal()], sets=[y]),
        ]

    def merged_type():
        (largest,) = (g for g in transitive_planner(ops()) if len(g) == 2)
        return type(largest[0])

    assert merged_type() is Op
    builders[Op].planner_priority, before = 3, builders[Op].planner_priority
    try:
        assert merged_type() is OtherOp
    finally:
        builders[Op].planner_priority = before


def random_operators(rng, n_signals, n_operators):
    """Return operators of a few classes that depend on each other at random."""
    xs = [signal((1,) * rng.randint(1, 4)) for _ in range(n_signals)]
    ops = [Op(sets=[x]) for x in xs]
    for _ in range(n_operators):
        i, j = sorted(rng.choice(n_signals, 2, replace=False))
        ops.append(rng.choice([Op, OtherOp])(reads=[xs[i]], incs=[xs[j]]))
    return [ops[i] for i in rng.permutation(len(ops))]


@all_planners
@pytest.mark.parametrize("seed", range(5))
def test_plans_of_random_operators_are_valid(planner, seed):
    ops = random_operators(np.random.RandomState(seed), 20, 40)
    verify_plan(ops, planner(ops))


@pytest.mark.parametrize("seed", range(5))
def test_candidates(seed):
    """What is counted class by class is what the sets of all ancestors say."""
    ops = random_operators(np.random.RandomState(seed), 20, 40)
    schedule = Schedule(ops)
    candidates = Candidates(schedule)
    order, ancestors = transitive_closure_recurse(schedule.graph)
    left, n_classes = set(order), len(schedule.ready)

    def depends(node, others):
        return any(
            order[i] in others for i in range(len(ops)) if ancestors[node] >> i & 1
        )

    while schedule.available:
        members = [
            {n for n in left if schedule.class_of[n] == c} for c in range(n_classes)
        ]
        free = [{n for n in nodes if not depends(n, nodes)} for nodes in members]
        ready = [set(nodes) for nodes in schedule.ready]
        gains = {}
        for c in schedule.available:
            assert candidates.is_complete(c) == (free[c] == ready[c])
            others = (free[o] - ready[o] for o in schedule.available if o != c)
            held_up = sum(depends(n, ready[c]) for nodes in others for n in nodes)
            gains[c] = (held_up - len(free[c] - ready[c]), -c)
        number = candidates.best_to_split()
        assert number == max(gains, key=gains.get)
        nodes, _ = schedule.take(number)
        candidates.take(number, nodes)
        left -= set(nodes)
    assert not left


@pytest.mark.parametrize("seed", range(5))
def test_looking_ahead_pays_off(seed):
    ops = random_operators(np.random.RandomState(seed), 100, 200)
    n_groups = {
        planner: len(planner(ops)) for planner in (greedy_planner, tree_planner)
    }
    assert n_groups[tree_planner] < 0.9 * n_groups[greedy_planner]


@all_planners
def test_large_plans(planner):
    ops = random_operators(np.random.RandomState(0), 4000, 6000)
    start = time.process_time()
    plan = planner(ops)
    # takes 0.5 to 2 seconds
    assert time.process_time() - start < 60
    verify_plan(ops, plan)


@all_planners
def test_large_plans_without_merging(planner, builders):
    from graph.literal_graphs import LonelyBuilder

    builders[Op] = LonelyBuilder
    x = signals(2001)
    ops = [Op(reads=[x[i]], sets=[x[i + 1]]) for i in range(2000)]
    start = time.process_time()
    assert planner(ops) == [(op,) for op in ops]
    assert time.process_time() - start < 30
