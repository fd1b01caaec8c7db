"""Converters of Dense layers and activations."""

from __future__ import annotations

from typing import Any

import keras
import nengo

from nengo_dl.converter.activations import ACTIVATION_CLASSES
from nengo_dl.converter.converter import Converter
from nengo_dl.converter.layer_converter import LayerConverter


@Converter.register(keras.layers.Dense)
class ConvertDense(LayerConverter):
    """Dense layers: a connection with the kernel as weights."""

    has_weights = True
    fuses_normalization = True
    unsupported_training_args = (
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )

    def convert(self, node_id: int) -> Any:
        """Make the connection, and the object for the activation."""
        biases = self.layer.bias.numpy() if self.layer.use_bias else None
        biases = self.fused_biases(node_id, biases)
        obj = self.add_nengo_obj(node_id, biases, self.layer.activation)
        kernel = self.layer.kernel.numpy() * self.fused_factors(node_id)
        self.add_connection(
            node_id,
            obj,
            transform=nengo.Dense(kernel.T.shape, init=kernel.T),
            trainable=True,
        )
        return obj


@Converter.register(keras.layers.Activation)
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
    Converter.register(_class)(ConvertKnownActivation)
