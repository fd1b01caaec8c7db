"""Products of sparse matrices with vectors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.op_builders import sparse_matmul

jit = pytest.mark.parametrize("jit_compile", [False, True])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["/cpu:0", None])
def test_sparse_matmul(dtype, device):
    indices = [(0, 0), (1, 1), (2, 2), (2, 2)]
    with tf.device(device):
        data = tf.constant([2, 2, 1, 1], dtype)
        product = sparse_matmul(indices, data, (3, 3), tf.ones((3, 2), dtype))
    assert product.dtype == dtype
    assert np.allclose(product, 2)
    product = sparse_matmul(
        indices, data, (3, 3), tf.ones((2, 3), dtype), transpose_x=True
    )
    assert product.shape == (2, 3)
    assert np.allclose(product, 2)


def test_sparse_matmul_of_nothing():
    product = sparse_matmul(np.zeros((0, 2)), tf.zeros(0), (3, 4), tf.ones((4, 2)))
    assert product.shape == (3, 2)
    assert np.allclose(product, 0)


@jit
def test_sparse_matmul_of_very_uneven_rows(jit_compile):
    """One full row does not make the others take as much memory."""
    n = 10_000
    indices = [(i, i) for i in range(n)] + [(5, i) for i in range(n) if i != 5]

    def multiply(data, x):
        return sparse_matmul(indices, data, (n, n), x, transpose_x=True)

    data = tf.ones(len(indices))
    x = tf.ones((2, n))
    function = tf.function(multiply, jit_compile=jit_compile)
    product = function(data, x).numpy()
    assert np.allclose(product[:, 5], n)
    assert np.allclose(np.delete(product, 5, axis=1), 1)
    sizes = [
        tensor.shape.num_elements()
        for op in function.get_concrete_function(data, x).graph.get_operations()
        for tensor in op.outputs
    ]
    assert max(sizes) < 10 * n
