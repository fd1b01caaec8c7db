"""Multiplications and intermediate results, counted in traces."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from nengo_dl.tensor_node.work import (
    count_convolved,
    count_multiplied,
    largest_growth,
)


def trace(function, *shape):
    function = tf.function(function, autograph=False)
    return function.get_concrete_function(tf.TensorSpec(shape)).graph


@pytest.mark.parametrize(
    "function, n_products",
    [
        (keras.layers.Dense(10), 3 * 4 * 5 * 10),
        (lambda x: tf.matmul(x, tf.ones((3, 4, 6)), transpose_a=True), 3 * 5 * 4 * 6),
        (lambda x: tf.matmul(x[0], tf.ones((4, 6)), transpose_a=True), 5 * 4 * 6),
        (keras.layers.Conv1D(7, 2), 0),
        (tf.sin, 0),
    ],
)
def test_products_of_matrices(function, n_products):
    assert count_multiplied(trace(function, 3, 4, 5)) == n_products


def test_products_of_convolutions():
    """Other kinds of convolutions are in the tests of compilation."""
    graph = trace(keras.layers.Conv2D(7, (2, 3)), 2, 5, 6, 4)
    assert count_convolved(graph) == 2 * 4 * 4 * 2 * 3 * 4 * 7
    assert count_convolved(trace(keras.layers.Dense(7), 2, 5)) == 0


def test_growth():
    def call(x):
        # weights do not grow
        hidden = x @ tf.ones((5, 1000))
        return hidden @ tf.ones((1000, 7))

    assert largest_growth(trace(call, 2, 5), trace(call, 6, 5)) == 4 * 1000

    def other(x):
        return call(x) if x.shape[0] == 2 else 2 * call(x)

    assert largest_growth(trace(other, 2, 5), trace(other, 4, 5)) is None
