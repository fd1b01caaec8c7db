"""Converters of convolutions: plain, depthwise, separable, and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.layers.elements import (
    channels_come_last,
    positions,
    put,
    spatial_axes,
)
from nengo_dl.converter.layers.weighted import ConvertWeighted, values_of
from nengo_dl.converter.registry import register


class ConvertConvolution(ConvertWeighted):
    """
    Base of all convolutions.

    A kernel with dilation is filled up with zeros, which training would change.
    """

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse to train dilated kernels."""
        possible, reason = super().convertible(layer, converter)
        rate = getattr(layer, "dilation_rate", ())
        if set(rate) <= {1} or converter.inference_only:
            return possible, reason
        dilation = (
            f"dilation_rate has value {rate} != {(1,) * len(rate)} (unless "
            "inference_only=True)"
        )
        return False, f"{reason}; {dilation}" if reason else dilation

    @property
    def channels_last(self) -> bool:
        """Whether channels are the last axis, not the first."""
        return channels_come_last(self.layer)

    def convert(self, node_id: int) -> Any:
        """Make the connections, and the object for the activation."""
        obj = self.add_nengo_obj(node_id, activation=self.layer.activation)
        self.add_channel_biases(node_id, obj, self.biases(node_id), self.channels_last)
        self.add_convolution(node_id, obj)
        return obj

    def add_convolution(self, node_id: int, obj: Any) -> None:
        """Connect the input with the object for the activation."""
        raise NotImplementedError

    def dilated(self, kernel: np.ndarray) -> np.ndarray:
        """
        Put zeros between the elements of a kernel.

        Parameters
        ----------
        kernel : (..., n_in, n_out) array
            The kernel, with spatial axes in front.
        """
        rate = self.layer.dilation_rate
        if set(rate) == {1}:
            return kernel
        size = [(n - 1) * r + 1 for n, r in zip(kernel.shape, rate)]
        result = np.zeros((*size, *kernel.shape[-2:]), kernel.dtype)
        result[tuple(slice(None, None, r) for r in rate)] = kernel
        return result

    def depthwise(self, kernel: np.ndarray) -> np.ndarray:
        """
        Return a depthwise kernel as one with as many groups as channels.

        Parameters
        ----------
        kernel : (..., n_in, depth_multiplier) array
            The kernel.

        Returns
        -------
        kernel : (..., 1, n_in * depth_multiplier) array
        """
        return self.dilated(kernel.reshape(*kernel.shape[:-2], 1, -1))

    def convolution(
        self, kernel: np.ndarray, shape: Sequence[int], padding: str, groups: int
    ) -> nengo.Convolution:
        """Return a convolution with the strides of the layer."""
        return nengo.Convolution(
            kernel.shape[-1],
            shape,
            kernel_size=kernel.shape[:-2],
            strides=self.layer.strides,
            padding=padding,
            channels_last=self.channels_last,
            init=kernel,
            groups=groups,
        )


@register(keras.layers.Conv1D)
@register(keras.layers.Conv2D)
@register(keras.layers.Conv3D)
class ConvertConv(ConvertConvolution):
    """Convolutions, maybe of groups of channels."""

    def add_convolution(self, node_id: int, obj: Any) -> None:
        """Connect the input."""
        kernel = self.kernel(node_id, self.dilated(values_of(self.layer.kernel)))
        pre, shape = self.get_input_obj(node_id), self.input_shape(node_id)
        padding = self.layer.padding
        if padding == "causal":
            pre, shape = self._pad_in_front(node_id, kernel.shape[0] - 1)
            padding = "valid"
        transform = self.convolution(kernel, shape, padding, self.layer.groups)
        self.connect(node_id, pre, obj, transform)

    def _pad_in_front(self, node_id: int, width: int) -> tuple[Any, list[int]]:
        """Put zeros in front of the input, along its only spatial axis."""
        shape = list(self.input_shape(node_id))
        (axis,) = range(len(shape))[spatial_axes(len(shape), self.channels_last)]
        shape[axis] += width
        places = positions(shape)
        node = self.add_node(node_id, ".padded", places.size)
        put(self, node_id, node, np.split(places, [width], axis=axis)[1])
        return node, shape


@register(keras.layers.DepthwiseConv1D)
@register(keras.layers.DepthwiseConv2D)
class ConvertDepthwiseConv(ConvertConvolution):
    """Convolutions of every channel for itself."""

    unsupported_training_args = (
        *ConvertConvolution.unsupported_training_args,
        "depthwise_regularizer",
        "depthwise_constraint",
    )

    def add_convolution(self, node_id: int, obj: Any) -> None:
        """Connect the input."""
        kernel = values_of(self.layer.kernel)
        transform = self.convolution(
            self.kernel(node_id, self.depthwise(kernel)),
            self.input_shape(node_id),
            self.layer.padding,
            groups=kernel.shape[-2],
        )
        self.connect(node_id, self.get_input_obj(node_id), obj, transform)


@register(keras.layers.SeparableConv1D)
@register(keras.layers.SeparableConv2D)
class ConvertSeparableConv(ConvertConvolution):
    """Depthwise convolutions, and a convolution of their outputs with size 1."""

    unsupported_training_args = (
        *ConvertDepthwiseConv.unsupported_training_args,
        "pointwise_regularizer",
        "pointwise_constraint",
    )

    def add_convolution(self, node_id: int, obj: Any) -> None:
        """Connect the input, by way of a Node."""
        depthwise = values_of(self.layer.depthwise_kernel)
        first = self.convolution(
            self.depthwise(depthwise),
            self.input_shape(node_id),
            self.layer.padding,
            groups=depthwise.shape[-2],
        )
        between = self.add_node(node_id, ".depthwise", int(first.size_out))
        self.connect(node_id, self.get_input_obj(node_id), between, first)

        pointwise = self.kernel(node_id, values_of(self.layer.pointwise_kernel))
        n_axes = pointwise.ndim - 2
        second = nengo.Convolution(
            pointwise.shape[-1],
            first.output_shape.shape,
            kernel_size=(1,) * n_axes,
            strides=(1,) * n_axes,
            channels_last=self.channels_last,
            init=pointwise,
        )
        self.connect(node_id, between, obj, second)


@register(keras.layers.Conv1DTranspose)
@register(keras.layers.Conv2DTranspose)
@register(keras.layers.Conv3DTranspose)
class ConvertConvTranspose(ConvertConvolution):
    """Transposed convolutions."""

    def add_convolution(self, node_id: int, obj: Any) -> None:
        """Connect the input."""
        # Keras has the axis of the filters before that of the channels
        kernel = np.swapaxes(values_of(self.layer.kernel), -1, -2)
        kernel = self.kernel(node_id, self.dilated(kernel))
        transform = nengo.ConvolutionTranspose(
            kernel.shape[-1],
            self.input_shape(node_id),
            self.output_shape(node_id),
            kernel_size=kernel.shape[:-2],
            strides=self.layer.strides,
            padding=self.layer.padding,
            channels_last=self.channels_last,
            init=kernel,
        )
        self.connect(node_id, self.get_input_obj(node_id), obj, transform)
