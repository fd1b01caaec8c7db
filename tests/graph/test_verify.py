import numpy as np
import pytest
from graph.literal_graphs import Op, random_operators, signal, signals
from nengo.exceptions import BuildError
from nengo.utils.simulator import operator_dependency_graph

from nengo_dl.graph.verify import verify_order, verify_simplified
from nengo_dl.graph_optimizer import noop_order_signals, simplify, verify_plan

pytestmark = pytest.mark.usefixtures("builders")


@pytest.fixture
def chain():
    x, y, z = signals(3)
    return (
        Op(sets=[x], tag="first"),
        Op(reads=[x], sets=[y], tag="second"),
        Op(reads=[y], sets=[z], tag="third"),
    )


def test_valid_plan(chain):
    first, second, third = chain
    other = Op(sets=[signal()])
    verify_plan([*chain, other], [(first,), (second, other), (third,)])
    verify_plan([], [])


@pytest.mark.parametrize("plan", [None, 5, "plan", [None], [["group"]]])
def test_what_is_no_plan(chain, plan):
    with pytest.raises(BuildError, match="must be a list of groups.*received"):
        verify_plan(chain, plan)
    with pytest.raises(BuildError, match="correct the sorter"):
        verify_plan(chain, plan, author="sorter")


def test_operators_are_no_groups(chain):
    with pytest.raises(BuildError, match="must be a list of groups"):
        verify_plan(chain, list(chain))


@pytest.mark.parametrize("result", [None, 5, [None], "operators"])
def test_what_are_no_operators(chain, result):
    def my_pass(operators):
        return result

    with pytest.raises(BuildError, match="simplification `my_pass` must return a list"):
        simplify(chain, [my_pass])


def test_too_few_operators(chain):
    def my_pass(operators):
        return operators[:1]

    x, _, z = (op.sets[0] for op in chain)
    assert simplify(chain, [my_pass]) == [chain[0]]
    assert simplify(chain, [my_pass], [x]) == [chain[0]]
    with pytest.raises(BuildError, match="`my_pass` must return operators that do the"):
        simplify(chain, [my_pass], [x, z])
    verify_simplified(my_pass, chain, [x, z])


def test_what_is_no_order(chain):
    def my_sorter(plan):
        raise AssertionError("is not called")

    plan = [(op,) for op in chain]
    signals, _ = noop_order_signals(plan)
    verify_order(my_sorter, chain, (signals, plan))
    for result in (None, plan, (signals,), (signals, None)):
        with pytest.raises(BuildError, match="`my_sorter` must return signals and a"):
            verify_order(my_sorter, chain, result)
    with pytest.raises(BuildError, match="missing from the plan.*sorter `my_sorter`"):
        verify_order(my_sorter, chain, (signals, plan[1:]))
    with pytest.raises(BuildError, match="must return all signals, but .* is missing"):
        verify_order(my_sorter, chain, (signals[1:], plan))


def test_missing_operator(chain):
    first, second, third = chain
    with pytest.raises(BuildError, match=r"`Op\(third\)` is missing"):
        verify_plan(chain, [(first,), (second,)])


def test_repeated_operator(chain):
    first, second, third = chain
    with pytest.raises(BuildError, match=r"`Op\(first\)` is in groups 0 and 2"):
        verify_plan(chain, [(first,), (second,), (third, first)])


def test_unknown_operator(chain):
    stranger = Op(tag="stranger")
    with pytest.raises(BuildError, match=r"`Op\(stranger\)` is not to be planned"):
        verify_plan(chain, [*((op,) for op in chain), (stranger,)])


def test_wrong_order(chain):
    first, second, third = chain
    with pytest.raises(
        BuildError, match=r"`Op\(second\)` is in group 1 .*`Op\(first\)` in group 2"
    ):
        verify_plan(chain, [(), (second,), (first,), (third,)])


def test_merged_dependents(chain):
    first, second, third = chain
    with pytest.raises(BuildError, match="must run in a later group"):
        verify_plan(chain, [(first, second), (third,)])


def test_dependence_through_many_operators():
    x, y = signals(2)
    incs = [Op(incs=[x]) for _ in range(3)]
    reads = [Op(reads=[x], incs=[y]) for _ in range(3)]
    verify_plan([*reads, *incs], [incs, reads])
    with pytest.raises(BuildError, match="must run in a later group"):
        verify_plan([*reads, *incs], [incs[:2], reads, incs[2:]])


def test_same_order_as_in_nengo():
    rng = np.random.RandomState(0)
    results = []
    for _ in range(300):
        ops = random_operators(rng, n_signals=4, n_operators=3)
        numbers = rng.randint(4, size=len(ops))
        groups = {n: [op for op, m in zip(ops, numbers) if m == n] for n in numbers}
        plan = [tuple(groups[n]) for n in sorted(groups)]
        number = dict(zip(ops, numbers))
        is_valid = all(
            number[before] < number[after]
            for before, others in operator_dependency_graph(ops).items()
            for after in others
        )
        results.append(is_valid)
        if is_valid:
            verify_plan(ops, plan)
        else:
            with pytest.raises(BuildError, match="must run in a later group"):
                verify_plan(ops, plan)
    assert 50 < sum(results) < 250


@pytest.mark.parametrize("kind", ("sets", "updates"))
def test_only_one_writer(kind):
    x = signal((4,))
    ops = [Op(**{kind: [part]}) for part in (x[:3], x[2:])]
    with pytest.raises(BuildError, match=f"At most one operator {kind} a piece of"):
        verify_plan(ops, [(op,) for op in ops])
