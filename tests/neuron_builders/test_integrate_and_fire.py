"""Neurons without a leak, step by step; ``test_reference`` compares networks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from neuron_oracle import make_builder

import nengo_dl

DT = 0.001


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo_dl.IntegrateAndFire(),
        nengo_dl.IntegrateAndFire(max_spikes=1),
        nengo_dl.IntegrateAndFire(max_spikes=2, retract=False),
        nengo_dl.IntegrateAndFire(min_voltage=-0.4, amplitude=0.1),
        nengo_dl.IntegrateAndFire(2, min_voltage=-np.inf),
    ],
    ids=str,
)
def test_steps_are_those_of_numpy(neuron_type, dtype):
    """Many spikes in both directions, so that all limits are reached."""
    J = np.random.RandomState(0).uniform(-3000, 3300, size=(100, 1, 4)).astype(dtype)
    builder, _ = make_builder(neuron_type, dtype, minibatch_size=1)
    state = neuron_type.make_state(4, dtype=dtype)
    state = {name: value[None] for name, value in state.items()}
    tf_state = {name: tf.constant(value) for name, value in state.items()}
    expected = np.zeros((1, 4), dtype)
    signs = set()
    for current in J:
        neuron_type.step(DT, current, expected, **state)
        output, *values = builder.built_neurons.step(
            tf.constant(current), tf.constant(DT, dtype), **tf_state
        )
        tf_state = dict(zip(state, values))
        np.testing.assert_allclose(output, expected, rtol=1e-6)
        for name, value in state.items():
            np.testing.assert_array_equal(tf_state[name], value)
        signs |= set(np.sign(expected).ravel())
    assert signs == ({-1, 0, 1} if neuron_type.retract else {0, 1})
