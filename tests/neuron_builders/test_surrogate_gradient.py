"""Spiking neurons that are trained by their step, with a gradient of their own."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from neuron_oracle import make_builder, run_builder

import nengo_dl
from nengo_dl.neuron_builders import LIFBuilder, SimNeuronsBuilder


class SurrogateLIF(nengo.LIF):
    """Spikes like its parent."""


@tf.custom_gradient
def spike(x):
    return tf.cast(x > 0, x.dtype), lambda dy: dy / (1 + 10 * tf.abs(x)) ** 2


class SurrogateLIFBuilder(LIFBuilder):
    trained_by_step = True

    def spikes(self, voltage):
        return self.alpha * spike(voltage - 1)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(
        SimNeuronsBuilder.TF_NEURON_IMPL, SurrogateLIF, SurrogateLIFBuilder
    )


J = tf.constant([-1.0, 1.0, 20.0, 60.0], tf.float64)


@pytest.mark.parametrize("training", [False, True])
def test_step_runs_in_training(training):
    expected, expected_state = run_builder(J, nengo.LIF())
    output, state = run_builder(J, SurrogateLIF(), training=training)
    assert output[0, 3] == 1000
    np.testing.assert_array_equal(output, expected)
    for name, value in expected_state.items():
        np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize("tau_rc", [0.02, 0.005])
def test_gradient(tau_rc):
    """The gradient of a step is that of `spike`; that of the next step is finite."""
    builder, signals = make_builder(SurrogateLIF(tau_rc=tau_rc), training=True)
    (op,) = builder.ops
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(J)
        signals.scatter(op.J, tf.broadcast_to(J, (2, 4)))
        outputs = []
        for _ in range(2):
            builder.build_step(signals)
            outputs.append(signals.gather(op.output))
    first, second = (tape.gradient(output, J).numpy() for output in outputs)
    weight = 1 - np.exp(-0.001 / tau_rc)
    before = op.state["voltage"].initial_value
    distance = np.abs(before + (J.numpy() - before) * weight - 1)
    np.testing.assert_allclose(first, 2 * 1000 * weight / (1 + 10 * distance) ** 2)
    assert np.isfinite(second).all() and (second[:2] > 0).all()


@pytest.mark.training
def test_training_through_spikes(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(trainable=None)
        stimulus = nengo.Node([0.5])
        ens = nengo.Ensemble(20, 1, neuron_type=SurrogateLIF())
        net.config[nengo.Connection].trainable = False
        nengo.Connection(stimulus, ens, synapse=None)
        probe = nengo.Probe(ens, synapse=0.01)
    with Simulator(net, minibatch_size=1, unroll_simulation=1) as sim:
        x, y = {stimulus: np.full((1, 30, 1), 0.5)}, {probe: np.full((1, 30, 1), 1)}
        sim.compile(tf.optimizers.Adam(1.0), loss="mse")
        losses = sim.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]
