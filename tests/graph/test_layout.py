import numpy as np
import pytest
from nengo.builder.operator import Copy, ElementwiseInc, Reset
from nengo.builder.signal import Signal
from nengo.transforms import SparseMatrix

from nengo_dl.graph.layout import (
    element_positions,
    lay_out,
    row_slices,
    sparse_indices,
    stored_dtype,
)
from nengo_dl.graph.operators import Constant


def signal(shape=(2,), dtype=np.float32, trainable=None, minibatched=False, value=None):
    value = np.zeros(shape, dtype) if value is None else np.array(value, dtype)
    result = Signal(value)
    result.trainable, result.minibatched = trainable, minibatched
    return result


def array_of(layout, sig):
    return layout.arrays[layout.places[sig][0]]


def test_signals_of_one_kind_are_side_by_side():
    signals = [signal((n, 3)) for n in (1, 4, 2)]
    layout = lay_out(signals, [])
    (array,) = layout.arrays.values()
    assert array.shape == (7, 3)
    assert [layout.places[s] for s in signals] == [
        (array.key, 0, 1),
        (array.key, 1, 5),
        (array.key, 5, 7),
    ]


@pytest.mark.parametrize(
    "kind, other",
    [
        ({}, {"dtype": np.int32}),
        ({}, {"dtype": bool}),
        ({"shape": (2, 3)}, {"shape": (2, 4)}),
        ({}, {"trainable": True}),
        ({"trainable": False}, {"trainable": True}),
        ({}, {"minibatched": True}),
    ],
)
def test_signals_of_different_kinds_are_apart(kind, other):
    signals = [signal(**kind), signal(**other), signal(**kind)]
    layout = lay_out(signals, [])
    assert len(layout.arrays) == 2
    assert array_of(layout, signals[0]) is array_of(layout, signals[2])


def test_types_are_unified():
    floats = [signal(dtype=t) for t in (np.float16, np.float32, np.float64)]
    integers = [signal(dtype=t) for t in (np.int32, np.int64, np.uint8)]
    layout = lay_out([*floats, *integers], [], dtype="float64")
    assert [array.dtype for array in layout.arrays.values()] == ["float64", "int32"]
    assert stored_dtype(signal(dtype=bool), "float32") == "bool"
    with pytest.raises(NotImplementedError, match="complex.*must hold floats"):
        stored_dtype(signal(dtype=complex), "float32")


def test_minibatch_axis():
    array = array_of(lay_out([s := signal((4, 3), minibatched=True)], []), s)
    assert array.full_shape(5) == (5, 4, 3)
    array = array_of(lay_out([s := signal((4, 3), trainable=True)], []), s)
    assert array.full_shape(5) == (4, 3)
    assert array.trainable is True


def test_scalars():
    scalars = [signal(()), signal(()), signal((1,))]
    layout = lay_out(scalars, [])
    assert array_of(layout, scalars[0]).shape == (3,)
    assert layout.places[scalars[1]][1:] == (1, 2)


def test_uses_keep_signals_apart():
    """A group finds what it accesses at one position in arrays of its own."""
    x = [signal() for _ in range(6)]
    plan = [
        (Copy(x[0], x[2]), Copy(x[1], x[3])),
        (Copy(x[4], x[5]),),
    ]
    layout = lay_out(x, plan)
    keys = [layout.places[s][0] for s in x]
    assert keys[0] == keys[1] and keys[2] == keys[3]
    assert len(set(keys)) == 4


def test_positions_within_a_group():
    A, X, Y = signal(), signal(), signal()
    layout = lay_out([A, X, Y], [(ElementwiseInc(A, X, Y),)])
    assert len({layout.places[s][0] for s in (A, X, Y)}) == 3


def test_initial_values():
    signals = [signal(value=[[1, 2]]), signal(value=[[3, 4], [5, 6]])]
    layout = lay_out(signals, [], dtype="float64")
    (key,) = layout.arrays
    values = layout.initial_values(key)
    assert values.dtype == np.float64
    assert (values == [[1, 2], [3, 4], [5, 6]]).all()
    values[...] = 0
    assert signals[0].initial_value[0, 1] == 2


def test_constants_are_initial_values():
    x, y = signal((2, 3)), signal((2, 3))
    constants = [Constant(y[1, :2], 5.0), Constant(x[0], np.arange(3))]
    layout = lay_out([x, y], [], constants)
    (key,) = layout.arrays
    assert (
        layout.initial_values(key) == [[0, 1, 2], [0, 0, 0], [0, 0, 0], [5, 5, 0]]
    ).all()


def test_order_follows_the_signals():
    a, b, c = signal((1,)), signal((2, 2)), signal((3,))
    layout = lay_out([c, b, a], [(Reset(a),)])
    assert [array.signals for array in layout.arrays.values()] == [(c,), (b,), (a,)]


@pytest.mark.parametrize("kind", ["nengo", "scipy"])
def test_sparse_signals(kind):
    if kind == "scipy":
        sparse = pytest.importorskip("scipy.sparse")
        matrix = sparse.csr_matrix(([1.0, 2.0], ([0, 2], [1, 0])), shape=(3, 2))
    else:
        matrix = SparseMatrix([[0, 1], [2, 0]], [1.0, 2.0], (3, 2))
    sig = Signal(matrix)
    indices, data = sparse_indices(sig)
    assert indices.tolist() == [[0, 1], [2, 0]]
    assert data.tolist() == [1, 2]
    layout = lay_out([sig], [])
    assert array_of(layout, sig).shape == (2,)
    assert layout.initial_values(layout.places[sig][0]).tolist() == [1, 2]


def test_sparse_signals_are_floats():
    sig = Signal(SparseMatrix([[0, 1]], np.array([1]), (3, 2)))
    assert stored_dtype(sig, "float64") == "float64"


VIEWS = {
    "all": lambda x: x,
    "rows": lambda x: x[1:3],
    "steps": lambda x: x[::2],
    "backwards": lambda x: x[::-1],
    "one row": lambda x: x[2],
    "columns": lambda x: x[:, 1:],
    "element": lambda x: x[1, 2],
    "reshaped": lambda x: x.reshape((12,)),
    "part of the rows, reshaped": lambda x: x[1:3].reshape((6,)),
    "backwards in rows": lambda x: x[1:3, ::-1],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(view):
    """The rows or the elements of a view are where they are found to be."""
    base = Signal(np.arange(12.0).reshape(4, 3))
    sig = view(base)
    expected = sig.initial_value.ravel()
    stored = base.initial_value

    assert (stored.ravel()[element_positions(sig)] == expected).all()
    slices = row_slices(sig, first_row=0)
    if slices is not None:
        rows = np.concatenate([stored[start:stop] for start, stop in slices])
        assert (rows.ravel() == expected).all()
        shifted = [(start + 5, stop + 5) for start, stop in slices]
        assert row_slices(sig, first_row=5) == shifted


def test_whole_rows_are_found():
    base = Signal(np.arange(12.0).reshape(4, 3))
    merged = {name: row_slices(view(base), 0) for name, view in VIEWS.items()}
    in_rows = {name for name, slices in merged.items() if slices is not None}
    assert in_rows == {
        "all",
        "rows",
        "steps",
        "backwards",
        "one row",
        "reshaped",
        "part of the rows, reshaped",
    }
    assert merged["all"] == [(0, 4)]
