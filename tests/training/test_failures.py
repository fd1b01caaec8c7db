"""Calls that fail: what they say, and that they change nothing."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, SimulatorClosed, ValidationError
from training.linear_networks import linear_network

pytestmark = pytest.mark.training


def test_failed_fit_changes_nothing(Simulator):
    net = linear_network(synapse=0.1)

    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise RuntimeError("enough")

    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(3)
        before = sim.data[net.conn].weights
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        x = np.ones((4, 5, 1))
        with pytest.raises(RuntimeError, match="enough"):
            sim.fit(x, x, stateful=True, callbacks=[Fail()], verbose=0)
        assert sim.n_steps == 3 and sim.tensor_graph.values.n_steps() == 3
        np.testing.assert_array_equal(sim.data[net.conn].weights, before)


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration])
def test_exceptions_of_functions(error, Simulator):

    def fail(t, x):
        if t > 0.0025:
            raise error("stop")
        return x

    with nengo.Network() as net:
        inp = nengo.Node([0])
        node = nengo.Node(fail, size_in=1)
        nengo.Connection(inp, node, synapse=None)
        nengo.Probe(node)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        x = np.ones((1, 5, 1))
        for call in (lambda: sim.predict(x), lambda: sim.evaluate(x, x, verbose=0)):
            with pytest.raises(error, match="stop"):
                call()
        assert sim.predict(x[:, :2], verbose=0)


def test_bad_data(Simulator):
    net = linear_network()
    other = linear_network()
    x = np.ones((4, 4, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=2) as sim:
        sim.compile("sgd", loss="mse")
        before = sim.data[net.conn].weights
        for kwargs, message in (
            ({"x": x, "y": x[:2]}, "does not match expected size"),
            ({"x": x[:0], "y": x[:0]}, "Data for 'a' have no items"),
            ({"x": x[:, :3], "y": x}, "must be evenly divisible"),
            ({"x": x[0, 0], "y": x}, "should have rank 3"),
            ({"x": x, "y": x[:, 0]}, "should have rank 3"),
            ({"x": x, "y": x, "n_steps": 2}, "does not match expected size"),
            ({"y": x}, "either input data or n_steps"),
            ({"x": {other.a: x}, "y": x}, "not a valid node name"),
            ({"x": {"other": x}, "y": x}, "not a valid node name"),
            ({"x": {net.probe: x}, "y": x}, "not a valid input"),
            ({"x": x, "y": {other.probe: x}}, "not a valid probe name"),
            ({"x": x}, "no targets for"),
            ({"x": x, "y": (v for v in x)}, "Targets must be an array"),
            ({"x": x, "y": x[:, :3]}, r"shape \(2, 3, 1\) cannot be .* 'probe'"),
            ({"x": np.full_like(x, np.nan), "y": x}, "contain NaN"),
            ({"x": x[..., [0, 0]], "y": x}, "size_out=1"),
            ({"x": x, "y": x, "validation_split": 0.9}, "none of 4 items is for tr"),
            ({"x": x, "y": x, "shuffle": "sorted"}, 'True, False, "batch"'),
        ):
            for method in (sim.fit, sim.evaluate):
                of_fit = {"validation_split", "shuffle"}
                if of_fit & set(kwargs) and method == sim.evaluate:
                    continue
                with pytest.raises(ValidationError, match=message):
                    method(verbose=0, **kwargs)
        with pytest.raises(SimulationError, match="automatically add n_steps"):
            sim.predict(range(5), n_steps=2)
        with pytest.raises(ValidationError, match="predict_on_batch needs"):
            sim.predict_on_batch(iter([x]))
        with pytest.raises(ValidationError, match="does not match expected size"):
            sim.predict_on_batch(x)
        with pytest.raises(ValueError, match="`validation_split` is only supported"):
            steps = np.full((2, 1), 4)
            data = (((x[:2], steps), x[:2]) for _ in range(3))
            sim.fit(data, validation_split=0.5, verbose=0)
        with pytest.raises(ValidationError, match="cannot be compared"):
            sim.fit(x, x, validation_data=(x, x[:, :3]), verbose=0)
        np.testing.assert_array_equal(sim.data[net.conn].weights, before)
        sim.compile(metrics=["mse"])
        with pytest.raises(ValidationError, match="cannot be compared"):
            sim.evaluate(x, x[:, :3], verbose=0)


def test_failed_calls_decide_nothing(Simulator):
    """What "accuracy" means is decided by targets that fit the output."""
    with nengo.Network() as net:
        probe = nengo.Probe(nengo.Node([0.1, 0.9], label="a"))
    indices, one_hot = np.ones((1, 3, 1)), np.tile([[[0.0, 1.0]]], (1, 4, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(metrics={probe: "accuracy"})
        with pytest.raises(ValidationError, match="cannot be compared"):
            sim.evaluate(n_steps=4, y=indices, verbose=0)
        results = sim.evaluate(n_steps=4, y=one_hot, verbose=0)
    assert results["probe_accuracy"] == 1


def test_bad_compilation(Simulator):
    net = linear_network()
    with Simulator(net, unroll_simulation=1) as sim:
        x = np.ones((1, 1, 1))
        with pytest.raises(SimulationError, match="call `sim.compile` with one"):
            sim.fit(x, x)
        with pytest.raises(SimulationError, match="there is no loss"):
            sim.evaluate(x, x)
        sim.compile("sgd", loss="mse")
        for kwargs, message in (
            ({"loss": {net.b: "mse"}}, "not a valid probe name"),
            ({"loss": "mso"}, "not the name of a loss"),
            ({"metrics": ["mso"]}, "not the name of a metric"),
            ({"loss": 1}, "must be a name, a function"),
            ({"loss_weights": 2.0}, "must be a list in the order of the Probes"),
            ({"loss_weights": [2.0]}, r"weights for \['probe'\], which have no loss"),
            ({"loss": "mse", "loss_weights": ["a"]}, "'a' for 'probe'"),
            ({"loss": "mse", "loss_weights": [np.inf]}, "finite numbers"),
            ({"loss": "mse", "jit_compile": "maybe"}, "True, False, or 'auto'"),
            ({"loss": tf.keras.metrics.MeanSquaredError()}, "must be a name"),
            ({"loss": tf.optimizers.SGD}, "must be a name, a function"),
            ({"metrics": [tf.keras.metrics.MeanMetricWrapper]}, "object, such as"),
            ({"optimizer": tf.compat.v1.train.AdamOptimizer()}, "tf.optimizers.SGD"),
            ({"optimizer": 0.1}, "tf.optimizers.SGD"),
        ):
            with pytest.raises(ValidationError, match=message):
                sim.compile(**kwargs)
        # still compiled as before
        assert sim.evaluate(x, x, verbose=0)["probe_loss"] == 0.25
        # Keras says itself what it wants
        with pytest.raises(ValueError, match="learning_rate.*float"):
            tf.optimizers.SGD(1)
        sim.compile("sgd", metrics=["mae"])
        with pytest.raises(SimulationError, match="there is no loss"):
            sim.fit(x, x)
        sim.compile("sgd", loss="mse")
        for method in (sim.evaluate, sim.fit):
            with pytest.warns(UserWarning, match="NaN: loss, probe_loss"):
                method(x, x * np.nan, verbose=0)
    for name in "compile fit evaluate predict predict_on_batch check_gradients".split():
        with pytest.raises(SimulatorClosed, match=rf"call {name}\b"):
            getattr(sim, name)()


def test_inference_only(Simulator):
    net = linear_network(inference_only=True)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        x = np.ones((1, 2, 1))
        assert sim.evaluate(x, x, verbose=0)["loss"] == 0.25
        with pytest.raises(SimulationError, match="inference_only=True"):
            sim.fit(x, x)
        with pytest.raises(SimulationError, match="inference_only=True"):
            sim.check_gradients()
