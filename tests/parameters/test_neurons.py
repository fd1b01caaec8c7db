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


def test_biases_of_neurons_without_decoders(Simulator, tmp_path):
    """They are parameters themselves, and nothing else was computed from them."""

    def make(bias, gain=1):
        with nengo.Network(seed=0) as net:
            node = nengo.Node([1])
            neurons = nengo.Ensemble(
                2, 1, gain=[gain] * 2, bias=[bias] * 2, label="a"
            ).neurons
            nengo.Connection(node, neurons, transform=np.ones((2, 1)))
        return net

    with Simulator(make(1), unroll_simulation=1) as sim:
        sim.save_params(tmp_path / "params")
    with Simulator(make(2), unroll_simulation=1) as sim:
        sim.load_params(tmp_path / "params")
    with Simulator(make(1, gain=3), unroll_simulation=1) as sim:
        with pytest.warns(UserWarning, match="other gains"):
            sim.load_params(tmp_path / "params")
