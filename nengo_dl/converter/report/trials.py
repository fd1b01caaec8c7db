"""
Predict errors by a trial: run the network on a few items.

In: a conversion. Out: the errors of its neurons on items that it was not calibrated on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.converter.calibration.correction import activations_of
from nengo_dl.converter.calibration.data import Data
from nengo_dl.converter.calibration.rescaling import gain_and_bias
from nengo_dl.converter.calibration.sites import Site, find_sites
from nengo_dl.converter.calibration.spikes import Population, run_spiking
from nengo_dl.converter.conversion import DT, Conversion

# Items of a trial.
N_ITEMS = 64


def predicted_errors(
    converter: Conversion, data: Data, n_steps: int
) -> dict[tuple, float]:
    """
    Predict the error of every population.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    data : Data
        What to try, if the network has not been calibrated.
    n_steps : int
        Number of steps.

    Returns
    -------
    errors : dict of {tuple of Call: float}
        By path, the root of the mean squared difference between mean outputs and
        activations of the Keras model.
    """
    calibration = converter.calibration
    if calibration is not None:
        sites, populations = calibration.sites, calibration.populations
        items = calibration.held_out.part(0, N_ITEMS)
    else:
        sites = [s for s in find_sites(converter) if s.neuron_type.spiking]
        populations = [_population(site) for site in sites]
        items = data.part(0, N_ITEMS)
    activations = activations_of(converter, sites, items.inputs)
    errors: dict[tuple, float] = {}

    def note(index: int, current: Any, spikes: Any) -> Any:
        site, thresholds = sites[index], populations[index].thresholds
        found = site.per_channel(thresholds) * tf.reduce_mean(spikes, axis=0).numpy()
        difference = found - activations[index]
        errors[site.path] = float(np.sqrt(np.mean(difference**2)))
        return spikes

    run_spiking(converter, sites, populations, items.inputs, n_steps, note)
    return errors


def _population(site: Site) -> Population:
    """Return what the network has, which is not calibrated."""
    ensemble = site.neurons.ensemble
    threshold = 1 / (gain_and_bias(ensemble)[0][0] * DT)
    thresholds = np.full(site.n_channels, threshold)
    return Population.uncorrected(site, site.neuron_type, thresholds)
