r"""
Thresholds: how large an activation one spike stands for.

In: activations of a Keras model on data. Out: a threshold :math:`\theta_c` for every
channel :math:`c`. A neuron that emits :math:`n` spikes in :math:`T` steps represents
the activation :math:`n \theta_c / T`; with one spike per step at most, nothing above
:math:`\theta_c`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.converter.calibration.sites import Site, forward
from nengo_dl.converter.conversion import Conversion

METHODS = ("percentile", "max", "least_squares", "ltb")

# Activations per channel that percentiles are taken of, and passes of `ltb`.
MAX_SAMPLES = 50_000
N_LTB_PASSES = 16

# Channels that are never active get this share of the largest threshold of the layer.
MIN_SHARE = 0.01


def find_thresholds(
    converter: Conversion,
    sites: Sequence[Site],
    batches: Sequence[Sequence[np.ndarray]],
    method: str,
    n_steps: int,
    percentile: float = 99.9,
) -> list[np.ndarray]:
    r"""
    Choose thresholds from the activations of the Keras model.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    sites : list of Site
        Its neurons.
    batches : list of list of array
        Data: for every batch, an array for each input of the model.
    method : {"percentile", "max", "least_squares", "ltb"}
        - ``percentile``: of the activations of a channel over items and space.
        - ``max``: the largest of them.
        - ``least_squares``: the one that minimises
          :math:`\sum (a - \frac{\theta}{T} \text{clip}(\lfloor T a / \theta +
          \frac{1}{2} \rfloor, 0, T))^2` over activations :math:`a` (Li et al., 2021).
        - ``ltb``: local threshold balancing (Bu et al., 2024), layer by layer
          :math:`\theta \leftarrow \theta + 2\, \text{mean}(\text{relu}(a - \theta))`,
          with activations that are cut off at the thresholds before them.
    n_steps : int
        Number of steps :math:`T`, for ``least_squares``.
    percentile : float
        For ``percentile``, between 0 and 100.

    Returns
    -------
    thresholds : list of (n_channels,) array
        One for each site; of one element where all neurons have the same threshold.

    References
    ----------
    .. [1] Li, Y., Deng, S., Dong, X., Gong, R., & Gu, S. (2021). A free lunch from ANN:
       Towards efficient, accurate spiking neural networks calibration. ICML.
    .. [2] Bu, T., Li, M., & Yu, Z. (2024). Training-free conversion of pretrained ANNs
       to SNNs for low-power and high-performance applications. arXiv:2409.03368.
    """
    if method == "ltb":
        return _local_threshold_balancing(converter, sites, batches)
    samples = _sample_activations(converter, sites, batches)
    if method == "max":
        found = [values.max(axis=0) for values in samples]
    else:
        found = [np.percentile(values, percentile, axis=0) for values in samples]
    if method == "least_squares":
        found = [_least_squares(values, n_steps) for values in samples]
    return [_at_least(thresholds) for thresholds in found]


def _at_least(thresholds: np.ndarray) -> np.ndarray:
    """Give channels that are never active a small threshold."""
    largest = thresholds.max()
    return np.maximum(thresholds, MIN_SHARE * largest if largest > 0 else 1)


def _sample_activations(
    converter: Conversion,
    sites: Sequence[Site],
    batches: Sequence[Sequence[np.ndarray]],
) -> list[np.ndarray]:
    """Return ``(n_samples, n_channels)`` activations of each site, drawn evenly."""
    found: list[list[np.ndarray]] = [[] for _ in sites]
    rng = np.random.RandomState(0)
    n_samples = -(-MAX_SAMPLES // len(batches))

    def note(index: int, current: Any) -> Any:
        output = sites[index].activation(current)
        values = by_channel(sites[index], output.numpy())
        if len(values) > n_samples:
            values = values[rng.choice(len(values), n_samples, replace=False)]
        found[index].append(values)
        return output

    for batch in batches:
        forward(converter, sites, batch, note)
    return [np.concatenate(values) for values in found]


def by_channel(site: Site, values: np.ndarray) -> np.ndarray:
    """Return activations of a batch as ``(n, n_channels)``; one channel if alike."""
    if site.channel_axis is None:
        return values.reshape(-1, 1)
    values = np.moveaxis(values, site.channel_axis + 1, -1)
    return values.reshape(-1, values.shape[-1])


def _least_squares(values: np.ndarray, n_steps: int) -> np.ndarray:
    largest = values.max(axis=0)
    best, smallest = largest, np.full_like(largest, np.inf)
    for share in 1 - 0.01 * np.arange(95):
        theta = np.where(largest > 0, largest * share, 1)
        n = np.clip(np.floor(values / theta * n_steps + 0.5), 0, n_steps)
        error = ((values - theta / n_steps * n) ** 2).sum(axis=0)
        best = np.where(error < smallest, theta, best)
        smallest = np.minimum(smallest, error)
    return np.where(largest > 0, best, 0)


def _local_threshold_balancing(
    converter: Conversion,
    sites: Sequence[Site],
    batches: Sequence[Sequence[np.ndarray]],
) -> list[np.ndarray]:
    thresholds = [np.zeros(site.n_channels) for site in sites]

    def balance(index: int, current: Any) -> Any:
        site = sites[index]
        output = site.activation(current)
        above = by_channel(site, output.numpy()) - thresholds[index]
        thresholds[index] += 2 * np.maximum(above, 0).mean(axis=0)
        limit = tf.cast(site.per_channel(thresholds[index]), output.dtype)
        return tf.minimum(output, limit)

    for _ in range(N_LTB_PASSES):
        for batch in batches:
            forward(converter, sites, batch, balance)
    return [_at_least(values) for values in thresholds]
