"""
Builders of convolutions and transposed convolutions.

In: groups of merged operators. Out: TensorFlow operations of one simulation step.
As usual in neural networks, these are correlations (kernels are not flipped). Below,
``g`` is the number of operators in a group.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence

import tensorflow as tf
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.transforms import ConvolutionTranspose

from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.graph.operators import ConvSet, ConvTransposeSet
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet
from nengo_dl.op_builders import OverwritingBuilder, view_key, write_mode
from nengo_dl.signals import SignalDict

# TensorFlow's names of the spatial axes, by number of axes
SPATIAL_AXES = {1: "W", 2: "HW", 3: "DHW"}

# What merged convolutions agree in
GEOMETRY = (
    "input_shape",
    "output_shape",
    "kernel_size",
    "strides",
    "padding",
    "channels_last",
    "groups",
)


# On CPUs, what decides between XLA and TensorFlow itself is the number of elements in
# the patches of the input, whatever the number of filters; few channels count like 16.
# From so many on, XLA takes longer (up to three times as long was measured), and that
# is more than what cutting the step into segments costs.
MAX_XLA_ELEMENTS = 600_000
MIN_XLA_CHANNELS = 16


@Builder.register(ConvInc)
@Builder.register(ConvSet)
@Builder.register(ConvTransposeInc)
@Builder.register(ConvTransposeSet)
class ConvIncBuilder(OverwritingBuilder):
    """
    ``Y (=|+=) conv(W, X)`` for kernels ``W``, or its transpose.

    Merged operators have the same input. Their kernels are put side by side, so that
    one convolution computes the outputs of all of them.

    Raises
    ------
    NotImplementedError
        If there are more than three spatial axes, or if the items of a minibatch have
        kernels of their own.
    """

    @staticmethod
    def timeless(op: ConvInc) -> bool:
        """Say that it could."""
        return True

    def __init__(self, ops: Sequence[ConvInc | ConvTransposeInc]):
        super().__init__(ops)
        self.conv = ops[0].conv
        self.is_transpose = isinstance(self.conv, ConvolutionTranspose)
        self.n_axes = self.conv.dimensions
        if self.n_axes not in SPATIAL_AXES:
            raise NotImplementedError(
                "Convolutions must have one, two, or three spatial axes; "
                f"`{self.conv}` has {self.n_axes}"
            )
        self._has_warned = False

    def runs_faster_in_xla(self, cpu_only: bool, minibatch_size: int) -> bool:
        """Say whether the convolution is small or consists of products, or on a GPU."""
        if self.is_products:
            return True
        shape = self.conv.input_shape if self.is_transpose else self.conv.output_shape
        patch = math.prod(self.conv.kernel_size) * max(
            self.conv.input_shape.n_channels, MIN_XLA_CHANNELS
        )
        n_elements = minibatch_size * math.prod(shape.spatial_shape) * patch
        return not cpu_only or n_elements <= MAX_XLA_ELEMENTS

    @property
    def is_products(self) -> bool:
        """
        Whether an output is a sum of a few products: every channel is for itself.

        A single channel is as well, with a kernel of one element (an image multiplied
        with a number for every filter, as are the biases of channels).
        """
        groups, n_channels = self.conv.groups, self.conv.input_shape.n_channels
        if self.is_transpose or groups < n_channels:
            return False
        return groups > 1 or math.prod(self.conv.kernel_size) == 1

    def build_pre(self, signals: SignalDict, config: BuildConfig) -> None:
        """Find ``W``, ``X`` and ``Y``, and choose the order of the axes."""
        super().build_pre(signals, config)
        self.mode = write_mode(self.ops[0], self.ops[0].Y)
        # TensorFlow computes convolutions with channels first on GPUs only
        self.swaps_axes = not self.conv.channels_last and (
            config.cpu_only or self.conv.groups > 1 or self.is_products
        )
        if config.cpu_only and self.swaps_axes:
            self._warn_about_channels()

        W = signals.combine([op.W for op in self.ops])
        if W.minibatched:
            raise NotImplementedError(
                "The items of a minibatch cannot have convolution kernels of their "
                f"own (`{self.ops[0].W}`)"
            )
        self.W = W.reshape((len(self.ops), *self.conv.kernel_shape))
        self.X = signals[self.ops[0].X].reshape(self.conv.input_shape.shape)
        self.Y = signals.combine([op.Y for op in self.ops])

    def _warn_about_channels(self) -> None:
        if not self._has_warned:
            self._has_warned = True  # there may be several traces
            warnings.warn(
                f"TensorFlow computes convolutions with `channels_last=False` on GPUs "
                f"only; the axes of the input and output of `{self.conv}` are swapped "
                "in every step. Simulations with `channels_last=True` are faster."
            )

    def build_step(self, signals: SignalDict) -> None:
        """Convolve."""
        Y = self.convolved(signals)
        if self.is_products and self.conv.groups == 1:
            # where it is used, it would be computed by loops that are not vectorized
            Y = signals.materialize(Y)
        signals.scatter(self.Y, Y, mode=self.mode)

    def convolved(self, signals: SignalDict) -> tf.Tensor:
        """
        Convolve the current value of the input.

        Parameters
        ----------
        signals : SignalDict
            The signals of the simulation.

        Returns
        -------
        Y : (minibatch_size, ...) tensor
            The outputs of all operators; ``(1, ...)`` if the input has no minibatch
            axis.
        """
        X = signals.gather(self.X)
        if not self.X.minibatched:
            X = X[None]
        n = self.n_axes
        if self.swaps_axes:
            X = tf.transpose(X, (0, *range(2, n + 2), 1))
        W = self._merged_kernel(signals.gather(self.W))
        Y = self._convolve(X, W)
        return tf.reshape(self._separate(Y), (X.shape[0], *self.Y.shape))

    def _merged_kernel(self, W: tf.Tensor) -> tf.Tensor:
        """
        Put ``g`` kernels side by side.

        Filters are ordered by group of channels first, as the filters of a group must
        be neighbours, and by operator second.
        """
        g, *size, channels, filters = W.shape
        groups, n = self.conv.groups, self.n_axes
        W = tf.reshape(W, (g, *size, channels, groups, filters // groups))
        W = tf.transpose(W, (*range(1, n + 3), 0, n + 3))
        return tf.reshape(W, (*size, channels, g * filters))

    def _convolve(self, X: tf.Tensor, W: tf.Tensor) -> tf.Tensor:
        axes, strides = SPATIAL_AXES[self.n_axes], self.conv.strides
        padding = self.conv.padding.upper()
        channels_last = self.conv.channels_last or self.swaps_axes
        data_format = f"N{axes}C" if channels_last else f"NC{axes}"
        if self.is_transpose:
            shape = (*self.conv.output_shape.spatial_shape, W.shape[-1])
            shape = shape if channels_last else (shape[-1], *shape[:-1])
            W = tf.linalg.matrix_transpose(W)
            return tf.nn.conv_transpose(
                X, W, (X.shape[0], *shape), strides, padding, data_format
            )
        if self.conv.groups > 1 or self.is_products:
            return grouped_convolution(X, W, strides, padding, self.conv.groups)
        return tf.nn.convolution(X, W, strides, padding, data_format)

    def _separate(self, Y: tf.Tensor) -> tf.Tensor:
        """Order the output by operator first; see `_merged_kernel`."""
        g, groups, n = len(self.ops), self.conv.groups, self.n_axes
        batch, *rest = Y.shape
        if not (self.conv.channels_last or self.swaps_axes):
            return Y  # channels are in front, and there is one group
        Y = tf.reshape(Y, (batch, *rest[:-1], groups, g, -1))
        space, group, op, channel = range(1, n + 1), n + 1, n + 2, n + 3
        if self.conv.channels_last:
            return tf.transpose(Y, (0, op, *space, group, channel))
        return tf.transpose(Y, (0, op, group, channel, *space))

    @staticmethod
    def mergeable(x: ConvInc | ConvTransposeInc, y: ConvInc | ConvTransposeInc) -> bool:
        """Merge convolutions of one input that differ in nothing but the kernel."""
        return (
            x.is_transpose == y.is_transpose
            and view_key(x.X) == view_key(y.X)
            and all(getattr(x.conv, a) == getattr(y.conv, a) for a in GEOMETRY)
        )


@Builder.register(ScaledConvInc)
@Builder.register(ScaledConvSet)
class ScaledConvIncBuilder(ConvIncBuilder):
    """``Y (=|+=) scale * conv(W, X)`` for an image ``X`` that does not change."""

    def runs_faster_in_xla(self, cpu_only: bool, minibatch_size: int) -> bool:
        """Say that it does: a step is a product with a number."""
        return True

    def build_constants(self, signals: SignalDict, config: BuildConfig) -> None:
        """Convolve the image."""
        self.build_pre(signals, config)
        self.image = self.convolved(signals)

    def _warn_about_channels(self) -> None:
        """Do not warn: axes are not swapped in every step."""

    def build_step(self, signals: SignalDict) -> None:
        """Multiply."""
        scale = signals.gather(signals[self.ops[0].scale].reshape((1,)))
        Y = tf.reshape(scale, (-1, *(1,) * self.Y.ndim)) * self.image
        signals.scatter(self.Y, Y, mode=self.mode)

    @staticmethod
    def mergeable(x: ScaledConvInc, y: ScaledConvInc) -> bool:
        """Merge none."""
        return False


def grouped_convolution(
    X: tf.Tensor, W: tf.Tensor, strides: Sequence[int], padding: str, groups: int
) -> tf.Tensor:
    """
    Convolve groups of channels separately.

    TensorFlow's own grouped convolutions have no gradients on some CPUs and for some
    types, exist for two spatial axes at most, and are slow when compiled by XLA.

    Parameters
    ----------
    X : (batch_size, ..., channels) tensor
        The input.
    W : (..., channels / groups, filters) tensor
        The kernel.
    strides : tuple of int
        Steps along the spatial axes.
    padding : "SAME" or "VALID"
        TensorFlow's name of the padding.
    groups : int
        Number of groups.

    Returns
    -------
    Y : (batch_size, ..., filters) tensor
    """
    size = W.shape[:-2]
    is_depthwise = W.shape[-2] == 1
    if groups <= math.prod(size) and not is_depthwise:
        data_format = f"N{SPATIAL_AXES[len(size)]}C"
        parts = [
            tf.nn.convolution(x, w, strides, padding, data_format)
            for x, w in zip(tf.split(X, groups, axis=-1), tf.split(W, groups, axis=-1))
        ]
        return tf.concat(parts, axis=-1)

    # fewer operations: one product for every element of the kernel
    X, n_out = _pad(X, size, strides, padding)
    X = tf.reshape(X, (*X.shape[:-1], groups, -1))
    W = tf.reshape(W, (*W.shape[:-1], groups, -1))
    terms = []
    for position in itertools.product(*(range(k) for k in size)):
        window = tuple(
            slice(p, p + (n - 1) * stride + 1, stride)
            for p, n, stride in zip(position, n_out, strides)
        )
        x = X[(slice(None), *window)]
        w = W[position]
        terms.append(x * w[0] if is_depthwise else tf.einsum("...gi,igf->...gf", x, w))
    Y = tf.add_n(terms)
    return tf.reshape(Y, (*Y.shape[:-2], -1))


def _pad(
    X: tf.Tensor, size: Sequence[int], strides: Sequence[int], padding: str
) -> tuple[tf.Tensor, list[int]]:
    """Pad the spatial axes as TensorFlow does; also return the size of the output."""
    n_in = X.shape[1:-1]
    if padding == "VALID":
        return X, [(n - k) // s + 1 for n, k, s in zip(n_in, size, strides)]
    n_out = [-(-n // s) for n, s in zip(n_in, strides)]
    widths = [
        max((m - 1) * s + k - n, 0) for m, n, k, s in zip(n_out, n_in, size, strides)
    ]
    paddings = [[0, 0], *([w // 2, w - w // 2] for w in widths), [0, 0]]
    return tf.pad(X, paddings), n_out
