"""
How much the function or layer of a TensorNode computes.

In: the graph of a trace. Out: numbers of multiplications, and sizes of intermediate
results.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

# TensorFlow's convolutions. The last two are gradients, which is to say transposed.
CONVOLUTIONS = (
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2dNative",
    "Conv2DBackpropInput",
    "Conv3DBackpropInputV2",
)
# Products of matrices, and the attribute that says if the first factor is transposed.
MATRIX_PRODUCTS = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}


def count_convolved(graph: tf.Graph) -> int:
    """Return the number of multiplications of all convolutions in a graph."""
    return sum(map(_products_of(_convolved, CONVOLUTIONS), graph.get_operations()))


def count_multiplied(graph: tf.Graph) -> int:
    """Return the number of multiplications of all products of matrices in a graph."""
    operations = graph.get_operations()
    return sum(map(_products_of(_multiplied, tuple(MATRIX_PRODUCTS)), operations))


def largest_growth(graph: tf.Graph, larger: tf.Graph) -> int | None:
    """
    Return how many more elements a result has in a larger minibatch.

    Parameters
    ----------
    graph, larger : tf.Graph
        Traces of the same function, with different numbers of items.

    Returns
    -------
    n_elements : int or None
        For the result that grows most; None if the function consists of other
        operations when there are more items.
    """
    operations, others = graph.get_operations(), larger.get_operations()
    if [op.type for op in operations] != [op.type for op in others]:
        return None
    return max(map(_size, others, operations), default=0)


def _size(larger: tf.Operation, operation: tf.Operation) -> int:
    """Return how many more elements the results of an operation have."""
    pairs = zip(larger.outputs, operation.outputs)
    return sum(_elements(a) - _elements(b) for a, b in pairs)


def _elements(tensor: tf.Tensor) -> int:
    """Return the number of elements of a tensor; 0 if it is not known."""
    return tensor.shape.num_elements() or 0


def _products_of(
    count: Callable[[tf.Operation], int], types: tuple[str, ...]
) -> Callable[[tf.Operation], int]:
    return lambda operation: count(operation) if operation.type in types else 0


def _convolved(operation: tf.Operation) -> int:
    is_transposed = "Backprop" in operation.type
    data = operation.inputs[2] if is_transposed else operation.outputs[0]
    axis = -1 if operation.get_attr("data_format").endswith(b"C") else 1
    n_positions = data.shape.num_elements() // data.shape[axis]
    return n_positions * math.prod(operation.inputs[1].shape)


def _multiplied(operation: tf.Operation) -> int:
    is_transposed = operation.get_attr(MATRIX_PRODUCTS[operation.type])
    n_summed = operation.inputs[0].shape[-2 if is_transposed else -1]
    return _elements(operation.outputs[0]) * (n_summed or 0)
