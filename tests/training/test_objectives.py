"""Losses and metrics of the probes."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.training.loss_values import reduced_loss

pytestmark = pytest.mark.training


class Largest(keras.metrics.Metric):
    """A metric that Keras cannot copy."""

    def __init__(self, factor):
        super().__init__(name="largest")
        self.factor = factor
        self.value = self.add_variable((), "zeros", name="value")

    def update_state(self, y_true, y_pred, sample_weight=None):
        largest = self.factor * tf.reduce_max(y_pred)
        self.value.assign(tf.maximum(self.value.value, largest))

    def result(self):
        return self.value.value


@pytest.fixture
def net():
    with nengo.Network() as net:
        net.inp = nengo.Node([1.0])
        net.a, net.b = (nengo.Probe(net.inp, label=label) for label in "ab")
    return net


def test_metric_objects(net, Simulator):
    wrapper = keras.metrics.MeanMetricWrapper(lambda t, p: tf.abs(t - p), name="gap")
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(
            metrics={
                net.a: [Largest(3.0), wrapper],
                net.b: keras.metrics.MeanSquaredError(),
            }
        )
        for _ in range(2):
            y = {net.a: np.zeros((1, 1, 1)), net.b: np.zeros((1, 1, 1))}
            results = sim.evaluate({net.inp: [[[2.0]]]}, y, verbose=0)
            assert results["a_largest"] == 6
            assert results["a_gap"] == 2


def test_metric_objects_of_several_probes(net, Simulator):
    x, y = np.ones((1, 1, 1)), [np.zeros((1, 1, 1)), np.ones((1, 1, 1))]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(metrics=keras.metrics.MeanAbsoluteError(name="gap"))
        results = sim.evaluate(x, y, verbose=0)
        assert results["a_gap"] == 1 and results["b_gap"] == 0
        with pytest.raises(ValidationError, match="`largest` cannot be copied"):
            sim.compile(metrics=Largest(1.0))
        # nothing has changed
        assert sim.evaluate(x, y, verbose=0) == results


@pytest.mark.parametrize("form", ["arrays", "generator", "dataset"])
def test_weights_of_all_probes(form, net, Simulator):
    x = {"node": np.ones((2, 1, 1)), "n_steps": np.ones((2, 1), np.int32)}
    y = {"a": np.zeros((2, 1, 1)), "b": np.zeros((2, 1, 1))}
    weights = np.array([1.0, 3.0])
    args = {"arrays": {"x": {"node": x["node"]}, "y": y, "sample_weight": weights}}
    args["generator"] = {"x": (batch for batch in [(x, y, weights)]), "steps": 1}
    args["dataset"] = {"x": tf.data.Dataset.from_tensors((x, y, weights))}
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        results = sim.evaluate(**args[form], verbose=0)
        assert results["a_loss"] == results["b_loss"] == 2


@pytest.mark.parametrize(
    "reduction, expected",
    [("sum", 13), ("sum_over_batch_size", 6.5), ("mean_with_sample_weight", 13 / 4)],
)
def test_reduction(reduction, expected):
    try:
        loss = keras.losses.MeanSquaredError(reduction=reduction)
    except ValueError:  # older versions of Keras do not know all of them
        loss = keras.losses.MeanSquaredError()
        loss.reduction = reduction
    y_true, y_pred = tf.zeros((2, 1)), tf.constant([[1.0], [2.0]])
    value = reduced_loss(loss, y_true, y_pred, tf.constant([1.0, 3.0]))
    np.testing.assert_allclose(value, expected)
