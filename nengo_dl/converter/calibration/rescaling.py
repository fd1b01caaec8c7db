r"""
Put thresholds, biases and start voltages into the network.

In: what calibration has decided about a population of neurons. Out: the gains, biases
and initial voltages of its Ensemble, and the transforms of the Connections that leave
it. Everything is an ordinary parameter of Nengo, so that every simulator runs the same.

The gain of a neuron is :math:`1 / (\theta dt)`, and its amplitude :math:`\theta' dt`
with the largest threshold :math:`\theta'` of the population; the weights of what it is
connected to are multiplied by :math:`\theta / \theta'`.
"""

from __future__ import annotations

from typing import Any

import nengo
import numpy as np
from nengo.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
    SparseMatrix,
    Transform,
)

from nengo_dl.converter.calibration.sites import Site
from nengo_dl.converter.calibration.spikes import Population
from nengo_dl.converter.conversion import DT
from nengo_dl.converter.scaling import copy_with


def apply(
    net: nengo.Network, site: Site, population: Population, offsets: np.ndarray
) -> None:
    """
    Change a population, and the connections from it.

    Parameters
    ----------
    net : nengo.Network
        The network.
    site : Site
        The neurons.
    population : Population
        What is decided about them.
    offsets : (n_channels,) array
        What an earlier calibration has added to the biases.
    """
    ensemble = site.neurons.ensemble
    old_gain, old_bias = gain_and_bias(ensemble)
    # what spikes are multiplied by in the connections; 1 before any calibration
    old_factors = 1 / (old_gain * ensemble.neuron_type.amplitude)
    thresholds = spread(site, population.thresholds)
    unit = float(thresholds.max())
    gain = 1 / (thresholds * DT)
    ensemble.neuron_type = copy_with(
        population.neuron_type,
        amplitude=unit * DT,
        initial_state={"voltage": population.voltages.ravel()},
    )
    ensemble.gain = gain
    ensemble.bias = gain * (
        old_bias / old_gain + spread(site, population.biases - offsets)
    )
    for conn in net.all_connections:
        if conn.pre_obj is site.neurons:
            factors = (thresholds / unit / old_factors)[conn.pre_slice]
            conn.transform = scaled(conn.transform, factors)


def spread(site: Site, values: np.ndarray) -> np.ndarray:
    """Return a value for every neuron."""
    return np.broadcast_to(site.per_channel(values)[0], site.shape).ravel()


def gain_and_bias(ensemble: nengo.Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """Return the gain and the bias of every neuron, as the converter sets them."""
    n = ensemble.n_neurons
    gain, bias = (nengo.dists.get_samples(v, n) for v in (ensemble.gain, ensemble.bias))
    return gain, bias


def scaled(transform: Transform, factors: np.ndarray) -> Transform:
    """
    Multiply the input of a transform.

    Parameters
    ----------
    transform : nengo.transforms.Transform
        The transform.
    factors : (size_in,) array
        For every element of its input.

    Returns
    -------
    transform : nengo.transforms.Transform
        The same one if all factors are one.

    Raises
    ------
    NotImplementedError
        If the type of the transform is unknown, or the channels of a convolution would
        need different factors in different places.
    """
    if (factors == 1).all():
        return transform
    if isinstance(transform, NoTransform):
        return Dense((len(factors), len(factors)), init=factors)
    if isinstance(transform, Dense):
        init = np.asarray(transform.init)
        return Dense(transform.shape, init=init * factors)
    if isinstance(transform, Sparse):
        rows, columns, data = _entries(transform.init)
        indices = np.stack([rows, columns], axis=1)
        return Sparse(transform.shape, indices, init=data * factors[columns])
    if isinstance(transform, (Convolution, ConvolutionTranspose)):
        return copy_with(transform, init=_scaled_kernel(transform, factors))
    raise NotImplementedError(
        f"Cannot change the scale of the input of {transform}; calibration knows "
        "dense, sparse and convolutional transforms"
    )


def _scaled_kernel(conv: Any, factors: np.ndarray) -> np.ndarray:
    """Multiply the input channels of a kernel, ``(..., n_channels, n_filters)``."""
    factors = factors.reshape(conv.input_shape.shape)
    if not conv.channels_last:
        factors = np.moveaxis(factors, 0, -1)
    factors = factors.reshape(-1, factors.shape[-1])
    if not (factors == factors[0]).all():
        raise NotImplementedError(
            f"The channels of {conv} have different thresholds in different places"
        )
    kernel = np.asarray(conv.init)
    *_, n_in, n_filters = kernel.shape
    groups = len(factors[0]) // n_in
    by_group = factors[0].reshape(groups, n_in)
    # filters are ordered by group
    return kernel * np.repeat(by_group, n_filters // groups, axis=0).T


def _entries(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, columns and values of a sparse matrix of Nengo or SciPy."""
    if isinstance(matrix, SparseMatrix):
        rows, columns = np.transpose(matrix.indices)
        return rows, columns, np.asarray(matrix.data)
    entries = matrix.tocoo()
    return entries.row, entries.col, entries.data
