"""
Spikes of a converted network, layer by layer over all steps.

In: thresholds, start voltages and biases. Out: what the neurons put out in every step.
There are no loops in a converted network, so that every layer can be computed for all
steps at once: the steps are rows of one large batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from nengo.neurons import NeuronType, SpikingRectifiedLinear

from nengo_dl.converter.calibration.sites import Site, forward
from nengo_dl.converter.conversion import Conversion
from nengo_dl.neurons import IntegrateAndFire


@dataclass
class Population:
    """
    What calibration decides about a population of neurons.

    Parameters
    ----------
    neuron_type : nengo.neurons.NeuronType
        `.IntegrateAndFire` or `nengo.SpikingRectifiedLinear`.
    thresholds : (n_channels,) array
        Activations that one spike in one step stands for.
    biases : (n_channels,) array
        Added to the activations.
    voltages : (...) array
        Voltage of every neuron at the start, of the shape of an item.
    """

    neuron_type: NeuronType
    thresholds: np.ndarray
    biases: np.ndarray
    voltages: np.ndarray

    @classmethod
    def uncorrected(
        cls, site: Site, neuron_type: NeuronType, thresholds: np.ndarray
    ) -> Population:
        """Return a population that starts halfway to the first spike."""
        return cls(
            neuron_type,
            thresholds,
            np.zeros_like(thresholds),
            np.full(site.shape, 0.5),
        )


def spike_counts(current: Any, voltages: np.ndarray, neuron_type: NeuronType) -> Any:
    """
    Run neurons over all steps.

    Parameters
    ----------
    current : (n_steps, batch_size, ...) tensor
        Charge per step, in units of the threshold.
    voltages : (...) array
        At the start.
    neuron_type : nengo.neurons.NeuronType
        Type of the neurons.

    Returns
    -------
    spikes : (n_steps, batch_size, ...) tensor
        Number of spikes in every step.
    """
    voltage = tf.zeros_like(current[0]) + tf.cast(voltages, current.dtype)
    if isinstance(neuron_type, SpikingRectifiedLinear):
        charge = voltage + tf.cumsum(tf.nn.relu(current))
        return _differences(tf.floor(charge))
    assert isinstance(neuron_type, IntegrateAndFire)
    largest, lowest = neuron_type.max_spikes, neuron_type.min_voltage
    if largest is None and neuron_type.retract and lowest is None:
        charge = voltage + tf.cumsum(current)
        return _differences(tf.nn.relu(tf.floor(charge)))
    so_far = tf.zeros_like(voltage)
    spikes = []
    for charge in tf.unstack(current):
        voltage = voltage + charge
        n = tf.floor(voltage)
        if largest is not None:
            n = tf.clip_by_value(n, -largest, largest)
        n = tf.maximum(n, -so_far if neuron_type.retract else tf.zeros_like(n))
        voltage, so_far = voltage - n, so_far + n
        if lowest is not None:
            voltage = tf.maximum(voltage, lowest)
        spikes.append(n)
    return tf.stack(spikes)


def _differences(total: Any) -> Any:
    """Return the spikes of every step, given those of all steps so far."""
    return tf.concat([total[:1], total[1:] - total[:-1]], axis=0)


def run_spiking(
    converter: Conversion,
    sites: Sequence[Site],
    populations: Sequence[Population],
    inputs: Sequence[np.ndarray],
    n_steps: int,
    on_spikes: Callable[[int, Any, Any], Any] | None = None,
) -> list[np.ndarray]:
    """
    Run the converted network, with constant inputs.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    sites, populations : list
        Its neurons, and what is decided about them.
    inputs : list of (batch_size, ...) array
        One for each input of the model.
    n_steps : int
        Number of steps.
    on_spikes : callable, optional
        ``on_spikes(index, current, spikes)`` is called for each population, with the
        current in units of activations and the spikes of all steps,
        ``(n_steps, batch_size, ...)``; it returns the spikes to go on with.

    Returns
    -------
    outputs : list of (n_steps, batch_size, ...) array
        What the network puts out in every step.
    """
    batch_size = len(inputs[0])

    def spike(index: int, current: Any) -> Any:
        site, population = sites[index], populations[index]
        steps = tf.reshape(current, (n_steps, batch_size, *current.shape[1:]))
        spikes = population_spikes(site, population, steps)
        if on_spikes is not None:
            spikes = on_spikes(index, steps, spikes)
        unit = tf.cast(site.per_channel(population.thresholds), current.dtype)
        return tf.reshape(spikes * unit, tf.shape(current))

    rows = [np.tile(x, (n_steps, *[1] * (x.ndim - 1))) for x in inputs]
    outputs = forward(converter, sites, rows, spike, spiking=True)
    return [
        np.reshape(output, (n_steps, batch_size, *output.shape[1:]))
        for output in outputs
    ]


def population_spikes(site: Site, population: Population, current: Any) -> Any:
    """Return the spikes for currents ``(n_steps, batch_size, ...)`` of activations."""
    biases = tf.cast(site.per_channel(population.biases), current.dtype)
    unit = tf.cast(site.per_channel(population.thresholds), current.dtype)
    return spike_counts(
        (current + biases) / unit, population.voltages, population.neuron_type
    )
