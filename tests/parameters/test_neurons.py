"""Parameters depend on how the neurons were built."""

import nengo
import numpy as np
import pytest
from parameters.networks import assert_equal_parameters, parameters


def test_neurons_that_were_built_differently(Simulator, tmp_path):
    def make(seed, **kwargs):
        with nengo.Network(seed=seed) as net:
            a, b, c = (nengo.Ensemble(10, 1, label=label, **kwargs) for label in "abc")
            nengo.Connection(a, b.neurons, transform=np.ones((10, 1)))
            nengo.Probe(c)
        return net

    with Simulator(make(0)) as sim:
        sim.save_params(tmp_path / "params")
        saved = parameters(sim)
    for neuron_type in (nengo.LIF(), nengo.LIFRate(), nengo.LIF(amplitude=0.1)):
        with Simulator(make(0, neuron_type=neuron_type)) as sim:
            sim.load_params(tmp_path / "params")
    with Simulator(make(1)) as sim:
        names = r"simulation .*: ensembles\['b'\], ensembles\['c'\]\. "
        with pytest.warns(UserWarning, match=f"other gains and biases.*{names}"):
            sim.load_params(tmp_path / "params")
        assert_equal_parameters(parameters(sim), saved)
