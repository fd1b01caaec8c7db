"""
Converters of layers that move elements around: Flatten, Permute, Cropping, ...

What leaves the order of the elements as it is needs no object of its own.
"""

from __future__ import annotations

from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.elements import (
    channels_come_last,
    pick,
    positions,
    put,
    spatial_axes,
)
from nengo_dl.converter.registry import register


@register(keras.layers.Reshape)
class ConvertReshape(LayerConverter):
    """Reshape layers: the order of the elements stays."""

    def convert(self, node_id: int) -> Any:
        """Return the input."""
        return self.get_input_obj(node_id)


@register(keras.layers.Flatten)
class ConvertFlatten(LayerConverter):
    """Flatten layers, which move channels that come first to the end."""

    def convert(self, node_id: int) -> Any:
        """Return the input, or reorder it."""
        shape = self.input_shape(node_id)
        if channels_come_last(self.layer) or len(shape) < 2:
            return self.get_input_obj(node_id)
        return pick(self, node_id, np.moveaxis(positions(shape), 0, -1))


@register(keras.layers.Permute)
class ConvertPermute(LayerConverter):
    """Permutations of axes."""

    def convert(self, node_id: int) -> nengo.Node:
        """Reorder the input."""
        axes = [axis - 1 for axis in self.layer.dims]  # Keras counts from 1 on
        return pick(self, node_id, positions(self.input_shape(node_id)).transpose(axes))


@register(keras.layers.RepeatVector)
class ConvertRepeatVector(LayerConverter):
    """Repetitions of a vector."""

    def convert(self, node_id: int) -> nengo.Node:
        """Repeat the input."""
        vector = positions(self.input_shape(node_id))
        return pick(self, node_id, np.tile(vector, self.layer.n))


class ConvertSpatial(LayerConverter):
    """Base of layers that change the lengths of spatial axes."""

    def per_axis(self, value: Any, n_axes: int, width: int = 1) -> list[Any]:
        """Return a setting of the layer for every spatial axis, as a list."""
        value = np.reshape(value, (n_axes, width)).tolist()
        return value if width > 1 else [item for (item,) in value]

    def convert(self, node_id: int) -> nengo.Node:
        """Make the output of elements of the input."""
        shape = self.input_shape(node_id)
        axes = range(len(shape))[
            spatial_axes(len(shape), channels_come_last(self.layer))
        ]
        return self.move(node_id, positions(shape), axes)

    def move(self, node_id: int, places: np.ndarray, axes: range) -> nengo.Node:
        """
        Make the output.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        places : array of int
            Positions in the flattened input, in the shape of the input.
        axes : range
            The spatial axes.
        """
        raise NotImplementedError


@register(keras.layers.Cropping1D)
@register(keras.layers.Cropping2D)
@register(keras.layers.Cropping3D)
class ConvertCropping(ConvertSpatial):
    """Cropping: a part of the input."""

    def move(self, node_id: int, places: np.ndarray, axes: range) -> nengo.Node:
        """Pick the part."""
        crops = self.per_axis(self.layer.cropping, len(axes), 2)
        part = [slice(None)] * places.ndim
        for axis, (before, after) in zip(axes, crops):
            part[axis] = slice(before, places.shape[axis] - after)
        return pick(self, node_id, places[tuple(part)])


@register(keras.layers.ZeroPadding1D)
@register(keras.layers.ZeroPadding2D)
@register(keras.layers.ZeroPadding3D)
class ConvertZeroPadding(ConvertSpatial):
    """Padding: the input is a part of the output, and the rest stays zero."""

    def move(self, node_id: int, places: np.ndarray, axes: range) -> nengo.Node:
        """Put the input into a bigger Node."""
        widths = self.per_axis(self.layer.padding, len(axes), 2)
        part = [slice(None)] * places.ndim
        for axis, (before, _) in zip(axes, widths):
            part[axis] = slice(before, before + places.shape[axis])
        node = self.add_node(node_id)
        put(self, node_id, node, positions(self.output_shape(node_id))[tuple(part)])
        return node


@register(keras.layers.UpSampling1D)
@register(keras.layers.UpSampling2D)
@register(keras.layers.UpSampling3D)
class ConvertUpSampling(ConvertSpatial):
    """Upsampling that repeats elements."""

    unsupported_args = (("interpolation", "nearest"),)

    def move(self, node_id: int, places: np.ndarray, axes: range) -> nengo.Node:
        """Pick every element several times."""
        for axis, n in zip(axes, self.per_axis(self.layer.size, len(axes))):
            places = np.repeat(places, n, axis=axis)
        return pick(self, node_id, places)
