"""Separate rows and elements of arrays: how they are read and written."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from signals.signal_case import Case

from nengo_dl.signals.row_access import box_of, positions_in, slices_of


@pytest.mark.parametrize("index", [[0, 0, 3, 3], [0, 2, 4], [5, 0], [0, 2] * 20])
def test_gather_of_separate_rows(index, minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))
    assert np.array_equal(case.signals.gather(signal), case.rows(*index))
    assert case.signals.read_types == {"gather": 1}


def test_gather_of_elements(minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(1, 4)], (2, 2), elements=np.array([0, 3, 5, 3]))
    flat = case.rows(1, 2, 3).reshape(*case.array.shape[: case.axis], 6)
    expected = flat[..., [0, 3, 5, 3]].reshape(*flat.shape[:-1], 2, 2)
    assert np.array_equal(case.signals.gather(signal), expected)
    assert np.array_equal(case.signals.gather(signal[1:]), expected[..., 1:, :])


def test_gather_of_rows_of_a_reshaped_signal(minibatch_size):
    case = Case(minibatch_size)
    signal = case.signal([(0, 6)], (6, 2)).reshape((3, 4))[[2, 0]]
    expected = case.array.reshape(*case.array.shape[: case.axis], 3, 4)
    expected = np.take(expected, [2, 0], axis=case.axis)
    assert np.array_equal(case.signals.gather(signal), expected)


@pytest.mark.parametrize("index", [[5, 0], [4, 2, 0], [5, 4, 3, 2, 1, 0]])
@pytest.mark.parametrize("max_pieces", [1, 8])
def test_scatter_to_separate_rows(index, max_pieces, minibatch_size, monkeypatch):
    monkeypatch.setattr("nengo_dl.signals.row_access.MAX_SLICES", max_pieces)
    case = Case(minibatch_size)
    value = case.values(len(index), 2)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))
    case.signals.scatter(signal, tf.constant(value))
    assert np.array_equal(case.result(), case.changed(index, lambda _: value))

    case.signals.bases["base"] = case.base
    case.signals.scatter(signal, tf.constant(value), mode="inc")
    assert np.allclose(case.result(), case.changed(index, lambda old: old + value))


@pytest.mark.parametrize(
    "index",
    [
        [2] * 40,
        [1, 2, 1, 2, 1, 2],
        [0, 1, 2, 3, 4, 5] * 3,
        [3, 3, 4, 4],
        [1, 2, 1, 5],
        [4, 0, 2] * 5,
    ],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_scatter_accumulates(index, jit_compile, minibatch_size):
    case = Case(minibatch_size)
    value = case.values(len(index), 2)
    signal = case.signal([(i, i + 1) for i in index], (len(index), 2))

    @tf.function(jit_compile=jit_compile, autograph=False)
    def increment(base, value):
        case.signals.bases["base"] = base
        case.signals.scatter(signal, value, mode="inc")
        return case.signals.bases["base"]

    expected = np.moveaxis(case.array.copy(), case.axis, 0)
    np.add.at(expected, index, np.moveaxis(value, case.axis, 0))
    result = increment(case.base, tf.constant(value))
    assert np.allclose(result, np.moveaxis(expected, 0, case.axis), atol=1e-5)


@pytest.mark.parametrize("index", [[0, 3], [1, 4], [1, 2, 4, 5], [0, 1, 3, 4]])
@pytest.mark.parametrize("mode", ["update", "inc"])
def test_columns_of_a_matrix(index, mode, minibatch_size, monkeypatch):
    monkeypatch.setattr("nengo_dl.signals.row_access.MAX_SLICES", 1)
    for name in (
        "tf.gather",
        "tf.tensor_scatter_nd_update",
        "tf.tensor_scatter_nd_add",
    ):
        monkeypatch.delattr(f"nengo_dl.signals.row_access.{name}")
    case = Case(minibatch_size)
    whole = case.signal([(0, 6)], (6, 2))
    signal = whole[index]
    assert len(signal.slices) == 2
    assert np.array_equal(case.signals.gather(signal), case.rows(*index))
    value = case.values(len(index), 2)
    case.signals.scatter(signal, tf.constant(value), mode=mode)
    expected = case.changed(index, lambda old: value + old * (mode == "inc"))
    assert np.allclose(case.result(), expected)


def test_box_of():
    assert box_of([(1, 3), (5, 7), (9, 11)], 13) == (1, 3, 4, 0, 2)
    assert box_of([(1, 3), (5, 7), (9, 11)], 11) == (0, 3, 4, 1, 3)
    assert box_of([(1, 3)], 12) is None
    assert box_of([(1, 3), (5, 7), (8, 10)], 12) is None  # other distances
    assert box_of([(1, 3), (5, 8), (9, 11)], 12) is None  # other lengths
    assert box_of([(5, 7), (1, 3)], 12) is None  # backwards
    assert box_of([(1, 3), (2, 4)], 12) is None  # overlapping
    assert box_of([(0, 1), (4, 5)], 5) is None  # the last row is too long


def test_positions_and_slices():
    slices = [(3, 5), (5, 6), (1, 2)]
    assert positions_in(slices).tolist() == [3, 4, 5, 1]
    assert positions_in([]).tolist() == []
    assert slices_of(np.array([3, 4, 5, 1])) == [(3, 6), (1, 2)]
    assert slices_of(np.array([3, 4, 5, 1]), np.array([0, 0, 1, 1])) == slices
    assert slices_of(np.zeros(0, int)) == []


@pytest.mark.parametrize("mode", ["update", "inc"])
def test_scatter_to_elements(mode, minibatch_size):
    case = Case(minibatch_size)
    value = case.values(2, 2)
    elements = np.array([0, 3, 5, 2])
    signal = case.signal([(1, 4)], (2, 2), elements=elements)
    case.signals.scatter(signal, tf.constant(value), mode=mode)
    expected = case.array.copy()
    rows, columns = 1 + elements // 2, elements % 2
    flat = value.reshape(*case.array.shape[: case.axis], 4)
    expected[..., rows, columns] = flat + (
        expected[..., rows, columns] if mode == "inc" else 0
    )
    assert np.allclose(case.result(), expected)


def test_writes_have_gradients(minibatch_size):
    case = Case(minibatch_size)
    value = tf.constant(case.values(2, 2))
    for slices in ([(1, 3)], [(5, 6), (0, 1)]):
        signal = case.signal(slices, (2, 2))
        for mode in ("update", "inc"):
            case.signals.bases["base"] = case.base
            with tf.GradientTape() as tape:
                tape.watch([case.base, value])
                case.signals.scatter(signal, value, mode=mode)
                result = case.signals.bases["base"] ** 2
            gradients = tape.gradient(result, [case.base, value])
            twice = 2 * case.result()
            rows = [i for piece in slices for i in range(*piece)]
            written = np.take(twice, rows, axis=case.axis)
            assert np.allclose(gradients[1], written)
            if mode == "update":
                twice[(slice(None),) * case.axis + (rows,)] = 0
            assert np.allclose(gradients[0], twice)


def test_combine_elements(minibatch_size):
    case = Case(minibatch_size)
    parts = [
        case.signal([(0, 2)], (2, 2)),
        case.signal([(1, 4)], (1, 2), elements=np.array([0, 5])),
    ]
    value = case.signals.gather(case.signals.combine(parts))
    batch = case.array.shape[: case.axis]
    picked = case.rows(1, 2, 3).reshape(*batch, 6)[..., [0, 5]].reshape(*batch, 1, 2)
    expected = np.concatenate([case.rows(0, 1), picked], axis=case.axis)
    assert np.array_equal(value, expected)
