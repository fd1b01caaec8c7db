"""Converters of Dense and EinsumDense layers."""

from __future__ import annotations

import math
from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.layers.weighted import ConvertWeighted, values_of
from nengo_dl.converter.registry import register


@register(keras.layers.Dense)
class ConvertDense(ConvertWeighted):
    """
    Dense layers: a connection with the kernel as weights.

    The layer is applied along the last axis. If there are others, it is a convolution
    with a kernel of size 1 along those.
    """

    def convert(self, node_id: int) -> Any:
        """Make the connection, and the object for the activation."""
        return self.convert_kernel(node_id, values_of(self.layer.kernel))

    def convert_kernel(self, node_id: int, kernel: np.ndarray) -> Any:
        """
        Make the objects for a kernel.

        Parameters
        ----------
        node_id : int
            Which call of the layer.
        kernel : (n_in, n_out) array
            The kernel.
        """
        n_in, n_out = kernel.shape
        n_positions = self.output_size(node_id) // n_out
        kernel = self.kernel(node_id, kernel)
        biases, activation = self.biases(node_id), self.layer.activation
        if n_positions == 1:
            trained = biases if self.trainable else None
            obj = self.add_nengo_obj(node_id, trained, activation)
            if biases is not None and trained is None:
                self.add_biases(node_id, obj, biases, trainable=False)
            transform: Any = nengo.Dense((n_out, n_in), init=kernel.T)
        else:
            obj = self.add_nengo_obj(node_id, activation=activation)
            self.add_channel_biases(node_id, obj, biases, channels_last=True)
            transform = nengo.Convolution(
                n_out,
                (n_positions, n_in),
                kernel_size=(1,),
                strides=(1,),
                init=kernel[None],
            )
        self.connect(node_id, self.get_input_obj(node_id), obj, transform)
        return obj


@register(keras.layers.EinsumDense)
class ConvertEinsumDense(ConvertDense):
    """Einsum layers that are Dense layers, apart from shapes."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse other equations than those of Dense layers."""
        equation = getattr(layer, "equation", "")
        outputs = dense_outputs(equation)
        if outputs is None:
            return False, (
                f"equation {equation!r} is no product of the last axes with a matrix"
            )
        bias_axes = getattr(layer, "bias_axes", None) or outputs
        if sorted(bias_axes) != sorted(outputs):
            return False, f"bias_axes has value {bias_axes!r} != {outputs!r}"
        return super().convertible(layer, converter)

    def convert(self, node_id: int) -> Any:
        """Make the objects of a Dense layer."""
        kernel = values_of(self.layer.kernel)
        outputs = dense_outputs(self.layer.equation)
        assert outputs is not None
        n_out = math.prod(kernel.shape[kernel.ndim - len(outputs) :])
        return self.convert_kernel(node_id, kernel.reshape(-1, n_out))


def dense_outputs(equation: str) -> str | None:
    """
    Return the axes that a Dense layer adds.

    Parameters
    ----------
    equation : str
        An equation such as ``"abc,cde->abde"``, of the form ``(kept, summed), (summed,
        new) -> (kept, new)``.

    Returns
    -------
    new : str or None
        ``"de"`` in the example; None if the equation is of another form.
    """
    inputs, _, output = equation.replace(" ", "").replace("...", "*").partition("->")
    x, _, kernel = inputs.partition(",")
    for n in range(1, len(kernel)):
        summed, new = kernel[:n], kernel[n:]
        kept = x[: -len(summed)]
        distinct = len(set(kept + kernel)) == len(kept + kernel)
        if x == kept + summed and output == kept + new and kept and distinct:
            return new
    return None
