"""Converters of activation layers."""

from __future__ import annotations

from typing import Any

import keras

from nengo_dl.converter.activations import ACTIVATION_CLASSES
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register


@register(keras.layers.Activation)
class ConvertActivation(LayerConverter):
    """Layers that are an activation."""

    unsupported_training_args = ("activity_regularizer",)

    def convert(self, node_id: int) -> Any:
        """Make the object for the activation."""
        obj = self.add_nengo_obj(node_id, activation=self.activation_of(self.layer))
        self.add_connection(node_id, obj)
        return obj


class ConvertKnownActivation(ConvertActivation):
    """Layers and operations that are themselves known as an activation."""

    @classmethod
    def activation_of(cls, layer: keras.Operation) -> Any:
        """Return the layer."""
        return layer


for _class in ACTIVATION_CLASSES:
    register(_class)(ConvertKnownActivation)
