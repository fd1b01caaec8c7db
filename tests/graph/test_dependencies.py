import itertools

import numpy as np
import pytest
from graph.literal_graphs import Op, random_operators, signal, signals
from nengo.exceptions import BuildError
from nengo.utils.graphs import toposort, transitive_closure
from nengo.utils.simulator import operator_dependency_graph

from nengo_dl.graph.dependencies import dependency_graph
from nengo_dl.graph_optimizer import transitive_closure_recurse

pytestmark = pytest.mark.usefixtures("builders")


def ancestors(operators):
    """Return, for each operator, the set of those it depends on."""
    graph = dependency_graph(operators)
    order, bits = transitive_closure_recurse(graph)
    assert sorted(order) == list(range(len(operators)))
    return {
        op: {operators[order[i]] for i in range(len(order)) if bits[node] >> i & 1}
        for node, op in enumerate(operators)
    }


def test_order_of_accesses():
    x = signal()
    update, read, inc, set_ = (
        Op(**{access: [x]}) for access in ("updates", "reads", "incs", "sets")
    )
    assert ancestors([update, read, inc, set_]) == {
        set_: set(),
        inc: {set_},
        read: {set_, inc},
        update: {set_, inc, read},
    }


def test_views():
    x = signal((4,))
    low, high = Op(sets=[x[:2]]), Op(sets=[x[2:]])
    inc = Op(incs=[x[1:2]])
    reads = [Op(reads=[part]) for part in (x[:1], x[1:], x[2:], x)]
    depends = ancestors([low, high, inc, *reads])
    assert depends[inc] == {low}
    assert depends[reads[0]] == {low}
    assert depends[reads[1]] == {low, high, inc}
    assert depends[reads[2]] == {high}
    assert depends[reads[3]] == {low, high, inc}


def test_operators_do_not_wait_for_themselves():
    x, y = signals(2)
    both = Op(sets=[x], reads=[x], updates=[y])
    inc, read = Op(incs=[x]), Op(reads=[x])
    update = Op(reads=[y], updates=[signal()])
    depends = ancestors([read, both, update])
    assert depends == {both: {update}, read: {both, update}, update: set()}
    # as it reads, it waits for other increments; as it sets, they wait for it
    with pytest.raises(BuildError, match="cycle"):
        ancestors([both, inc])


def test_same_signal_read_twice():
    x, y = signals(2)
    square = Op(reads=[x, x], sets=[y])
    first = Op(sets=[x])
    assert ancestors([square, first]) == {first: set(), square: {first}}


def test_same_dependencies_as_in_nengo():
    rng = np.random.RandomState(0)
    n_acyclic = 0
    for _ in range(100):
        ops = random_operators(rng, n_signals=6, n_operators=8)
        expected = operator_dependency_graph(ops)
        try:
            expected = transitive_closure(expected, toposort(expected))
        except BuildError:
            with pytest.raises(BuildError, match="cycle"):
                ancestors(ops)
            continue
        n_acyclic += 1
        depends = ancestors(ops)
        for before, after in itertools.product(ops, repeat=2):
            assert (before in depends[after]) == (after in expected[before])
    assert 20 < n_acyclic < 90


def test_size_is_linear():
    x = signal()
    n = 300
    incs = [Op(incs=[x]) for _ in range(n)]
    reads = [Op(reads=[x]) for _ in range(n)]
    graph = dependency_graph([*reads, *incs])
    assert sum(len(successors) for successors in graph.successors) < 3 * n

    base = signal((n,))
    incs = [Op(incs=[base[i : i + 1]]) for i in range(n)]
    reads = [Op(reads=[base]) for _ in range(n)]
    graph = dependency_graph([Op(sets=[base]), *reads, *incs])
    assert sum(len(successors) for successors in graph.successors) < 5 * n


@pytest.mark.parametrize("kind", ("sets", "updates"))
def test_only_one_writer(kind):
    x = signal((4,))
    ops = [Op(**{kind: [part]}, tag=tag) for part, tag in ((x[:3], "a"), (x[2:], "b"))]
    with pytest.raises(BuildError, match=rf"{kind} a piece of memory, but `Op\(a\)`"):
        dependency_graph(ops)
    dependency_graph([Op(**{kind: [x[:2]]}), Op(**{kind: [x[2:]]})])


def test_cycle_names_operators():
    x, y = signals(2)
    ops = [Op(sets=[x], reads=[y], tag="a"), Op(sets=[y], reads=[x], tag="b")]
    bystander = Op(sets=[signal()], tag="c")
    with pytest.raises(BuildError, match=r"`Op\(a\)`, `Op\(b\)`; give .* synapse"):
        dependency_graph([bystander, *ops]).topological_order()
