"""
Converters of pooling layers: averages, and maxima where averages may replace them.

In: sizes and strides of windows. Out: a connection with a sparse matrix, which has the
weight of every element of the input in every average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.elements import (
    channels_come_last,
    positions,
    spatial_axes,
)
from nengo_dl.converter.registry import register

# The first element of every window along an axis, and the one after the last.
Windows = tuple[np.ndarray, np.ndarray]


class ConvertPooling(LayerConverter):
    """Base of pooling layers: averages of windows."""

    def windows(self, sizes: Sequence[int]) -> list[Windows]:
        """
        Return the windows along every spatial axis.

        Parameters
        ----------
        sizes : list of int
            Lengths of the spatial axes of the input.

        Returns
        -------
        windows : list of (array of int, array of int)
            Where windows begin and end; only elements of the input are counted.
        """
        raise NotImplementedError

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the input with its averages."""
        shape = self.input_shape(node_id)
        axes = spatial_axes(len(shape), channels_come_last(self.layer))
        windows = [(np.arange(n), np.arange(n) + 1) for n in shape]
        windows[axes] = self.windows(shape[axes])
        indices, weights = averages(shape, windows)
        node = self.add_node(node_id)
        transform = nengo.Sparse(
            (node.size_in, math.prod(shape)), indices=indices, init=weights
        )
        self.add_connection(node_id, node, transform=transform)
        return node


class ConvertMaximum(ConvertPooling):
    """Base of maximum pooling, which becomes average pooling if that is wanted."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Ask for the option."""
        if not converter.max_to_avg_pool:
            return False, (
                "a maximum is no connection; consider setting max_to_avg_pool=True, "
                "to take averages instead"
            )
        return super().convertible(layer, converter)


@register(keras.layers.AveragePooling1D)
@register(keras.layers.AveragePooling2D)
@register(keras.layers.AveragePooling3D)
class ConvertAveragePooling(ConvertPooling):
    """Averages of windows of a fixed size."""

    def windows(self, sizes: Sequence[int]) -> list[Windows]:
        """Return windows, whose parts outside of the input are cut off."""
        layer: Any = self.layer
        result = []
        for n, size, stride in zip(sizes, layer.pool_size, layer.strides):
            if layer.padding == "same":
                n_out = -(-n // stride)
                before = max((n_out - 1) * stride + size - n, 0) // 2
            else:
                n_out, before = (n - size) // stride + 1, 0
            start = np.arange(n_out) * stride - before
            result.append((np.maximum(start, 0), np.minimum(start + size, n)))
        return result


@register(keras.layers.MaxPooling1D)
@register(keras.layers.MaxPooling2D)
@register(keras.layers.MaxPooling3D)
class ConvertMaxPooling(ConvertMaximum, ConvertAveragePooling):
    """Maxima of windows of a fixed size, as averages."""


@register(keras.layers.GlobalAveragePooling1D)
@register(keras.layers.GlobalAveragePooling2D)
@register(keras.layers.GlobalAveragePooling3D)
class ConvertGlobalAveragePooling(ConvertPooling):
    """Averages of channels."""

    def windows(self, sizes: Sequence[int]) -> list[Windows]:
        """Return one window."""
        return [(np.array([0]), np.array([n])) for n in sizes]


@register(keras.layers.GlobalMaxPooling1D)
@register(keras.layers.GlobalMaxPooling2D)
@register(keras.layers.GlobalMaxPooling3D)
class ConvertGlobalMaxPooling(ConvertMaximum, ConvertGlobalAveragePooling):
    """Maxima of channels, as averages."""


class ConvertAdaptiveAveragePooling(ConvertPooling):
    """Averages of as many windows as are wanted."""

    def windows(self, sizes: Sequence[int]) -> list[Windows]:
        """Return windows that cover the input."""
        return [
            (np.arange(n_out) * n // n_out, -(-(np.arange(n_out) + 1) * n // n_out))
            for n, n_out in zip(sizes, self.layer.output_size)
        ]


class ConvertAdaptiveMaxPooling(ConvertMaximum, ConvertAdaptiveAveragePooling):
    """Maxima of as many windows as are wanted, as averages."""


for n_axes in (1, 2, 3):
    for kind, converter in (
        ("Average", ConvertAdaptiveAveragePooling),
        ("Max", ConvertAdaptiveMaxPooling),
    ):
        name = f"Adaptive{kind}Pooling{n_axes}D"
        if hasattr(keras.layers, name):  # younger than the oldest Keras
            register(getattr(keras.layers, name))(converter)


def averages(
    shape: Sequence[int], windows: Sequence[Windows]
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the matrix that averages the windows of an array.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    windows : list of (array of int, array of int)
        Where windows begin and end, along every axis.

    Returns
    -------
    indices : (n, 2) array of int
        Rows and columns of the nonzero elements: positions in the flattened result, and
        in the flattened array.
    weights : (n,) array
        One over the number of elements of the window.
    """
    rows = positions([len(start) for start, _ in windows])
    columns = positions(shape)
    weights = np.ones(())
    for axis, (start, stop) in enumerate(windows):
        sizes = stop - start
        number = np.repeat(np.arange(len(sizes)), sizes)  # of the window
        first = np.cumsum(sizes) - sizes
        element = np.arange(sizes.sum()) - np.repeat(first - start, sizes)
        rows = np.take(rows, number, axis=axis)
        columns = np.take(columns, element, axis=axis)
        weights = np.multiply.outer(weights, 1 / sizes[number])
    return np.stack([rows.ravel(), columns.ravel()], axis=1), weights.ravel()
