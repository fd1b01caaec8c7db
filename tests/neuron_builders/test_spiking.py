"""Neurons that spike; ``test_reference`` compares them with Nengo."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from neuron_oracle import run_builder

from nengo_dl.neuron_builders.spiking import (
    MAX_SERIES_STEP,
    decay,
    log_overshoot,
    relaxed,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("use_series", [True, False])
def test_membrane_series(dtype, use_series):
    """All steps up to the longest for which series are used, to a few roundings."""
    tol = {"float32": 5e-7, "float64": 1e-13}[dtype]
    rng = np.random.RandomState(0)
    n = 100_000
    near_threshold = 1 + 10 ** rng.uniform(-5, 6, size=n)
    J = np.concatenate([rng.uniform(-50, 100, size=n), near_threshold]).astype(dtype)
    v = rng.uniform(-2, 1, size=2 * n).astype(dtype)
    x = rng.uniform(0, MAX_SERIES_STEP, size=2 * n).astype(dtype)

    part = decay(tf.constant(x), use_series)
    actual = relaxed(tf.constant(v), tf.constant(J), *part)
    actual = actual.numpy()
    v, J64, x = (array.astype("float64") for array in (v, J, x))
    expected = v + (v - J64) * np.expm1(-x)
    scale = np.abs(v) + np.abs(J64 - v) * x
    assert np.max(np.abs(actual - expected) / scale) < tol

    spiked = (actual > 1) & (actual < J)
    assert np.sum(spiked) > n / 2
    v, J = actual[spiked], J[spiked]
    times = log_overshoot(tf.constant(v), tf.constant(J), use_series).numpy()
    v, J = v.astype("float64"), J.astype("float64")
    np.testing.assert_allclose(times, np.log1p(-(v - 1) / (J - 1)), rtol=tol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("J", [1.0, 0.999, 0.5])
def test_no_spike_without_suprathreshold_input(dtype, J):
    J = tf.constant(J, dtype)
    v = tf.constant(np.random.RandomState(0).uniform(0, 1, 1000), dtype)

    @tf.function(jit_compile=True)
    def settle(v, x):
        return tf.while_loop(
            lambda i, v: i < 5000,
            lambda i, v: (i + 1, relaxed(v, J, *decay(x, True))),
            (0, v),
        )[1]

    for x in np.random.RandomState(1).uniform(0.001, 0.1, 10):
        v = settle(v, tf.constant(x, dtype))
        assert np.all(v.numpy() <= 1)


def test_no_gradient_through_izhikevich():
    J = tf.constant([-10.0, 0.0, 5.0, 2000.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(J)
        output, _ = run_builder(J, nengo.Izhikevich(), training=True)
    assert output[0, 3] == 1000
    assert tape.gradient(output, J) is None
