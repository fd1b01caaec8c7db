"""
Correct the mean error of every layer, in forward order.

In: thresholds, and a batch of data. Out: biases and start voltages with which the
neurons put out, on average, what the activations of the Keras model are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.converter.calibration.sites import Site, forward
from nengo_dl.converter.calibration.spikes import (
    Population,
    population_spikes,
    run_spiking,
)
from nengo_dl.converter.calibration.thresholds import by_channel
from nengo_dl.converter.conversion import Conversion

CORRECTIONS = ("both", "voltage", "bias", "none")


def correct(
    converter: Conversion,
    sites: Sequence[Site],
    populations: Sequence[Population],
    inputs: Sequence[np.ndarray],
    n_steps: int,
    correction: str,
) -> None:
    r"""
    Set the biases and start voltages of populations.

    With the activations :math:`a` of the Keras model, and those that the spikes stand
    for, :math:`\tilde a`,

    .. math::

       b_c \leftarrow b_c + \text{mean}(a_c - \tilde a_c), \qquad
       v_i \leftarrow v_i + \frac{T}{\theta} \text{mean}(a_i - \tilde a_i)

    for every channel :math:`c` (the mean is over items and space), and then for every
    neuron :math:`i` (over items). What a start voltage adds becomes less with the
    number of steps, as does the error; a bias stays.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    sites, populations : list
        Its neurons, and what is decided about them, which is changed.
    inputs : list of (batch_size, ...) array
        One for each input of the model.
    n_steps : int
        Number of steps :math:`T`.
    correction : {"both", "voltage", "bias", "none"}
        What is corrected.
    """
    if correction == "none":
        return
    activations = activations_of(converter, sites, inputs)

    def adjust(index: int, current: Any, spikes: Any) -> Any:
        site, population = sites[index], populations[index]
        unit = site.per_channel(population.thresholds).astype(np.float32)

        def error() -> np.ndarray:
            return activations[index] - unit * tf.reduce_mean(spikes, axis=0).numpy()

        if correction in ("bias", "both"):
            population.biases = population.biases + by_channel(site, error()).mean(0)
            spikes = population_spikes(site, population, current)
        if correction in ("voltage", "both"):
            missing = n_steps * np.mean(error() / unit, axis=0)
            population.voltages = population.voltages + missing
            spikes = population_spikes(site, population, current)
        return spikes

    run_spiking(converter, sites, populations, inputs, n_steps, adjust)


def activations_of(
    converter: Conversion, sites: Sequence[Site], inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return activations of the Keras model, ``(batch_size, ...)`` for each site."""
    found: list[np.ndarray] = []

    def note(index: int, current: Any) -> Any:
        output = sites[index].activation(current)
        found.append(output.numpy())
        return output

    forward(converter, sites, inputs, note)
    return found
