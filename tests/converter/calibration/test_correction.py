import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.converter.calibration.correction import activations_of, correct
from nengo_dl.converter.calibration.sites import find_sites
from nengo_dl.converter.calibration.spikes import Population, run_spiking

N_STEPS = 6


@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo_dl.IntegrateAndFire(max_spikes=1),
        nengo_dl.IntegrateAndFire(max_spikes=1, retract=False),
        nengo.SpikingRectifiedLinear(),
    ],
    ids=str,
)
@pytest.mark.parametrize("correction", ["voltage", "bias", "both"])
def test_mean_errors_become_small(converter, points, neuron_type, correction):
    """Mean errors of channels, over all items."""
    sites = find_sites(converter)
    x = [points[0][:128]]
    wanted = activations_of(converter, sites, x)

    def mean_errors(populations):
        errors = []

        def note(index, current, spikes):
            unit = sites[index].per_channel(populations[index].thresholds)
            found = unit * tf.reduce_mean(spikes, axis=0)
            errors.append(np.abs(np.mean(found - wanted[index], axis=0)).mean())
            return spikes

        run_spiking(converter, sites, populations, x, N_STEPS, note)
        return np.array(errors)

    populations = [
        Population.uncorrected(
            site, neuron_type, np.percentile(values, 90, axis=0) + 0.1
        )
        for site, values in zip(sites, wanted)
    ]
    before = mean_errors(populations)
    correct(converter, sites, populations, x, N_STEPS, correction)
    assert mean_errors(populations).sum() < 0.75 * before.sum()
    for population in populations:
        assert np.any(population.biases != 0) == (correction != "voltage")
        assert np.any(population.voltages != 0.5) == (correction != "bias")


def test_no_correction(converter, points):
    sites = find_sites(converter)
    neuron_type = nengo_dl.IntegrateAndFire()
    populations = [
        Population.uncorrected(site, neuron_type, np.ones(site.n_channels))
        for site in sites
    ]
    correct(converter, sites, populations, [points[0]], N_STEPS, "none")
    assert all(np.all(population.voltages == 0.5) for population in populations)
