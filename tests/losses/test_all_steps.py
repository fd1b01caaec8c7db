import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.config import configure_settings
from nengo_dl.losses import Regularize, nan_mse

X = np.random.RandomState(0).uniform(-1, 1, size=(2, 3, 4, 5))


# -- nan_mse ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_mse(dtype):
    y_true = np.full((1, 10, 1), np.nan)
    y_true[:, 3:5] = 0
    y_pred = np.arange(10, dtype=dtype)[None, :, None]
    error = nan_mse(y_true, y_pred)
    assert error.dtype == dtype and error.shape == ()
    assert error == (9 + 16) / 10


def test_nan_mse_gradient():
    y_pred = tf.Variable([[[1.0], [2.0], [3.0]]])
    with tf.GradientTape() as tape:
        error = nan_mse(np.array([[[np.nan], [0], [np.nan]]]), y_pred)
    assert np.allclose(tape.gradient(error, y_pred), [[[0], [4 / 3], [0]]])


def test_nan_mse_without_targets():
    assert nan_mse(np.full((1, 2, 1), np.nan), np.ones((1, 2, 1))) == 0


# -- Regularize ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order, numpy_order", [(1, 1), ("euclidean", 2), (np.inf,) * 2]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regularize(order, numpy_order, dtype):
    regularize = Regularize(order=order)
    expected = np.mean(np.linalg.norm(X.reshape(2, 3, 20), numpy_order, axis=-1))
    value = regularize(None, X.astype(dtype))
    assert value.dtype == dtype
    assert np.allclose(value, expected)
    assert np.allclose(regularize(np.full(X.shape, np.nan), X), expected)
    assert regularize.order == order and regularize.axis is None


@pytest.mark.parametrize("axis", [0, 1, -3])
def test_regularize_axis(axis):
    numpy_axis = axis + 2
    expected = np.mean(np.linalg.norm(X, axis=numpy_axis))
    assert np.allclose(Regularize(order=2, axis=axis)(None, X), expected)


def test_regularize_shape():
    with pytest.raises(
        ValueError, match=r"shape \(batch_size, n_steps, \.\.\.\).*\(2, 3"
    ):
        Regularize()(None, np.ones((2, 3)))


def test_regularize_gradient():
    """There is none at zero, and that is no reason for NaNs."""
    y_pred = tf.Variable([[[0.0, 0.0], [3.0, 4.0]]])
    for order in (1, 2, "euclidean"):
        with tf.GradientTape() as tape:
            value = Regularize(order)(None, y_pred)
        gradient = tape.gradient(value, y_pred)
        assert np.allclose(gradient[0, 0], 0)
        unit = [1, 1] if order == 1 else [0.6, 0.8]
        assert np.allclose(gradient[0, 1], np.array(unit) / 2)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 3, 1)])
def test_regularize_sample_weights(shape):
    """One weight per item, or per step."""
    weights = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    norms = np.linalg.norm(X, axis=2) if len(shape) == 3 else None
    regularize = Regularize(axis=0 if len(shape) == 3 else None)
    if norms is None:
        norms = np.linalg.norm(X.reshape(2, 3, 20), axis=-1)
    per_norm = weights.reshape(shape + (1,) * (norms.ndim - weights.ndim))
    value = regularize(None, X, sample_weight=weights)
    assert np.allclose(value, np.mean(norms * per_norm))


def test_regularize_config():
    copied = Regularize.from_config(Regularize(order=1, axis=0).get_config())
    assert (copied.order, copied.axis) == (1, 0)
    assert isinstance(copied, keras.losses.Loss)


# -- training --------------------------------------------------------------------------


def neurons_and_weights():
    with nengo.Network(seed=0) as net:
        configure_settings(trainable=None)
        a = nengo.Node([1])
        b = nengo.Ensemble(30, 1, neuron_type=nengo.RectifiedLinear(), gain=np.ones(30))
        b.bias = np.ones(30)
        net.config[b].trainable = True
        conn = nengo.Connection(a, b.neurons, transform=np.ones((30, 1)))
        nengo.Connection(b.neurons, nengo.Node(size_in=30), synapse=None)
        neurons, weights = nengo.Probe(b.neurons), nengo.Probe(conn, "weights")
    return net, neurons, weights


@pytest.mark.training
@pytest.mark.parametrize("mode", ["activity", "weights"])
def test_train_regularize(mode, Simulator):
    net, neurons, weights = neurons_and_weights()
    target, other = (neurons, weights) if mode == "activity" else (weights, neurons)
    rate = 0.1 if mode == "activity" else 0.01
    with Simulator(net) as sim:
        sim.compile(
            tf.optimizers.RMSprop(rate),
            loss={target: Regularize(), other: lambda y_true, y_pred: 0 * y_pred},
        )
        sim.fit(
            n_steps=5,
            y={p: np.zeros((1, 5, p.size_in)) for p in (target, other)},
            epochs=100,
            verbose=0,
        )
        sim.run_steps(5)
    assert np.allclose(sim.data[target], 0, atol=1e-2)


@pytest.mark.training
def test_train_nan_mse(Simulator):
    """Steps without a target are free."""
    with nengo.Network() as net:
        configure_settings(trainable=None)
        inp, out = nengo.Node([1]), nengo.Node(size_in=1)
        nengo.Connection(inp, out, synapse=None, transform=0.1)
        probe = nengo.Probe(out)
    targets = np.array([[[np.nan], [2.0], [np.nan]]])
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.5), loss={probe: nengo_dl.losses.nan_mse})
        sim.fit(n_steps=3, y={probe: targets}, epochs=50, verbose=0)
        losses = sim.evaluate(n_steps=3, y={probe: targets}, verbose=0)
        sim.run_steps(3)
    assert np.allclose(sim.data[probe], 2, atol=1e-3)
    assert losses["loss"] < 1e-5
