"""
What users make before the simulator, and so maybe on another device.

Everything is on one device, unless ``--device /cpu:1`` is given.
"""

from contextlib import nullcontext

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from training.linear_networks import linear_network

import nengo_dl
from nengo_dl.tensor_graph import TensorGraph

pytestmark = pytest.mark.training


@pytest.fixture
def is_elsewhere(request):
    """Return whether simulators are not where users make things."""
    return request.config.getoption("--device") == "/cpu:1"


class Doubled(keras.losses.Loss):
    """A loss that has a variable."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0, trainable=False)

    def call(self, y_true, y_pred):
        factor = tf.cast(self.factor, y_pred.dtype)
        return factor * tf.reduce_mean((y_true - y_pred) ** 2, axis=-1)


def fit(sim, jit_compile="auto", loss="mse", optimizer="sgd", metrics=None):
    """Train with five steps; return the history."""
    sim.compile(optimizer, loss=loss, metrics=metrics, jit_compile=jit_compile)
    x = np.random.RandomState(0).uniform(size=(4, 5, 1))
    return sim.fit(x, 3 * x, epochs=2, verbose=0).history


@pytest.mark.parametrize("jit_compile", ["auto", True, False])
@pytest.mark.parametrize("is_scheduled", [False, True])
def test_optimizers(is_scheduled, jit_compile, is_elsewhere, Simulator):
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    optimizer = keras.optimizers.Adam(rate if is_scheduled else 0.1)
    with Simulator(linear_network(), minibatch_size=2, unroll_simulation=1) as sim:
        is_compiled = jit_compile is not False and not is_elsewhere
        warns = is_elsewhere and jit_compile is True
        with pytest.warns(match="with sim") if warns else nullcontext():
            losses = fit(sim, jit_compile, optimizer=optimizer)["loss"]
        assert losses[1] < losses[0]
        assert sim.keras_model.optimizer is optimizer
        assert sim.keras_model.facts.jit_compile is is_compiled
        assert optimizer.iterations.numpy() == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"metrics": keras.metrics.MeanAbsoluteError()},
        lambda: {"loss": Doubled()},
    ],
    ids=["metric", "loss"],
)
def test_losses_and_metrics(make, is_elsewhere, Simulator):
    """XLA cannot reach them, and nobody asks it to."""
    kwargs = make()
    with Simulator(linear_network(), minibatch_size=2, unroll_simulation=1) as sim:
        losses = fit(sim, **kwargs)["loss"]
        assert losses[1] < losses[0]
        assert sim.keras_model.facts.jit_compile is not is_elsewhere


def test_optimizer_that_is_built(is_elsewhere, Simulator):
    """It stays where it is, as functions that use it may be compiled."""
    optimizer = keras.optimizers.SGD(0.1, momentum=0.5)
    sim = Simulator(linear_network(), minibatch_size=2, unroll_simulation=1)
    optimizer.build(sim.keras_model.trainable_variables)
    before = [variable.value for variable in optimizer.variables]
    with sim:
        losses = fit(sim, optimizer=optimizer)["loss"]
        assert losses[1] < losses[0]
        assert sim.keras_model.facts.jit_compile is not is_elsewhere
    assert all(v.value is b for v, b in zip(optimizer.variables, before))


def test_warning_without_xla(is_elsewhere, Simulator, recwarn):
    metrics = keras.metrics.MeanAbsoluteError()
    with Simulator(linear_network(), minibatch_size=2, unroll_simulation=1) as sim:
        fit(sim, jit_compile=True, metrics=metrics)
        assert sim.keras_model.facts.jit_compile is not is_elsewhere
    messages = [str(w.message) for w in recwarn if "jit_compile" in str(w.message)]
    assert len(messages) == is_elsewhere
    assert all("create them within `with sim:`" in message for message in messages)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Dense(2),
        lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]),
        lambda: keras.layers.Dropout(0.5, seed=1),
    ],
    ids=["new", "built", "with a seed"],
)
@pytest.mark.parametrize("has_python", [False, True])
def test_layers(has_python, layer, Simulator):
    with nengo.Network(seed=0) as net:
        x = nengo_dl.Layer(layer())(nengo.Node([1, 2]))
        nengo.Probe(x)
        out = nengo.Node((lambda t, x: x) if has_python else None, size_in=2)
        nengo.Connection(x, out, synapse=None, transform=nengo_dl.dists.Glorot())
        nengo.Probe(out)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(3)
        probe = net.all_probes[0]
        sim.compile("sgd", loss={probe: "mse"})
        sim.fit(n_steps=5, y={probe: np.ones((2, 5, 2))}, verbose=0)
        sim.predict(n_steps=3, verbose=0)


def test_one_step_is_compiled_for_gpus(Simulator, monkeypatch):
    """As Keras does, where it is known to be faster."""
    x = np.random.RandomState(0).uniform(size=(4, 1, 1))
    results = []
    for cpu_only in (True, False):
        monkeypatch.setattr(TensorGraph, "_cpu_only", lambda _, is_it=cpu_only: is_it)
        with Simulator(linear_network(), minibatch_size=2, unroll_simulation=1) as sim:
            sim.compile(keras.optimizers.SGD(0.1), loss="mse")
            history = sim.fit(x, 3 * x, epochs=3, shuffle=False, verbose=0).history
            assert sim.keras_model.facts.jit_compile is not cpu_only
            results.append(history["loss"])
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_layers_that_keras_does_not_compile(Simulator, monkeypatch):
    """They may be anywhere in a layer of the network."""
    inner = keras.layers.Dense(1)
    inner.supports_jit = False
    model = keras.Sequential([keras.Input((1,)), inner])
    with nengo.Network() as net:
        nengo.Probe(nengo_dl.Layer(model)(nengo.Node([1])))
    monkeypatch.setattr(TensorGraph, "_cpu_only", lambda self: False)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit(n_steps=1, y=np.ones((1, 1, 1)), verbose=0)
        assert sim.keras_model.facts.jit_compile is False
