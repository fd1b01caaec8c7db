"""The Keras model of a simulator, its callbacks, and the layer in other models."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, SimulatorClosed
from training.linear_networks import linear_network

from nengo_dl.training.keras_model import TrainingFacts

pytestmark = pytest.mark.training


def test_callbacks_can_use_the_simulator(tmp_path, Simulator):
    net = linear_network()
    seen = []
    with Simulator(net, unroll_simulation=1) as sim:

        class Use(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(sim.predict(n_steps=1, verbose=0)[net.probe].item())
                sim.save_params(tmp_path / f"epoch_{epoch}")

        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        x = np.ones((2, 1, 1))
        sim.fit(x, x, epochs=3, callbacks=[Use()], stateful=True, verbose=0)
        assert sim.n_steps == 6
        assert 0.5 < seen[0] < seen[1] < seen[2] < 1
        assert sim.data[net.conn].weights.item() == pytest.approx(seen[-1])
        sim.load_params(tmp_path / "epoch_0")
        assert sim.data[net.conn].weights.item() == pytest.approx(seen[0])


def test_keras_model(Simulator):
    with nengo.Network() as net:
        for label in (None, None, "aa", "aa", "Aa", "aA", None):
            node = nengo.Node([0], label=label)
            nengo.Probe(node, label=None if label is None else f"p_{label}")
    with Simulator(net, unroll_simulation=1) as sim:
        model = sim.keras_model
        assert model.name == "keras_model"
        assert model.input_names == "node node_1 aa aa_1 Aa_2 aA_3 node_2".split() + [
            "n_steps"
        ]
        assert model.output_names == (
            "probe probe_1 p_aa p_aa_1 p_Aa_2 p_aA_3 probe_2 steps_run".split()
        )
        assert list(sim.node_inputs) == net.nodes
        assert sim.keras_model is model
    assert list(sim.node_inputs) == net.nodes
    with pytest.raises(SimulatorClosed, match="access Simulator.keras_model"):
        assert sim.keras_model


def test_outputs_by_position_and_by_name(Simulator):
    with nengo.Network() as net:
        nodes = [nengo.Node([0], label="in/x"), nengo.Node([0, 0], label="日本")]
        for node, label in zip(nodes, ("b", "a")):
            nengo.Probe(node, label=label)
    x, z = np.full((2, 3, 1), 4, "float32"), np.full((2, 3, 2), 5, "float32")
    n_steps = np.full((2, 1), 3, "int32")
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        model = sim.keras_model
        inputs = [
            keras.Input(batch_shape=(2, None, 1)),
            keras.Input(batch_shape=(2, None, 2)),
            keras.Input(batch_shape=(2, 1), dtype="int32"),
        ]
        outer = keras.Model(inputs, list(model(inputs))[::-1])
        named = {"in/x": x, "日本": z, "n_steps": n_steps}
        for outputs in (
            model([x, z, n_steps]),
            model(named),
            tf.function(lambda: model(named))(),
            model.predict([x, z, n_steps], verbose=0),
            model.predict_on_batch([x, z, n_steps]),
            outer([x, z, n_steps])[::-1],
        ):
            assert len(outputs) == 3
            first, second, steps = outputs
            assert np.array_equal(first, x) and np.array_equal(second, z)
            assert np.array_equal(steps, [3, 3])
            if isinstance(outputs, tuple):
                assert outputs.keys() == ["b", "a", "steps_run"]
                assert np.array_equal(outputs["a"], z)
                assert dict(outputs.items())["b"] is outputs[0]
                with pytest.raises(KeyError, match="no output 'c'"):
                    outputs["c"]


def test_labels_of_all_kinds(Simulator):
    labels = ["ünï/çødé", "日本", "🎉 x", "in/x", "in_x", "_a", "/d", "d/", "日本"]
    with nengo.Network() as net:
        nodes = [nengo.Node([i], label=label) for i, label in enumerate(labels)]
        probes = [nengo.Probe(n, label=f"p{n.label}") for n in nodes]
    x = {n: np.full((2, 1, 1), i, "float32") for i, n in enumerate(nodes)}
    y = {p: x[n] + 1 for n, p in zip(nodes, probes)}
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        names = [sim.get_name(n) for n in nodes]
        assert names == [*labels[:2], "🎉_x", *labels[3:-1], "日本_1"]
        assert sim.keras_model.input_names == [*names, "n_steps"]
        for data in (x, {sim.get_name(n): x[n] for n in nodes}):
            outputs = sim.predict(data, verbose=0)
            assert all((outputs[p] == x[n]).all() for n, p in zip(nodes, probes))
        sim.compile("sgd", loss="mse", metrics=keras.metrics.MeanAbsoluteError())
        results = sim.evaluate(x, y, verbose=0)
        assert results["pünï/çødé_loss"] == 1
        assert results["p日本_1_mean_absolute_error"] == 1
        history = sim.fit(x, y, validation_data=(x, y), verbose=0).history
        assert history["val_p🎉_x_loss"] == [1]


@pytest.mark.parametrize("minibatch_size", [None, 1, 3])
def test_in_a_model_of_the_user(minibatch_size, Simulator):
    batch = minibatch_size or 1
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0] * 2)
        ens = nengo.Ensemble(10, 2)
        nengo.Connection(inp, ens, synapse=None)
        probes = [nengo.Probe(ens), nengo.Probe(inp)]
    x = np.random.RandomState(0).uniform(-1, 1, size=(batch, 5, 2)).astype("float32")
    steps = np.full((batch, 1), 5, np.int32)
    with Simulator(net, minibatch_size=minibatch_size, unroll_simulation=1) as sim:
        nodes, n_steps = sim.tensor_graph.build_inputs()
        inputs = [*nodes.values(), n_steps]
        model = keras.Model(inputs, sim.tensor_graph(inputs))
        sim.run_steps(5, data=x)
        expected = [np.reshape(sim.data[p], (batch, 5, 2)) for p in probes]
        sim.reset(include_probes=False)
        outputs = model.predict([x, steps], batch_size=batch, verbose=0)
        assert len(outputs) == 3
        np.testing.assert_allclose(outputs[0], expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(outputs[1], expected[1])
        assert np.all(outputs[2] == 5)

        # trained together with layers around it
        dense_in = keras.Input(batch_shape=(batch, 5, 4))
        hidden = keras.layers.Dense(2)(dense_in)
        out = sim.tensor_graph([hidden, n_steps])[0]
        model = keras.Model([dense_in, n_steps], keras.layers.Dense(1)(out))
        model.compile(tf.optimizers.Adam(0.01), loss="mse")
        data = [np.ones((batch, 5, 4)), steps], np.ones((batch, 5, 1))
        bias = sim.data[ens].bias
        history = model.fit(*data, batch_size=batch, epochs=40, verbose=0).history
        losses = history["loss"]
        assert losses[-1] < 0.5 * losses[0]
        assert np.any(sim.data[ens].bias != bias)


@pytest.mark.parametrize("n_steps", [1, 4])
def test_one_step_needs_no_loop(n_steps, Simulator):
    net = linear_network(synapse=0.1)
    x, counts = tf.ones((1, n_steps, 1)), tf.fill((1, 1), n_steps)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        sim.keras_model.facts = TrainingFacts(n_steps, keep_state=False)
        step = tf.function(sim.keras_model.train_step)
        graph = step.get_concrete_function(([x, counts], x)).graph
        # also in functions that it calls
        assert ('While"' in str(graph.as_graph_def())) == (n_steps > 1)


def test_keras_weights_file(tmp_path, Simulator):
    net = linear_network()
    with Simulator(net, unroll_simulation=1) as sim:
        for variable in sim.keras_model.trainable_variables:
            variable.assign(tf.fill(variable.shape, 3.0))
        sim.keras_model.save_weights(tmp_path / "w.weights.h5")
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.keras_model.load_weights(tmp_path / "w.weights.h5")
        assert sim.data[net.conn].weights == 3
        assert np.all(sim.predict(n_steps=1, verbose=0)[net.probe] == 3)


def test_whole_models_cannot_be_saved(tmp_path, Simulator):
    """The error comes before anything is trained, and before a file is touched."""
    net = linear_network()
    x = np.ones((2, 1, 1))
    path = tmp_path / "model.keras"
    path.write_text("of value")
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        before = sim.data[net.conn].weights.item()
        for name in (path, str(tmp_path / "new.keras")):
            checkpoint = keras.callbacks.ModelCheckpoint(name)
            with pytest.raises(SimulationError, match="save_weights_only=True"):
                sim.fit(x, x, callbacks=[checkpoint], verbose=0)
        for name in (path, tmp_path / "model.h5", str(tmp_path / "new.keras")):
            with pytest.raises(SimulationError, match="Simulator.save_params"):
                sim.keras_model.save(name)
        with pytest.raises(NotImplementedError, match="Simulator.save_params"):
            sim.keras_model.to_json()
        assert sim.data[net.conn].weights.item() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_text() == "of value"


def test_callbacks_of_keras(tmp_path, Simulator):
    net = linear_network()
    x, y = np.ones((2, 1, 1)), np.full((2, 1, 1), 2.0)
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rates.append(self.model.optimizer.learning_rate.numpy())

    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch)
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5",
        save_weights_only=True,
        monitor="probe_loss",
        mode="min",
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=10)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        for start in (0, 1):
            sim.fit(
                x,
                y,
                initial_epoch=start,
                epochs=start + 1,
                callbacks=[schedule, Rates(), checkpoint],
                verbose=0,
            )
        assert rates == pytest.approx([0.1, 0.05])
        trained = sim.data[net.conn].weights
        history = sim.fit(
            x, y, validation_data=(x, y), epochs=9, callbacks=(stop,), verbose=0
        )
        assert len(history.epoch) == 2
        sim.keras_model.load_weights(tmp_path / "best.weights.h5")
        np.testing.assert_array_equal(sim.data[net.conn].weights, trained)

        # the rate is so high that the first epoch is the best one
        stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
        sim.compile(tf.optimizers.SGD(1.2), loss="mse")
        history = sim.fit(
            x, y, validation_data=(x, y), epochs=9, callbacks=[stop], verbose=0
        )
        assert len(history.epoch) == 3
        best = 2 + (1 - 2 * 1.2) ** 2 * (trained - 2)
        np.testing.assert_allclose(sim.data[net.conn].weights, best, rtol=1e-5)
