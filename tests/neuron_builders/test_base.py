"""What all builders of neurons have in common: training versions, and shapes."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.dists import Choice
from neuron_oracle import make_builder, run_builder

import nengo_dl

TRAINING_VERSIONS = [
    (nengo.LIF(amplitude=0.1), nengo.LIFRate(amplitude=0.1), {}),
    (nengo.LIF(), nengo_dl.SoftLIFRate(sigma=0.5), {"lif_smoothing": 0.5}),
    (
        nengo.SpikingRectifiedLinear(amplitude=0.1),
        nengo.RectifiedLinear(amplitude=0.1),
        {},
    ),
    (nengo_dl.SpikingLeakyReLU(0.2), nengo_dl.LeakyReLU(0.2), {}),
    (
        nengo_dl.IntegrateAndFire(max_spikes=1, amplitude=0.1),
        nengo.RectifiedLinear(amplitude=0.1),
        {},
    ),
    (nengo.AdaptiveLIF(), nengo.LIFRate(), {}),
    (
        nengo.AdaptiveLIF(initial_state={"adaptation": Choice([0.5])}),
        nengo.AdaptiveLIFRate(initial_state={"adaptation": Choice([0.5])}),
        {},
    ),
]


@pytest.mark.parametrize("spiking, rate, kwargs", TRAINING_VERSIONS, ids=str)
def test_training_version(spiking, rate, kwargs):
    J = tf.constant([-1.0, 1.0, 1.5, 6.0], tf.float64)
    outputs, gradients = [], []
    for neuron_type in (spiking, rate):
        with tf.GradientTape() as tape:
            tape.watch(J)
            output, state = run_builder(J, neuron_type, training=True, **kwargs)
        outputs.append(output)
        gradients.append(tape.gradient(output, J))
        if neuron_type is spiking:
            initial = make_builder(spiking)[0].ops[0].state
            for name, value in state.items():
                np.testing.assert_array_equal(value[1], initial[name].initial_value)
    np.testing.assert_allclose(*outputs)
    np.testing.assert_allclose(*gradients)
    assert np.all(np.isfinite(gradients[0])) and np.any(gradients[0])


@pytest.mark.parametrize("neuron_type", [nengo.LIF(), nengo.Izhikevich()])
def test_input_without_minibatch_axis(neuron_type):
    builder, signals = make_builder(neuron_type)
    op = builder.ops[0]
    J = tf.constant([-1.0, 1.0, 6.0, 60.0], tf.float64)
    op.J.minibatched = False
    signals.get_tensor_signal([(0, 4)], "J", "float64", (4,), False, op.J)
    signals.bases["J"], signals.base_shapes["J"] = J, (4,)
    builder.build_pre(signals, builder.config)
    builder.build_step(signals)
    expected, _ = run_builder(J, neuron_type)
    np.testing.assert_array_equal(signals.gather(op.output), expected)
