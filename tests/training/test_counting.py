"""What a loss function returns, without what does not count."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.execution.lengths import Lengths
from nengo_dl.training.counting import counted_weights, has_steps

UNEQUAL = Lengths(tf.constant([True, True, False]), tf.constant([1, 2, 0]))


@pytest.mark.parametrize(
    "values, output, expected",
    [
        ((3, 2), (3, 2, 5), True),
        ((3, 2, 5), (3, 2, 5), True),
        ((3, 4), (3, 2, 5), False),
        ((3,), (3, 2, 5), False),
        ((), (3, 2, 5), False),
        ((3, None), (3, 2, 5), True),
        ((3, 2), (3, None, 5), True),
    ],
)
def test_has_steps(values, output, expected):
    specs = (tf.TensorSpec(shape, tf.float32) for shape in (values, output))
    assert has_steps(*specs) == expected


def test_weights():
    output = tf.zeros((3, 2, 5), tf.float64)
    own = [[2, 0], [1, 1], [0, 0]]
    np.testing.assert_array_equal(counted_weights(UNEQUAL, output), own)
    steps = [[1, 0], [1, 1], [0, 0]]
    counted = counted_weights(UNEQUAL, output, alike=False)
    np.testing.assert_array_equal(counted, steps)
    of_items = counted_weights(UNEQUAL, output, tf.constant([3, 5, 7]))
    np.testing.assert_array_equal(of_items, [[6, 0], [5, 5], [0, 0]])
    of_steps = counted_weights(UNEQUAL, output, tf.constant([[3, 4]] * 3))
    np.testing.assert_array_equal(of_steps, [[6, 0], [3, 4], [0, 0]])
    # one step is the last one of each item
    np.testing.assert_array_equal(counted_weights(UNEQUAL, output[:, :1]), [1, 1, 0])
