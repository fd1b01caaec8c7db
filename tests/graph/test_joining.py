import numpy as np
from graph.literal_graphs import run, signal
from nengo.builder import Signal

from nengo_dl.graph.joining import JoinColumns


def test_join_columns():
    first, second, dst = signal((2,), 5.0), Signal(np.arange(4.0)), signal((6,))
    op = JoinColumns([first, second], dst, n_rows=2, tag="tag")
    assert (op.sets, op.incs, op.updates) == ([dst], [], [])
    assert op.reads == [first, second]
    assert str(dst) in str(op) and op.tag == "tag"
    np.testing.assert_array_equal(run([op], n_steps=2)[dst], [5, 0, 1, 5, 2, 3])
