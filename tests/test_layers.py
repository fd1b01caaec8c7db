import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

import nengo_dl
from nengo_dl.layers import QCFS, SMALLEST_THETA

# beside all edges of levels, and beyond the first and the last one
X = np.concatenate([np.linspace(-3, 5, 400), [-1e4, 0, 1e4]])


def qcfs(x, theta, levels):
    return theta * np.clip(np.floor(x / theta * levels + 0.5) / levels, 0, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("theta, levels", [(8, 8), (1.3, 4), (0.37, 1)])
def test_formula_and_gradients(theta, levels, dtype):
    layer = QCFS(levels, initial_theta=theta, dtype=dtype)
    x = tf.constant(X, dtype)
    layer.build(x.shape)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = layer(x)
        each = [y[i] for i in range(len(X))]
    assert y.dtype == dtype
    expected = qcfs(X, theta, levels)
    np.testing.assert_allclose(y, expected, rtol=1e-6)

    u = X / theta * levels + 0.5
    inside = (u >= 0) & (u <= levels)
    np.testing.assert_array_equal(tape.gradient(y, x), inside)
    theta_gradients = [tape.gradient(value, layer.theta.value) for value in each]
    expected = np.where(inside, (expected - X) / theta, u > levels)
    np.testing.assert_allclose(theta_gradients, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = QCFS(4, initial_theta=1.3, dtype=policy)
    x = tf.constant(X, layer.compute_dtype)
    layer.build(x.shape)
    with tf.GradientTape() as tape:
        y = layer(x)
    assert y.dtype == layer.compute_dtype and layer.theta.dtype == "float32"
    expected = qcfs(tf.cast(x, "float32").numpy(), np.float32(1.3), 4)
    np.testing.assert_array_equal(y, tf.cast(expected, y.dtype))
    gradient = tape.gradient(y, layer.theta.value)
    assert gradient.dtype == "float32" and np.isfinite(gradient)


def test_files(tmp_path):
    layer = QCFS(np.int64(4), initial_theta=np.float32(0.5))
    model = keras.Sequential([keras.Input((3,)), layer])
    model.layers[0].theta.assign(0.7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.layers[0]
    assert type(layer) is QCFS and (layer.levels, layer.initial_theta) == (4, 0.5)
    np.testing.assert_allclose(layer.theta, 0.7)
    x = np.array([[-1, 0.3, 0.8]], "float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    np.testing.assert_allclose(loaded(x), [[0, 0.35, 0.7]])


def test_threshold_is_trained():
    """One scalar, which stays positive."""
    layer = QCFS(4, initial_theta=1.0)
    assert layer.compute_output_shape((None, 5)) == (None, 5)
    optimizer = keras.optimizers.SGD(0.5)
    for target, expected in ((2.0, 2.0), (-100.0, SMALLEST_THETA)):
        with tf.GradientTape() as tape:
            # all inputs are above the threshold
            loss = tf.reduce_mean((layer(tf.fill((2, 3), 10.0)) - target) ** 2)
        (theta,) = layer.trainable_variables
        gradients = tape.gradient(loss, [theta.value])
        optimizer.apply(gradients, [theta])
        np.testing.assert_allclose(layer.theta, expected)


def test_equals_spiking_neurons():
    """In as many steps as there are levels, for constant input."""
    theta, levels, dt = 1.3, 8, 0.001
    x = np.linspace(-0.5, 2, 60)
    neurons = nengo_dl.IntegrateAndFire(max_spikes=1, amplitude=theta * dt)
    with nengo.Network() as net:
        ens = nengo.Ensemble(
            len(x),
            1,
            neuron_type=neurons,
            gain=np.ones(len(x)),
            bias=x / (theta * dt),
        )
        probe = nengo.Probe(ens.neurons)
    with nengo.Simulator(net, dt=dt, progress_bar=False) as sim:
        sim.run_steps(levels)
    y = QCFS(levels, initial_theta=theta, dtype="float64")(x)
    np.testing.assert_allclose(np.mean(sim.data[probe], axis=0), y, atol=1e-12)


@pytest.mark.parametrize(
    "argument",
    [
        {"levels": 0},
        {"levels": 2.5},
        {"levels": True},
        {"initial_theta": 0},
        {"initial_theta": "high"},
        {"initial_theta": np.nan},
        {"initial_theta": np.inf},
    ],
    ids=str,
)
def test_wrong_arguments(argument):
    with pytest.raises(ValidationError, match=next(iter(argument))):
        QCFS(**argument)
