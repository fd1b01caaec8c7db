import pytest
from graph.literal_graphs import Op, signal, signals
from nengo.exceptions import BuildError

from nengo_dl.graph_optimizer import verify_plan

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
