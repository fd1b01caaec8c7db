"""Neurons that turn the rates of others into spikes."""

from __future__ import annotations

import pickle

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.dists import Uniform
from neuron_oracle import run_builder

import nengo_dl


@pytest.mark.parametrize(
    "cls", [nengo.RegularSpiking, nengo.StochasticSpiking, nengo.PoissonSpiking]
)
def test_training_version_of_rates_to_spikes(cls):
    J = tf.constant([-10.0, 0.0, 5.0, 200.0], tf.float64)
    output, _ = run_builder(J, cls(nengo.Tanh(), amplitude=0.1), training=True)
    np.testing.assert_allclose(output[1], [-1, 0, 0.5, 20])


@pytest.mark.parametrize("inference_only", [False, True])
def test_regular_spiking(inference_only, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(inference_only=inference_only)
        inp = nengo.Node([0.5])
        for neuron_type in (
            nengo.RegularSpiking(nengo.RectifiedLinear(), amplitude=2),
            nengo.SpikingRectifiedLinear(amplitude=2),
        ):
            ens = nengo.Ensemble(10, 1, neuron_type=neuron_type, seed=0)
            nengo.Connection(inp, ens, synapse=None)
            nengo.Probe(ens.neurons)
    with Simulator(net) as sim:
        sim.run_steps(50)
        actual, expected = (sim.data[probe] for probe in net.all_probes)
    assert np.any(expected)
    np.testing.assert_allclose(actual, expected)


@pytest.mark.parametrize("cls", [nengo.StochasticSpiking, nengo.PoissonSpiking])
@pytest.mark.parametrize("inference_only", [False, True])
def test_random_spiking(Simulator, cls, inference_only):
    n_steps = 1500
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(inference_only=inference_only)
        ens = nengo.Ensemble(
            10,
            1,
            neuron_type=cls(nengo.Tanh(), amplitude=2),
            max_rates=Uniform(100, 380),
        )
        spikes = nengo.Probe(ens.neurons)
        rates = nengo.Probe(ens.neurons, "rate_out")

    with Simulator(net, minibatch_size=8) as sim:
        sim.run_steps(n_steps)
        data = sim.data[spikes].copy()
        expected = 2 * sim.data[rates][0, 0]
        sim.reset()
        sim.run_steps(n_steps // 2)
        sim.run_steps(n_steps - n_steps // 2)
        np.testing.assert_array_equal(sim.data[spikes], data)

    np.testing.assert_array_equal(data / 2000, np.rint(data / 2000))
    mean = data.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, expected, rtol=0.1, atol=8)
    # spikes per step: Bernoulli (or Poisson) variance, different in every item
    p = np.abs(expected) / 2 * 0.001
    variance = p * (1 - p) if cls is nengo.StochasticSpiking else p
    np.testing.assert_allclose(
        (data * 0.001 / 2).var(axis=(0, 1)), variance, rtol=0.15, atol=0.005
    )
    assert np.any(data[0] != data[1]) and np.any(data[:, :700] != data[:, 700:1400])


@pytest.mark.parametrize("cls", [nengo.StochasticSpiking, nengo.PoissonSpiking])
def test_seed_of_the_simulator_reaches_random_spikes(cls, Simulator):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(20, 1, neuron_type=cls(nengo.LIFRate()))
        nengo.Probe(ens.neurons)

    def spikes(sim):
        sim.run_steps(50)
        return sim.data[sim.model.toplevel.all_probes[0]]

    with Simulator(net, minibatch_size=2, seed=1) as sim:
        first = spikes(sim)
        assert (first[0] != first[1]).any()
        with pytest.warns(UserWarning, match="Changing the seed"):
            sim.reset(seed=2)
        second = spikes(sim)
        assert (first != second).any()
        sim.reset()
        assert (spikes(sim) == second).all()
        copy = pickle.loads(pickle.dumps(sim))
    with copy:
        copy.reset()
        assert (spikes(copy) == second).all()
    for seed, expected in ((1, first), (2, second)):
        with Simulator(net, minibatch_size=2, seed=seed) as sim:
            assert (spikes(sim) == expected).all()
