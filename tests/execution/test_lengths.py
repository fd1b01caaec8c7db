"""What of a batch counts."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nengo_dl.execution.lengths import IS_ITEM, LENGTHS, Lengths

PADDED = Lengths(tf.constant([True, True, False]))
UNEQUAL = Lengths(tf.constant([True, True, False]), tf.constant([1, 4, 0]))


def test_of_batches():
    assert Lengths.of({"a": 1}) is None and Lengths.of([1]) is None
    padded = Lengths.of({IS_ITEM: np.array([[True], [False]])})
    assert padded.is_item.tolist() == [True, False] and padded.n_steps is None
    unequal = Lengths.of({LENGTHS: np.array([[2], [0]])})
    assert unequal.is_item.numpy().tolist() == [True, False]
    assert unequal.n_steps.numpy().tolist() == [2, 0]
    assert unequal.of_items().n_steps is None


def test_counts_and_weights():
    assert PADDED.n_items("float64") == 2 and UNEQUAL.share("float64") == 2 / 3
    np.testing.assert_array_equal(PADDED.counts(2), [[1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(PADDED.weights(2, "float64"), [1, 1, 0])
    counts = [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(UNEQUAL.counts(4), counts)
    # every item weighs the same
    weights = [[4, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(UNEQUAL.weights(4, "float64"), weights)


def test_values():
    values = tf.reshape(tf.range(12), (3, 4, 1))
    np.testing.assert_array_equal(PADDED.only_items(values), values[:2])
    shared = values[:1]
    assert PADDED.only_items(shared) is shared
    held = UNEQUAL.hold(values)[..., 0]
    np.testing.assert_array_equal(held, [[0] * 4, [4, 5, 6, 7], [8] * 4])
    assert PADDED.hold(values) is values and UNEQUAL.hold(values[:, :1]).shape[1] == 1


def test_last_steps():
    new, old = tf.ones((3, 2)), tf.zeros((3, 2))
    for lengths, step, expected in (
        (PADDED, None, [1, 1, 0]),
        (PADDED, 7, [1, 1, 0]),
        (UNEQUAL, 0, [1, 1, 0]),
        (UNEQUAL, 1, [0, 1, 0]),
        (UNEQUAL, 4, [0, 0, 0]),
    ):
        chosen = lengths.choose(new, old, step)
        np.testing.assert_array_equal(chosen, np.repeat(expected, 2).reshape(3, 2))
