"""Neurons that put out firing rates; ``test_reference`` compares them with Nengo."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.dists import Uniform
from neuron_oracle import make_builder

import nengo_dl
from nengo_dl.neuron_builders.rates import lif_rate, soft_lif_rate

RATE_TYPES = [
    nengo.RectifiedLinear(),
    nengo.Sigmoid(),
    nengo.Tanh(),
    nengo.LIFRate(),
    nengo.AdaptiveLIFRate(),
    nengo_dl.SoftLIFRate(),
    nengo_dl.LeakyReLU(),
]


@pytest.mark.filterwarnings("ignore")  # Nengo's, of these gains and biases
def test_single_precision():
    with nengo.Network(seed=0) as net:
        stim = nengo.Node([0.5])
        for neuron_type in RATE_TYPES:
            ens = nengo.Ensemble(
                11,
                1,
                neuron_type=neuron_type,
                gain=Uniform(1, 8),
                bias=Uniform(-2, 3),
            )
            nengo.Connection(stim, ens, synapse=None)
            nengo.Probe(ens.neurons)
    with nengo_dl.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(20)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    for probe in net.all_probes:
        np.testing.assert_allclose(
            sim.data[probe], ref.data[probe], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lif_rate_gradient_is_finite(dtype):
    epsilon = make_builder(nengo.LIFRate(), dtype)[0].built_neurons.epsilon
    eps = np.finfo(dtype).eps
    J = tf.constant([-np.inf, -1e4, 0, 1 - eps, 1, 1 + eps, 1.1, 2, 10, 1e3], dtype)
    tau_rc, tau_ref = tf.constant(0.02, dtype), tf.constant(0.002, dtype)
    with tf.GradientTape() as tape:
        tape.watch(J)
        rates = lif_rate(J, tau_rc, tau_ref, epsilon)
    gradient = tape.gradient(rates, J).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient[:5] == 0) and np.all(gradient[6:8] > 0)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_lif_rate_gradients(jit_compile):
    """The first one, and that of the first one, by the steps of the formula."""
    tau_rc, tau_ref, epsilon = (
        tf.constant(v, tf.float64) for v in (0.02, 0.002, 1e-15)
    )

    def by_steps(J):
        q = tf.math.log1p(1 / tf.maximum(J - 1, epsilon))
        return tf.where(J > 1, 1 / (tau_ref + tau_rc * q), tf.zeros_like(J))

    def gradients(function, J):
        with tf.GradientTape() as outer:
            outer.watch(J)
            with tf.GradientTape() as tape:
                tape.watch(J)
                rates = function(J)
            first = tape.gradient(rates, J)
        return rates, first, outer.gradient(first, J)

    J = tf.constant([-3, 0, 1, 1 + 1e-9, 1.01, 2, 50], tf.float64)
    run = tf.function(gradients, jit_compile=jit_compile, autograph=False)
    found = run(lambda J: lif_rate(J, tau_rc, tau_ref, epsilon), J)
    for value, expected in zip(found, run(by_steps, J)):
        np.testing.assert_allclose(value, expected, rtol=1e-9)
    assert np.all(found[1][3:] > 0)


def test_soft_lif_rate_gradient_is_finite_in_half_precision():
    J = tf.constant([-10, 0, 1, 1.1, 2, 10, 1e3], tf.float16)
    tau_rc, tau_ref, sigma = (tf.constant(v, tf.float16) for v in (0.02, 0.002, 0.02))
    with tf.GradientTape() as tape:
        tape.watch(J)
        rates = soft_lif_rate(J, tau_rc, tau_ref, sigma)
    gradient = tape.gradient(rates, J).numpy()
    assert rates.dtype == tf.float16
    assert np.all(np.isfinite(gradient)) and np.all(gradient[2:6] > 0)
