"""Converters of activation layers."""

from __future__ import annotations

from typing import Any

import keras

from nengo_dl.converter.converter import Converter
from nengo_dl.converter.layer_converter import LayerConverter


@Converter.register(keras.layers.Activation)
class ConvertActivation(LayerConverter):
    """Layers that are an activation."""

    def convert(self, node_id: int) -> Any:
        """Make the object for the activation."""
        obj = self.add_nengo_obj(node_id, activation=self.activation_of(self.layer))
        self.add_connection(node_id, obj)
        return obj


@Converter.register(keras.layers.ReLU)
class ConvertReLU(ConvertActivation):
    """Rectified linear layers."""

    unsupported_args = ("max_value", ("threshold", 0))

    @classmethod
    def activation_of(cls, layer: keras.Operation) -> Any:
        """Return the layer, which is known as an activation."""
        return layer
