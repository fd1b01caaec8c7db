import numpy as np
import pytest
from graph.literal_graphs import Op, run, signal
from nengo.builder import Signal
from nengo.builder.operator import Copy, DotInc, Reset

from nengo_dl.graph.joining import JoinColumns
from nengo_dl.graph_optimizer import join_columns

# Places in a matrix of three rows and three columns.
FIRST, SECOND, THIRD = ([column, column + 3, column + 6] for column in range(3))
LAST_TWO = [1, 2, 4, 5, 7, 8]


def parts(*places, y=None):
    """Return a reset, and copies of signals with random values to places."""
    rng = np.random.RandomState(0)
    y = signal((9,), 1.0) if y is None else y
    sizes = [len(np.arange(9)[place]) for place in places]
    sources = [Signal(rng.uniform(size=size)) for size in sizes]
    copies = [
        Copy(source, y, dst_slice=place, inc=True)
        for source, place in zip(sources, places)
    ]
    return [Reset(y, tag="tag"), *copies], sources, y


@pytest.mark.parametrize("order", ((0, 1), (1, 0)))
def test_two_parts(order):
    places = (FIRST, LAST_TWO)
    ops, sources, y = parts(*(places[i] for i in order))
    (op,) = joined = join_columns(ops)
    assert isinstance(op, JoinColumns)
    assert (op.n_rows, op.tag, op.sets, op.incs) == (3, "tag", [y], [])
    assert op.reads == [sources[i] for i in order]
    np.testing.assert_array_equal(run(joined)[y], run(ops)[y])


def test_many_parts():
    ops, _, y = parts(THIRD, SECOND, FIRST)
    joined = join_columns(ops)
    assert [type(op) for op in joined] == [JoinColumns]
    np.testing.assert_array_equal(run(joined)[y], run(ops)[y])


@pytest.mark.parametrize(
    "places",
    [
        (FIRST, SECOND),  # the third column stays zero
        (FIRST, LAST_TWO, FIRST),  # added twice
        (FIRST, FIRST, FIRST),
        (FIRST, [1, 2, 4, 5, 7]),
        (FIRST, [2, 1, 4, 5, 7, 8]),  # in another order
        (FIRST, [4, 5, 1, 2, 7, 8]),
        ([0, 1, 3, 6], [2, 4, 5, 7, 8]),  # no columns
        (slice(0, 3), slice(3, None)),  # not interleaved
        (slice(None),),
        (slice(0, None, 3), LAST_TWO),  # the first one is a view
        (FIRST, LAST_TWO, []),
    ],
)
def test_other_parts(places):
    ops, *_ = parts(*places)
    assert join_columns(ops) == ops


@pytest.mark.parametrize(
    "change",
    [
        lambda y: [Copy(signal((9,)), y, inc=True)],
        lambda y: [DotInc(signal((9, 9)), signal((9,)), y)],
        lambda y: [Op(updates=[y])],
        lambda y: [Op(incs=[y[:3]])],
    ],
)
def test_other_writers(change):
    ops, _, y = parts(FIRST, LAST_TWO)
    ops += change(y)
    assert join_columns(ops) == ops


def test_other_operators():
    """Other values of the reset, and copies with a part of the source, or of one."""
    ops, sources, y = parts(FIRST, LAST_TWO)
    for reset in (Reset(y, value=1), Op(sets=[y])):
        assert join_columns([reset, *ops[1:]]) == [reset, *ops[1:]]
    for source, src_slice in ((signal((9,)), LAST_TWO), (signal((1,)), None)):
        other = Copy(source, y, src_slice=src_slice, dst_slice=LAST_TWO, inc=True)
        assert join_columns([*ops[:2], other]) == [*ops[:2], other]


def test_matrices():
    y = signal((2, 2))
    ops = [Reset(y)] + [
        Copy(signal((1, 2)), y, dst_slice=[i], inc=True) for i in range(2)
    ]
    assert join_columns(ops) == ops
