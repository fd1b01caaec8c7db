"""Losses, metrics, and weights: their values, and their names."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError
from training.linear_networks import linear_network, two_probes

import nengo_dl
from nengo_dl.losses import Regularize, nan_mse
from nengo_dl.training.functions import KERAS_VERSION

pytestmark = [pytest.mark.training, pytest.mark.long]


@pytest.mark.parametrize("what", ["loss", "metrics", "data set"])
def test_losses_and_metrics_in_python(what, Simulator):
    """What XLA cannot compile trains without XLA."""

    def square(y_true, y_pred):
        error = tf.py_function(lambda e: e**2, [y_pred - y_true], y_pred.dtype)
        return tf.ensure_shape(error, y_pred.shape)

    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0])
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(inp, ens, synapse=None)
        nengo.Probe(ens)
    x = np.random.RandomState(0).uniform(size=(4, 5, 1)).astype("float32")
    y = x**2
    with Simulator(net, unroll_simulation=1, minibatch_size=2) as sim:
        histories = []
        for function in ("mse", square):
            sim.reset()
            loss = "mse" if what == "metrics" else function
            sim.compile(tf.optimizers.SGD(0.1), loss=loss, metrics=function)
            if what == "data set":
                counts = np.full((4, 1), 5)
                data = tf.data.Dataset.from_tensor_slices(((x, counts), y)).batch(2)
                history = sim.fit(data, epochs=2, verbose=0)
            else:
                history = sim.fit(x, y, epochs=2, shuffle=False, verbose=0)
            histories.append(list(history.history.values()))
            assert sim.keras_model.facts.jit_compile == (function == "mse")
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_names_of_results(Simulator):
    net = two_probes()

    def double(y_true, y_pred):
        return 2 * tf.reduce_mean(tf.abs(y_true - y_pred))

    p0, p1 = net.outputs
    x = [np.ones((2, 3, 1)), np.full((2, 3, 1), 2.0)]
    y = {p0: np.zeros((2, 3, 1)), p1: np.zeros((2, 3, 1))}
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse", metrics={p0: double, p1: [double, "mae"]})
        result = sim.evaluate(x, y, verbose=0)
        assert result == {
            "loss": 5,
            "probe_loss": 1,
            "probe_1_loss": 4,
            "probe_double": 2,
            "probe_1_double": 4,
            "probe_1_mae": 2,
        }
        history = sim.fit(x, y, validation_data=(x, y), verbose=0).history
        names = {*result, *(f"val_{name}" for name in result)}
        assert set(history) == names

        # in the order of the Probes
        sim.compile(
            loss=["mse", "mae"], loss_weights=[2, 0.5], metrics=[[double, "mae"], "mae"]
        )
        assert sim.evaluate(x, y, verbose=0) == {
            "loss": 3,
            "probe_loss": 1,
            "probe_1_loss": 2,
            "probe_double": 2,
            "probe_mae": 1,
            "probe_1_mae": 2,
        }
        with pytest.warns(UserWarning, match="does not match number of Probes"):
            sim.compile(loss=["mse"])
        assert sim.evaluate(x, {p0: y[p0]}, verbose=0) == {"loss": 1, "probe_loss": 1}

        # a new compilation replaces everything
        sim.compile(loss={p1: "mae"}, loss_weights={p1: 0.5})
        assert sim.evaluate(x, y={p1: y[p1]}, verbose=0) == {
            "loss": 1,
            "probe_1_loss": 2,
        }
        sim.compile(metrics={p0: tf.metrics.mae})
        assert sim.evaluate(x, y={p0: y[p0]}, verbose=0, return_dict=True) == {
            "loss": 0,
            "probe_mean_absolute_error": 1,
        }


def test_results_of_one_name(Simulator):
    """They are numbered, as in Keras."""
    net = two_probes()
    p0, p1 = net.outputs
    x, y = [np.ones((2, 3, 1))] * 2, {p: np.zeros((2, 3, 1)) for p in net.outputs}
    loss = keras.metrics.MeanMetricWrapper(lambda t, p: 7 * p, name="loss")
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(
            loss={p0: "mse"},
            metrics={p0: ["mae", "mae", loss, "mae"], p1: "mae"},
            weighted_metrics={p0: ["mae", "mae"]},
        )
        results = sim.evaluate(x, y, verbose=0)
        names = ["probe_mae", "probe_mae_1", "probe_loss_1", "probe_mae_2"]
        names += ["probe_1_mae", "probe_weighted_mae", "probe_weighted_mae_1"]
        assert list(results) == ["loss", "probe_loss", *names]
        assert results["probe_loss_1"] == 7


def test_classes(Simulator):
    """Objects are made of them, as in Keras."""
    net = linear_network(jit_compile=False)
    x = np.ones((1, 2, 1))

    class NamedLoss(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return tf.abs(y_true - y_pred)

    class CallableObject:
        def __call__(self, y_true, y_pred):
            return 2 * tf.abs(y_true - y_pred)

    metrics = [keras.metrics.MeanSquaredError, NamedLoss(name="n"), CallableObject()]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss=keras.losses.MeanAbsoluteError, metrics=[metrics])
        assert sim.evaluate(x, x, verbose=0) == {
            "loss": 0.5,
            "probe_loss": 0.5,
            "probe_mean_squared_error": 0.25,
            "probe_n": 0.5,
            "probe_callable_object": 1,
        }


def test_labels_out_of_range(Simulator):
    with nengo.Network() as net:
        nengo_dl.configure_settings(jit_compile=False)
        nengo.Probe(nengo.Node([0] * 3, label="a"), label="p")
    x = np.zeros((2, 2, 3))
    losses = keras.losses
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        for loss in (
            "sparse_categorical_crossentropy",
            losses.SparseCategoricalCrossentropy(from_logits=True),
        ):
            sim.compile("sgd", loss=loss)
            for label in (3, -1, np.nan):
                labels = np.full((2, 2, 1), label)
                data = tf.data.Dataset.from_tensors((x, labels))
                for batches in ((x, labels), (data,), (iter_once((x, labels)),)):
                    with pytest.raises(
                        ValidationError, match=f"(?i)to 2, .*{label}\\)"
                    ):
                        sim.evaluate(*batches, verbose=0)
        ignored = losses.SparseCategoricalCrossentropy(True, ignore_class=-1)
        sim.compile("sgd", loss=ignored)
        labels = np.array([[[0], [-1]]] * 2)
        if KERAS_VERSION >= (3, 4):  # older ones cannot ignore labels in a last axis
            assert sim.evaluate(x, labels, verbose=0)["loss"] > 0
        else:
            with pytest.raises(ValidationError, match="same shape up until the last"):
                sim.evaluate(x, labels, verbose=0)


def iter_once(batch):
    yield batch


def test_accuracy(Simulator):
    """The metric is chosen by the shape of the targets."""
    with nengo.Network() as net:
        inp = nengo.Node([0] * 3)
        probe = nengo.Probe(inp)
    x = np.eye(3)[[0, 1, 2, 2]][:, None]
    labels = np.array([0, 1, 2, 0])[:, None, None]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        loss = tf.losses.SparseCategoricalCrossentropy(from_logits=True)
        sim.compile(loss=loss, metrics=["accuracy"])
        result = sim.evaluate(x, labels, verbose=0)
        assert result["probe_accuracy"] == 0.75
        logits = x - np.log(np.exp(x).sum(-1, keepdims=True))
        expected = -np.take_along_axis(logits, labels, -1).mean()
        assert result["loss"] == pytest.approx(expected, rel=1e-5)

        sim.compile(metrics={probe: "accuracy"})
        assert sim.evaluate(x, np.eye(3)[labels[..., 0]], verbose=0) == {
            "loss": 0,
            "probe_accuracy": 0.75,
        }

        # any function of Keras on any part of the output
        def last(y_true, y_pred):
            return tf.metrics.sparse_categorical_accuracy(y_true[:, -1], y_pred[:, -1])

        sim.compile(loss={probe: last})
        assert sim.evaluate(x, labels, verbose=0)["probe_loss"] == 0.75


def test_sample_weights(Simulator):
    net = two_probes()
    p0, p1 = net.outputs
    x = [np.array([1.0, 2, 3, 4])[:, None, None] * np.ones((4, 2, 1))] * 2
    y = {p: np.zeros((4, 2, 1)) for p in net.outputs}
    squares = np.array([1.0, 4, 9, 16])
    weights = np.array([1.0, 0, 0, 2])
    steps = np.array([[1.0, 0]] * 4)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(loss="mse", weighted_metrics={p0: "mae"})
        full, one = squares.mean(), (squares * weights).mean()
        for sample_weight, expected in (
            (weights, (one, one)),
            ({p0: weights}, (one, full)),
            ({"probe_1": weights}, (full, one)),
            ([weights, steps], (one, full / 2)),
            (steps, (full / 2, full / 2)),
        ):
            result = sim.evaluate(x, y, sample_weight=sample_weight, verbose=0)
            assert result["probe_loss"] == pytest.approx(expected[0])
            assert result["probe_1_loss"] == pytest.approx(expected[1])
            assert result["loss"] == pytest.approx(sum(expected))
        result = sim.evaluate(x, y, sample_weight=weights, verbose=0)
        assert result["probe_mae"] == pytest.approx((1 + 8) / 3)
        history = sim.fit(
            x, y, validation_data=(x, y, np.zeros(4)), sample_weight=weights, verbose=0
        ).history
        assert history["val_loss"] == [0] and history["probe_loss"][0] > 0
        with pytest.raises(ValidationError, match="Sample weights for 'probe'"):
            sim.evaluate(x, y, sample_weight={p0: weights[:3]}, verbose=0)


@pytest.mark.parametrize("mode", ["activity", "weights"])
def test_regularize(mode, Simulator):
    with nengo.Network(seed=0) as net:
        a = nengo.Node([1])
        b = nengo.Ensemble(30, 1, neuron_type=nengo.RectifiedLinear())
        conn = nengo.Connection(a, b.neurons, synapse=None, transform=np.ones((30, 1)))
        nengo.Probe(b.neurons)
        probe = nengo.Probe(
            b.neurons if mode == "activity" else conn,
            **({} if mode == "activity" else {"attr": "weights"}),
        )
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(
            tf.optimizers.RMSprop(0.1 if mode == "activity" else 0.01),
            loss={probe: Regularize()},
        )
        # no targets needed
        sim.fit(n_steps=5, epochs=100, verbose=0)
        sim.run_steps(5)
        np.testing.assert_allclose(sim.data[probe], 0, atol=0.02)


def test_missing_targets(Simulator):
    net = linear_network()
    with net:
        other = nengo.Probe(net.b)
    x = np.ones((1, 4, 1))
    y = {probe: np.full((1, 4, 1), np.nan) for probe in (net.probe, other)}
    y[net.probe][:, -1] = 2
    y[other][:, 1] = 6
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(
            tf.optimizers.SGD(0.1), loss=nan_mse, loss_weights={net.probe: 1, other: 3}
        )
        sim.fit(x, y, epochs=50, verbose=0)
        assert sim.data[net.conn].weights.item() == pytest.approx(5, abs=1e-3)


def test_objectives_for_all_probes(Simulator):
    """They count for Probes with targets; those by Probe need targets."""
    net = two_probes()
    p0, p1 = net.outputs
    x = {node: np.ones((4, 1, 1)) for node in net.inputs}
    names = ["loss", "probe_1_loss", "probe_1_mae"]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse", metrics="mae")
        out = sim.predict(x, verbose=0)[p1]
        y = {p1: out - 0.5}
        inputs = {"a": out, "b": out, "n_steps": np.ones((4, 1), int)}
        batches = tf.data.Dataset.from_tensor_slices((inputs, {"probe_1": y[p1]}))
        for data in ((x, y), (batches.batch(2),)):
            results = sim.evaluate(*data, verbose=0)
            assert list(results) == names
            assert np.allclose(list(results.values()), [0.25, 0.25, 0.5], atol=1e-6)
            history = sim.fit(*data, validation_data=(x, y), verbose=0).history
            assert sorted(history) == sorted([*names, *(f"val_{n}" for n in names)])
            assert np.allclose(history["loss"], 0.25, atol=1e-6)
        # with the same compilation, all of them
        results = sim.evaluate(x, {p0: out + 1, p1: y[p1]}, verbose=0)
        assert list(results) == [
            "loss",
            "probe_loss",
            "probe_1_loss",
            "probe_mae",
            "probe_1_mae",
        ]
        assert results["loss"] == 1.25
        with pytest.raises(ValidationError, match=r"for \['probe', 'probe_1'\]"):
            sim.fit(x, verbose=0)

        # what the name of a metric means is decided for each Probe
        sim.compile(loss="mse", metrics="accuracy")
        for y in ({p1: out}, {p0: out, p1: out}):
            assert sim.evaluate(x, y, verbose=0)["probe_1_accuracy"] == 1
        assert sim.evaluate(x, y, verbose=0)["probe_accuracy"] == 1
        y = {p1: out}

        for loss, metrics in (({p0: "mse", p1: "mse"}, None), ("mse", {p0: "mae"})):
            sim.compile(loss=loss, metrics=metrics)
            with pytest.raises(ValidationError, match=r"targets for \['probe'\]"):
                sim.evaluate(x, y, verbose=0)
            with pytest.raises(ValidationError, match="Must specify 'probe'"):
                sim.evaluate(batches.batch(2), verbose=0)


def test_compiled_in_turns(Simulator):
    """One loss for training, another one for tests."""
    net = linear_network()
    with net:
        filtered = nengo.Probe(net.b, synapse=0.01)
    x = np.ones((1, 3, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        losses = []
        for weight in (0.4, 0.32):
            sim.compile(tf.optimizers.SGD(0.1), loss={net.probe: "mse"})
            sim.fit(x, {net.probe: 0 * x}, verbose=0)
            assert sim.data[net.conn].weights == pytest.approx(weight)
            sim.compile(loss={filtered: "mae"})
            losses.append(sim.evaluate(x, {filtered: 0 * x}, verbose=0)["loss"])
        assert losses[0] > 0 and losses[1] == pytest.approx(0.8 * losses[0])


def test_double_precision(Simulator):
    """Nothing on the way from the data to the parameters is in single precision."""
    net = linear_network(dtype="float64")
    x, y = np.full((1, 3, 1), 1 + 1e-12), np.full((1, 3, 1), 2 + 1e-12)
    with Simulator(net, unroll_simulation=1) as sim:
        for loss in ("mse", tf.losses.MeanSquaredError()):
            sim.reset()
            out = sim.predict(x, verbose=0)[net.probe]
            np.testing.assert_allclose(out, 0.5 + 5e-13, rtol=1e-15)
            sim.compile(tf.optimizers.SGD(0.1), loss=loss)
            result = sim.evaluate(x, y, verbose=0)["loss"]
            assert result == pytest.approx((1.5 + 5e-13) ** 2, rel=1e-14)
            sim.fit(x, y, verbose=0)
            expected = 0.5 + 0.1 * 2 * (1.5 + 5e-13) * (1 + 1e-12)
            np.testing.assert_allclose(sim.data[net.conn].weights, expected, rtol=1e-14)
    assert keras.config.floatx() == "float32"


def test_targets_for_the_last_step(Simulator):
    """Targets may have other numbers of steps than outputs, if the loss knows."""
    net = linear_network(synapse=None)
    x = np.arange(12.0).reshape((3, 4, 1))
    y = 2 * x[:, -1:]

    def of_last_step(y_true, y_pred):
        return tf.reduce_mean((y_true - y_pred[:, -1:]) ** 2)

    with Simulator(net, minibatch_size=3, unroll_simulation=2) as sim:
        sim.compile("sgd", loss=of_last_step, metrics=[of_last_step])
        history = sim.fit(x, y, validation_data=(x, y), verbose=0).history
        error = np.mean((y - 0.5 * x[:, -1:]) ** 2)
        np.testing.assert_allclose(history["loss"], [error], rtol=1e-5)
        results = sim.evaluate(x, y, verbose=0)
        for name in ("loss", "probe_loss", "probe_of_last_step"):
            np.testing.assert_allclose(results[name], history[f"val_{name}"])
        assert results["loss"] < error
