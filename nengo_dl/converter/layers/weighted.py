"""
The base of converters of layers with a kernel and biases.

In: Dense layers, convolutions. Out: a trainable connection with as many weights as the
kernel, and one bias for every channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import nengo
import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.layer_converter import LayerConverter


class ConvertWeighted(LayerConverter):
    """Base of converters of layers with a kernel and biases."""

    has_weights = True
    fuses_normalization = True
    unsupported_training_args: ClassVar[Sequence[str | tuple[str, Any]]] = (
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
        ("lora_enabled", False),
    )

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse layers that are quantized, apart from unsupported arguments."""
        possible, reason = super().convertible(layer, converter)
        mode = getattr(getattr(layer, "dtype_policy", None), "quantization_mode", None)
        if mode is None:
            return possible, reason
        quantized = f"its weights are quantized ({mode})"
        return False, f"{reason}; {quantized}" if reason else quantized

    @property
    def trainable(self) -> bool:
        """Whether the layer is trained."""
        return bool(self.layer.trainable)

    def kernel(self, node_id: int, kernel: np.ndarray) -> np.ndarray:
        """
        Multiply a kernel with the factors of batch normalization, if that is fused.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        kernel : (..., n_channels) array
            The kernel, whose last axis is that of the channels of the output.
        """
        return kernel * np.asarray(self.fused_factors(node_id), kernel.dtype)

    def biases(self, node_id: int) -> np.ndarray | None:
        """Return one bias for every channel, if there are any."""
        bias = getattr(self.layer, "bias", None)
        values = None if bias is None else values_of(bias).ravel()
        return self.fused_biases(node_id, values)

    def connect(
        self, node_id: int, pre: Any, post: Any, transform: nengo.transforms.Transform
    ) -> None:
        """
        Connect two objects, by weights that are trained if the layer is.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        pre, post : NengoObject
            What to connect.
        transform : nengo.transforms.Transform
            The weights.
        """
        conn = nengo.Connection(
            pre, post, synapse=self.converter.synapse_from(pre), transform=transform
        )
        self.set_trainable(conn, self.trainable)

    def add_channel_biases(
        self, node_id: int, obj: Any, biases: np.ndarray | None, channels_last: bool
    ) -> None:
        """
        Add one bias for every channel to the input of an object.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        obj : nengo.Node or nengo.ensemble.Neurons
            The object.
        biases : (n_channels,) array or None
            The biases; nothing is added if there are none.
        channels_last : bool
            Whether the elements of the object have channels as the last axis, or as
            the first.

        Notes
        -----
        The biases are the kernel of a convolution of an image that is 1 everywhere, so
        that there is one parameter for each.
        """
        if biases is None:
            return
        n_positions = self.output_size(node_id) // len(biases)
        label = self.name(node_id) + ".bias"
        one = nengo.Node([1], label=label)
        ones = nengo.Node(size_in=n_positions, label=label + "_image")
        fixed = nengo.Connection(
            one, ones, synapse=None, transform=np.ones((n_positions, 1))
        )
        self.set_trainable(fixed, False)
        transform = nengo.Convolution(
            len(biases),
            (n_positions, 1) if channels_last else (1, n_positions),
            kernel_size=(1,),
            strides=(1,),
            channels_last=channels_last,
            init=biases.reshape(1, 1, -1),
        )
        self.connect(node_id, ones, obj, transform)


def values_of(variable: Any) -> np.ndarray:
    """Return the value of a Keras variable, in a type that NumPy has."""
    value = keras.ops.convert_to_numpy(variable)
    return value if value.dtype in ("float32", "float64") else value.astype("float32")
