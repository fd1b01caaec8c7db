import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.converter.calibration.rescaling import apply
from nengo_dl.converter.calibration.sites import find_sites
from nengo_dl.converter.calibration.spikes import (
    Population,
    run_spiking,
    spike_counts,
)

NEURON_TYPES = [
    nengo_dl.IntegrateAndFire(),
    nengo_dl.IntegrateAndFire(max_spikes=1),
    nengo_dl.IntegrateAndFire(max_spikes=1, retract=False),
    nengo_dl.IntegrateAndFire(retract=False, min_voltage=-0.5),
    nengo.SpikingRectifiedLinear(),
]


@pytest.mark.parametrize("neuron_type", NEURON_TYPES, ids=str)
def test_spikes_are_those_of_the_neuron_type(neuron_type):
    """The neurons' own step, one step after the other."""
    rng = np.random.RandomState(0)
    n_steps, size = 50, 200
    current = rng.normal(0.1, 1, size=(n_steps, size))
    voltage = rng.uniform(size=size)
    spikes = spike_counts(current, voltage, neuron_type).numpy()

    state = {"voltage": voltage.copy()}
    if isinstance(neuron_type, nengo_dl.IntegrateAndFire):
        state["spike_count"] = np.zeros(size)
    output = np.zeros(size)
    for step in range(n_steps):
        # with steps of one second, an output of one is one spike
        neuron_type.step(1, current[step], output, **state)
        np.testing.assert_array_equal(spikes[step], output)
    assert np.any(spikes < 0) == neuron_type.negative


def populations_of(sites, neuron_type, rng):
    return [
        Population(
            neuron_type,
            rng.uniform(0.2, 1, site.n_channels),
            rng.normal(0, 0.1, site.n_channels),
            rng.uniform(size=site.shape),
        )
        for site in sites
    ]


@pytest.mark.parametrize("neuron_type", NEURON_TYPES[:3], ids=str)
def test_same_as_nengo(converter, points, neuron_type):
    """What is computed layer by layer is what the network does in Nengo."""
    sites = find_sites(converter)
    populations = populations_of(sites, neuron_type, np.random.RandomState(1))
    x = points[0][:1]
    spikes = []

    def note(index, current, found):
        spikes.append(found.numpy()[:, 0])
        return found

    (outputs,) = run_spiking(converter, sites, populations, [x], 20, note)
    for site, population in zip(sites, populations):
        apply(converter.net, site, population, np.zeros(1))
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    node.output = x[0]
    with converter.net:
        probes = [nengo.Probe(site.neurons) for site in sites]
    with nengo.Simulator(converter.net, progress_bar=False) as sim:
        sim.run_steps(20)
    for found, own, site in zip(spikes, probes, sites):
        unit = site.neurons.ensemble.neuron_type.amplitude / sim.dt
        np.testing.assert_allclose(found, sim.data[own] / unit, atol=1e-6)
        assert np.abs(found).sum() > 10
    np.testing.assert_allclose(outputs[:, 0], sim.data[probe], atol=1e-4)
