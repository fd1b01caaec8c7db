import numpy as np
import pytest
from graph.literal_graphs import Op, signal, signals
from nengo.builder import Signal

from nengo_dl.graph.signal_io import (
    OperatorList,
    SignalIO,
    covers,
    extent,
    overlapping_pairs,
)
from nengo_dl.graph_optimizer import signal_io_dicts

pytestmark = pytest.mark.usefixtures("builders")


def test_signal_io_dicts():
    x, y = signal((3,)), signal((2,))
    set_x = Op(sets=[x])
    inc_x = Op(incs=[x[:2]], reads=[y])
    update_y = Op(reads=[x, y], updates=[y])
    sets, incs, reads, updates = signal_io_dicts([set_x, inc_x, update_y])
    assert sets == {x: [set_x]}
    assert incs == {x: [inc_x]}
    assert reads == {x: [update_y], y: [inc_x, update_y]}
    assert updates == {y: [update_y]}
    assert sets[y] == []


def test_extent():
    sig = signal((4, 3), dtype="float32")
    assert extent(sig) == (0, 48)
    assert extent(sig[1:3]) == (12, 36)
    assert extent(sig[:, 1]) == (4, 44)
    assert extent(sig[::-1]) == (0, 48)
    assert extent(sig.reshape(12)) == (0, 48)
    assert extent(sig.reshape(12)[2:4]) == (8, 16)


def test_covers():
    x, y = signals(2, shape=(4, 3))
    assert covers(x, x)
    assert not covers(x, y)
    assert covers(x, x[1:2]) and not covers(x[1:2], x)
    assert covers(x, x.reshape(12)) and covers(x.reshape(12), x)
    assert covers(x[1:3], x[1:3]) and covers(x[1:3], x[2:3])
    assert not covers(x[1:3], x[2:4])
    # the columns have gaps
    assert covers(x[:, :2], x[:, :2])
    assert not covers(x[:, :2], x[:2, :1])
    assert covers(x, x[:, 1])


def test_overlapping_pairs():
    rng = np.random.RandomState(0)
    for _ in range(20):
        starts = rng.randint(10, size=8)
        extents = [(s, s + rng.randint(1, 5)) for s in starts]
        expected = {
            (i, j)
            for i in range(8)
            for j in range(i)
            if extents[i][0] < extents[j][1] and extents[j][0] < extents[i][1]
        }
        pairs = list(overlapping_pairs(extents))
        assert {(max(pair), min(pair)) for pair in pairs} == expected
        assert len(pairs) == len(expected)


def test_readers_and_writers():
    x, y = signals(2, shape=(4,))
    reset = Op(sets=[x])
    low, high = Op(incs=[x[:2]], reads=[y]), Op(incs=[x[2:]], reads=[y])
    reader = Op(reads=[x[1:3]], updates=[y])
    io = SignalIO([reset, low, high, reader])

    def ops(pairs):
        return {op for op, _ in pairs}

    assert ops(io.writers(x)) == {reset, low, high}
    assert ops(io.writers(x[:2])) == {reset, low}
    assert ops(io.writers(x[1:3])) == {reset, low, high}
    assert ops(io.writers(y)) == {reader}
    assert ops(io.readers(y)) == {low, high}
    assert ops(io.readers(x[:2])) == {reader}
    assert ops(io.readers(x)) == {reader}


def test_sparse_signals():
    matrix = pytest.importorskip("scipy.sparse").eye(3).tocsr()
    sparse, y = Signal(matrix, name="sparse"), signal((3,))
    op = Op(reads=[sparse], sets=[y])
    io = SignalIO([op])
    assert list(io.readers(sparse)) == [(op, sparse)]
    assert list(io.writers(sparse)) == []
    assert covers(sparse, sparse) and not covers(sparse, y)


def test_accesses_that_a_list_knows():
    x = signal()
    ops = OperatorList([Op(sets=[x]), Op(reads=[x])])
    assert SignalIO.of(ops) is SignalIO.of(ops)
    assert list(SignalIO.of(ops).readers(x)) == [(ops[1], x)]
    assert list(SignalIO.of(ops[:1]).readers(x)) == []
