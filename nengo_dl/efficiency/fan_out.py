"""
How many synapses every element of a source has.

In: the operator that multiplies a source with weights, and the weights. Out: the number
of nonzero weights that each element of the source reaches, exact at the borders of
convolutions, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from nengo.builder.operator import DotInc, ElementwiseInc, Operator, SparseDotInc
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.transforms import Convolution, ConvolutionTranspose

from nengo_dl.graph.layout import sparse_indices

#: Operators that multiply a source, their second input, with weights, their first one.
PRODUCTS = (DotInc, ElementwiseInc, ConvInc, ConvTransposeInc)


@dataclass(frozen=True, eq=False)
class FanOut:
    """
    The synapses of a source.

    Parameters
    ----------
    synapses : (n,) array of int
        Number of nonzero weights that each element of the source reaches.
    n_dense : int
        Number of products of a step if no weight and no element of the source were
        zero. For sparse transforms, that is the number of weights that are stored.
    n_weights : int
        Number of weights that are stored.
    n_zeros, n_possible : int
        How many weights are zero, of how many that there could be. For sparse
        transforms, these are all elements of the matrix.
    """

    synapses: np.ndarray
    n_dense: int
    n_weights: int
    n_zeros: int
    n_possible: int


def unweighted_fan_out(size: int, is_spiking: bool) -> FanOut:
    """
    Return the fan-out of a connection without weights.

    Parameters
    ----------
    size : int
        Number of elements of the source.
    is_spiking : bool
        Whether they are spikes. A spike that arrives is added to something, as if its
        weight were one. Numbers are passed on, and nothing is multiplied.
    """
    n = size if is_spiking else 0
    return FanOut(np.full(size, int(is_spiking), np.int64), n, 0, 0, n)


def fan_out(op: Operator, is_nonzero: np.ndarray) -> FanOut:
    """
    Return the synapses of the source of an operator.

    Parameters
    ----------
    op : DotInc or SparseDotInc or ElementwiseInc or ConvInc or ConvTransposeInc
        The operator that multiplies a source with weights.
    is_nonzero : array of bool
        Which weights are not zero; for sparse matrices, of those that are stored.

    Returns
    -------
    fan_out : FanOut
    """
    synapses = _synapses(op, is_nonzero)
    dense = _synapses(op, np.ones_like(is_nonzero))
    n_nonzero = int(np.count_nonzero(is_nonzero))
    possible = is_nonzero.size
    if isinstance(op, SparseDotInc):
        possible = math.prod(op.reads[0].shape)
    return FanOut(
        synapses, int(dense.sum()), is_nonzero.size, possible - n_nonzero, possible
    )


def _synapses(op: Operator, is_nonzero: np.ndarray) -> np.ndarray:
    """Return for each element of the source how many of the weights it reaches."""
    weights, source = op.reads[:2]
    if isinstance(op, (ConvInc, ConvTransposeInc)):
        return convolution_synapses(op.conv, is_nonzero.reshape(op.conv.kernel_shape))
    if isinstance(op, SparseDotInc):
        columns = sparse_indices(weights)[0][:, 1]
        return np.bincount(columns[is_nonzero.ravel()], minlength=source.size)
    if isinstance(op, DotInc):
        return np.count_nonzero(is_nonzero, axis=0)
    # a diagonal, or one number for all elements
    return np.broadcast_to(is_nonzero.astype(np.int64), source.shape).ravel()


def convolution_synapses(
    conv: Convolution | ConvolutionTranspose, is_nonzero: np.ndarray
) -> np.ndarray:
    """
    Return the synapses of each element of the input of a convolution.

    Parameters
    ----------
    conv : nengo.Convolution or nengo.ConvolutionTranspose
        The transform.
    is_nonzero : (*kernel_size, channels / groups, filters) array of bool
        Which weights of the kernel are not zero.

    Returns
    -------
    synapses : (conv.size_in,) array of int
        In the order of the elements of the input. What would fall beyond the border of
        the output is not counted.
    """
    *size, channels, filters = is_nonzero.shape
    groups = conv.groups
    by_group = is_nonzero.reshape(*size, channels, groups, filters // groups)
    counts = np.moveaxis(by_group.sum(axis=-1), -1, -2).reshape(*size, -1)
    for axis, reached in enumerate(_reached_positions(conv)):
        # replaces an axis of the kernel by one of the input
        counts = np.moveaxis(np.tensordot(reached, counts, (1, axis)), 0, axis)
    if not conv.channels_last:
        counts = np.moveaxis(counts, -1, 0)
    return counts.ravel().astype(np.int64)


def _reached_positions(
    conv: Convolution | ConvolutionTranspose,
) -> list[np.ndarray]:
    """
    Say which elements of the kernel bring each position of the input to the output.

    Returns
    -------
    reached : list of (n_in, kernel_size) array of bool
        For each spatial axis. With stride ``s``, ``p`` zeros in front, and position
        ``k`` in the kernel, output ``o`` reads the input ``i = o s + k - p``. The
        transpose writes output ``i s + k - p``.
    """
    is_transpose = isinstance(conv, ConvolutionTranspose)
    reached = []
    for n_in, n_out, n_kernel, stride in zip(
        conv.input_shape.spatial_shape,
        conv.output_shape.spatial_shape,
        conv.kernel_size,
        conv.strides,
    ):
        large, small = (n_out, n_in) if is_transpose else (n_in, n_out)
        padding = 0
        if conv.padding == "same":
            padding = max((small - 1) * stride + n_kernel - large, 0) // 2
        i, k = np.arange(n_in)[:, None], np.arange(n_kernel)
        if is_transpose:
            o = i * stride + k - padding
            is_whole = np.ones(o.shape, bool)
        else:
            o, rest = np.divmod(i + padding - k, stride)
            is_whole = rest == 0
        reached.append(is_whole & (o >= 0) & (o < n_out))
    return reached
