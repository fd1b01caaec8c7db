"""compile, fit, evaluate, predict: what is trained, and what comes back."""

from contextlib import nullcontext

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, SimulatorClosed, ValidationError

import nengo_dl
from nengo_dl.losses import Regularize, nan_mse
from nengo_dl.training.keras_model import TrainingFacts

pytestmark = pytest.mark.training


def linear_network(synapse=None, **settings):
    """One weight between a Node and a probed Node."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(**settings)
        net.a = nengo.Node([1.0], label="a")
        net.b = nengo.Node(size_in=1, label="b")
        net.conn = nengo.Connection(net.a, net.b, transform=0.5, synapse=synapse)
        net.probe = nengo.Probe(net.b)
    return net


def two_probes():
    """Two Nodes, each straight to a Probe."""
    with nengo.Network(seed=0) as net:
        net.inputs = [nengo.Node([0.0], label=name) for name in "ab"]
        net.outputs = [nengo.Probe(node) for node in net.inputs]
    return net


# -- what is trained -------------------------------------------------------------------


@pytest.mark.parametrize(
    "neurons, use_loop", [(True, False), (False, False), (True, True)]
)
def test_xor(neurons, use_loop, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(use_loop=use_loop, trainable=None)
        net.config[nengo.Ensemble].neuron_type = nengo.Sigmoid(tau_ref=1)
        net.config[nengo.Ensemble].gain = nengo.dists.Choice([1])
        net.config[nengo.Ensemble].bias = nengo.dists.Choice([0])
        net.config[nengo.Connection].synapse = None
        a, b = nengo.Node([0]), nengo.Node([0])
        if neurons:
            hidden = nengo.Ensemble(10, 2).neurons
            out = nengo.Ensemble(1, 1).neurons
            kwargs = {"transform": nengo_dl.dists.Glorot()}
            into_a = into_b = hidden
            nengo.Connection(a, hidden, transform=nengo_dl.dists.Glorot())
            nengo.Connection(b, hidden, transform=nengo_dl.dists.Glorot())
        else:
            hidden, out = nengo.Ensemble(20, 2), nengo.Ensemble(10, 1)
            into_a, into_b, kwargs = hidden[0], hidden[1], {"transform": [[1, 1]]}
            nengo.Connection(a, into_a)
            nengo.Connection(b, into_b)
        nengo.Connection(hidden, out, **kwargs)
        probe = nengo.Probe(out)
    x = np.array([[[0.0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]])
    y = np.array([0.1, 0.9, 0.9, 0.1])[:, None, None]
    data = {a: x[..., :1], b: x[..., 1:]}
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.Adam(0.05), loss="mse")
        sim.fit(data, {probe: y}, epochs=200, verbose=0)
        sim.step(data=data)
        np.testing.assert_allclose(sim.data[probe], y, atol=0.03)


def test_through_time(Simulator):
    """A recurrent network learns a ramp; also piece by piece, with its state kept."""
    n_steps = 10
    ramp = np.zeros((20, n_steps, 1))
    ramp[...] = np.linspace(0, 1, n_steps)[:, None]
    x = np.ones((20, n_steps, 1))
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.RectifiedLinear()
        net.config[nengo.Ensemble].gain = nengo.dists.Choice([1])
        net.config[nengo.Ensemble].bias = nengo.dists.Uniform(-1, 1)
        net.config[nengo.Connection].synapse = None
        inp = nengo.Node([0])
        ens = nengo.Ensemble(30, 1)
        out = nengo.Node(size_in=1)
        nengo.Connection(inp, ens.neurons, transform=nengo_dl.dists.Glorot())
        nengo.Connection(
            ens.neurons, ens.neurons, transform=nengo_dl.dists.Glorot(), synapse=0
        )
        nengo.Connection(ens.neurons, out, transform=nengo_dl.dists.Glorot())
        nengo.Probe(out)
    with Simulator(net, minibatch_size=10, unroll_simulation=1, seed=0) as sim:
        sim.compile(tf.optimizers.RMSprop(1e-3), loss="mse")
        before = sim.evaluate(x, ramp, verbose=0)["loss"]
        sim.fit(x, ramp, epochs=40, verbose=0)
        assert sim.evaluate(x, ramp, verbose=0)["loss"] < 0.05 * before

        sim.reset()
        for _ in range(20):
            for part in (slice(0, 5), slice(5, 10)):
                # one minibatch, so that its state meets its own continuation
                sim.fit(x[:10, part], ramp[:10, part], stateful=True, verbose=0)
            assert sim.n_steps == 10
            sim.reset(include_trainable=False)
        assert sim.evaluate(x, ramp, verbose=0)["loss"] < 0.2 * before


def gradients_of(sim, x):
    """Gradients of the sum of all outputs, by the name of the parameter."""
    model = sim.keras_model
    graph = sim.tensor_graph
    with tf.GradientTape() as tape:
        outputs = model([tf.convert_to_tensor(v) for v in x], training=True)
        total = tf.add_n([tf.reduce_sum(v) for v in list(outputs.values())[:-1]])
    values = [v.value for v in graph.trainable_variables]
    return tape.gradient(total, values)


@pytest.mark.parametrize(
    "spiking, rate, settings",
    [
        (nengo.LIF(), nengo.LIFRate(), {}),
        (nengo.LIF(amplitude=0.1), nengo.LIFRate(amplitude=0.1), {}),
        (nengo.SpikingRectifiedLinear(), nengo.RectifiedLinear(), {}),
        (nengo_dl.SpikingLeakyReLU(0.1), nengo_dl.LeakyReLU(0.1), {}),
        (nengo.RegularSpiking(nengo.Sigmoid()), nengo.Sigmoid(), {}),
        (nengo.PoissonSpiking(nengo.LIFRate()), nengo.LIFRate(), {}),
        (nengo.StochasticSpiking(nengo.Tanh()), nengo.Tanh(), {}),
        (
            nengo.LIF(),
            nengo_dl.SoftLIFRate(sigma=0.5),
            {"lif_smoothing": 0.5, "dtype": "float64"},
        ),
    ],
    ids=str,
)
def test_spiking_neurons_train_as_rate_neurons(spiking, rate, settings, Simulator):
    gradients, outputs = [], []
    x = np.random.RandomState(0).uniform(-1, 1, size=(2, 4, 1)).astype("float32")
    for neuron_type in (spiking, rate):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(**settings)
            inp = nengo.Node([0])
            ens = nengo.Ensemble(20, 1, neuron_type=neuron_type)
            nengo.Connection(inp, ens, synapse=None)
            probe = nengo.Probe(ens.neurons, synapse=0.01)
        with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
            graph = sim.tensor_graph
            inputs = [x, np.full((2, 1), 4, np.int32)]
            gradients.append(gradients_of(sim, inputs))
            outputs.append(graph([tf.constant(v) for v in inputs], training=True)[0])
            assert probe in graph.program.probes
    assert np.abs(outputs[0]).max() > 0
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-5)
    assert len(gradients[0]) > 1
    for spiking_gradient, rate_gradient in zip(*gradients):
        assert np.isfinite(spiking_gradient).all() and np.any(spiking_gradient)
        np.testing.assert_allclose(spiking_gradient, rate_gradient, rtol=1e-5)


def test_lif_smoothing(Simulator):
    """With smoothing, neurons below threshold have gradients."""
    found = []
    for sigma in (None, 1.0):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(lif_smoothing=sigma)
            ens = nengo.Ensemble(1, 1, gain=[1], bias=[0.5], encoders=[[1]])
            nengo.Probe(ens.neurons)
        with Simulator(net, unroll_simulation=1) as sim:
            gradients = gradients_of(sim, [np.full((1, 1), 1, np.int32)])
            found.append(max(np.abs(g).max() for g in gradients if g is not None))
    assert found[0] == 0 and found[1] > 0


@pytest.mark.parametrize("jit_compile", [True, False])
def test_trainable_setting(jit_compile, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(trainable=None)
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        frozen = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        net.config[frozen].trainable = False
        conn = nengo.Connection(ens, frozen, synapse=None)
        nengo.Probe(frozen.neurons)
    with Simulator(net, unroll_simulation=1) as sim:
        keys = [(conn, "weights"), (ens, "bias"), (ens, "encoders"), (frozen, "bias")]
        before = sim.data.get_params(*keys)
        sim.compile("sgd", loss="mse", jit_compile=jit_compile)
        sim.fit(n_steps=4, y=np.ones((1, 4, 10)), verbose=0)
        after = sim.data.get_params(*keys)
    changed = [np.any(a != b) for a, b in zip(before, after)]
    assert changed[0] and changed[1] and not changed[3]


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
            assert sim.keras_model.compiles_training == (function == "mse")
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_multiple_losses_train_their_own_probes(Simulator):
    with nengo.Network(seed=0) as net:
        ensembles = [
            nengo.Ensemble(10, 1, neuron_type=nengo.RectifiedLinear()) for _ in range(2)
        ]
        probes = [nengo.Probe(ens.neurons) for ens in ensembles]
    with Simulator(net, unroll_simulation=1) as sim:
        before = sim.data.get_params(*((ens, "bias") for ens in ensembles))
        losses = {
            probes[0]: lambda y_true, y_pred: tf.reduce_mean(y_pred),
            probes[1]: lambda y_true, y_pred: 0 * y_pred,
        }
        y = {probe: np.zeros((1, 2, 10)) for probe in probes}
        sim.compile(tf.optimizers.SGD(1e-3), loss=losses)
        sim.fit(n_steps=2, y=y, epochs=3, verbose=0)
        after = sim.data.get_params(*((ens, "bias") for ens in ensembles))
    assert np.any(before[0] != after[0])
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("use_loop", [True, False])
def test_python_functions_stop_gradients(use_loop, Simulator):
    def double(t, x):
        return x * 2

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(use_loop=use_loop)
        inp = nengo.Node([1])
        hidden = nengo.Node(double, size_in=1)
        out = nengo.Node(size_in=1)
        conns = [
            nengo.Connection(inp, hidden, synapse=None, transform=1.0),
            nengo.Connection(hidden, out, synapse=None, transform=1.0),
        ]
        probe = nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss={probe: "mse"})
        before = sim.data.get_params(*((conn, "weights") for conn in conns))
        with pytest.warns(UserWarning, match="the function `double`"):
            sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), epochs=3, verbose=0)
        after = sim.data.get_params(*((conn, "weights") for conn in conns))
        # the second one comes after the function
        np.testing.assert_array_equal(before[0], after[0])
        assert np.all(before[1] != after[1])
        # warned once
        sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), verbose=0)


def test_nothing_to_train_but_python(Simulator):
    with nengo.Network() as net:
        inp = nengo.Node([1])
        conn = nengo.Connection(
            inp, nengo.Node(lambda t, x: x, size_in=1), synapse=None, transform=1.0
        )
        nengo.Probe(conn.post)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(100.0), loss="mse")
        before = sim.data[conn].weights
        with pytest.warns(UserWarning, match="No gradient flows"):
            sim.fit(n_steps=2, y=np.zeros((1, 2, 1)), verbose=0)
        np.testing.assert_array_equal(sim.data[conn].weights, before)


@pytest.mark.parametrize(
    "rule",
    [
        nengo.PES(1e-2),
        nengo.BCM(1e-6),
        nengo.Oja(1e-4),
        nengo.RLS(1e-3),
        nengo.Voja(1e-2),
    ],
)
def test_learning_rules_go_on_while_training(rule, Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        pre = nengo.Ensemble(20, 1, neuron_type=nengo.LIFRate())
        post = nengo.Ensemble(20, 1, neuron_type=nengo.LIFRate())
        solver = nengo.solvers.LstsqL2(weights=isinstance(rule, (nengo.BCM, nengo.Oja)))
        nengo.Connection(inp, pre, synapse=None)
        learned = nengo.Connection(
            pre, post, synapse=None, solver=solver, learning_rule_type=rule
        )
        if isinstance(rule, (nengo.PES, nengo.RLS)):
            nengo.Connection(inp, learned.learning_rule, synapse=None)
        nengo.Probe(post.neurons)
    is_voja = isinstance(rule, nengo.Voja)
    key = (post, "scaled_encoders") if is_voja else (learned, "weights")
    x = np.stack([np.zeros((5, 1)), np.ones((5, 1))])
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        (before,) = sim.data.get_params(key)
        trained = sim.data[pre].bias
        sim.compile(tf.optimizers.SGD(1e-5), loss="mse")
        sim.fit(x, np.zeros((2, 5, 20)), shuffle=False, verbose=0)
        (after,) = sim.data.get_params(key)
        assert before.shape == after.shape and after.shape[0] == 2
        assert np.any(before[1] != after[1])
        # every item learns for itself
        assert np.any(after[0] != after[1])
        assert np.any(sim.data[pre].bias != trained)
        # and what was learned is where the simulation goes on
        sim.run_steps(1)
        assert sim.n_steps == 1


# -- state -----------------------------------------------------------------------------


def test_training_leaves_the_simulation_alone(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0.5])
        ens = nengo.Ensemble(20, 1, noise=nengo.processes.WhiteNoise(seed=0))
        nengo.Connection(inp, ens)
        probe = nengo.Probe(ens, synapse=0.1)
    x = np.random.RandomState(0).uniform(size=(4, 5, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(20)
        expected = np.array(sim.data[probe])
        sim.reset()
        sim.run_steps(10)
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        sim.fit(x, x, verbose=0)
        sim.evaluate(x, x, verbose=0)
        sim.predict(x, verbose=0)
        assert sim.n_steps == 10
        sim.run_steps(10)
        np.testing.assert_allclose(sim.data[probe], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "predict_on_batch"])
@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("stateful", [True, False])
def test_stateful(method, configured, stateful, Simulator):
    net = linear_network(synapse=0.1, stateful=configured)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        kwargs = {"n_steps": 5, "stateful": stateful}
        if method in ("fit", "evaluate"):
            kwargs["y"] = np.zeros((1, 5, 1))
        if method != "predict_on_batch":
            kwargs["verbose"] = 0
        for n_steps in (5, 10):
            if stateful and not configured and method != "predict_on_batch":
                with pytest.warns(UserWarning, match="Ignoring stateful=True"):
                    getattr(sim, method)(**kwargs)
            else:
                getattr(sim, method)(**kwargs)
            assert sim.n_steps == (n_steps if stateful and configured else 0)


def test_every_minibatch_starts_alike(Simulator):
    net = linear_network(synapse=0.1)
    x = np.ones((6, 5, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        first, second, third = np.split(sim.predict(x, verbose=0)[net.probe], 3)
        np.testing.assert_array_equal(first, second)
        first, second, third = np.split(
            sim.predict(x, stateful=True, verbose=0)[net.probe], 3
        )
        assert np.all(second > first) and np.all(third > second)
        assert sim.n_steps == 15


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


def test_learning_phase(Simulator):
    for learning_phase, expected in ((True, 1.0), (None, 0.0)):
        with nengo.Network() as net:
            nengo_dl.configure_settings(learning_phase=learning_phase)
            ens = nengo.Ensemble(
                1,
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=nengo.dists.Choice([1]),
                bias=nengo.dists.Choice([1]),
            )
            probe = nengo.Probe(ens.neurons)
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(10)
            np.testing.assert_allclose(sim.data[probe], expected)
            np.testing.assert_allclose(
                sim.predict(n_steps=10, verbose=0)[probe], expected
            )


# -- forms of data ---------------------------------------------------------------------


def test_predict_takes_all_forms_of_data(Simulator):
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0], label="a")
        ens = nengo.Ensemble(10, 1)
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens, synapse=0.01)
    n_steps, batch = 5, 4
    x = np.random.RandomState(0).uniform(size=(batch, n_steps, 1))
    with Simulator(net, minibatch_size=batch, unroll_simulation=1) as sim:
        sim.run_steps(n_steps)
        sim.reset(include_probes=False)
        with pytest.warns(UserWarning, match="Batch size is determined statically"):
            generated = sim.predict(n_steps=n_steps, batch_size=-1, verbose=0)
        np.testing.assert_array_equal(generated[probe], sim.data[probe])

        sim.reset()
        sim.run_steps(n_steps, data=x)
        expected = np.array(sim.data[probe])
        sim.reset()
        np.testing.assert_array_equal(sim.predict_on_batch(x)[probe], expected)

        tiled, expected = np.tile(x, (3, 1, 1)), np.tile(expected, (3, 1, 1))
        steps = np.full((batch, 1), n_steps)
        as_dict = {"a": tiled, "n_steps": np.tile(steps, (3, 1))}
        forms = [
            (tiled, {}),
            ([tiled], {}),
            (tf.constant(tiled), {}),
            ({inp: tiled}, {}),
            ({"a": tiled}, {}),
            (((((x, steps),) for _ in range(3))), {"steps": 3}),
            (((([x, steps],)) for _ in range(3)), {"steps": 3}),
            (({"a": x, "n_steps": steps} for _ in range(3)), {"steps": 3}),
            (tf.data.Dataset.from_tensor_slices(as_dict).batch(batch), {}),
        ]
        for data, kwargs in forms:
            outputs = sim.predict(data, verbose=0, **kwargs)
            assert list(outputs) == [probe]
            np.testing.assert_allclose(outputs[probe], expected, rtol=1e-6)


def test_evaluate_takes_all_forms_of_data(Simulator):
    net = two_probes()
    ones, zeros = np.ones((6, 10, 1)), np.zeros((6, 10, 1))
    first = net.outputs[0]
    with Simulator(net, minibatch_size=3, unroll_simulation=1) as sim:
        sim.compile(loss={"probe": "mse"})
        with pytest.warns(UserWarning, match="Batch size is determined statically"):
            with pytest.warns(UserWarning, match="does not match number of Probes"):
                result = sim.evaluate([zeros, ones], zeros, batch_size=5, verbose=0)
        assert result == {"loss": 0, "probe_loss": 0}

        sim.compile(loss="mse")
        expected = {"loss": 1, "probe_loss": 0, "probe_1_loss": 1}
        steps = np.full((3, 1), 10.0)
        x = {"a": zeros[:3], "b": ones[:3], "n_steps": steps}
        y = {"probe": zeros[:3], "probe_1": zeros[:3]}
        forms = [
            (([zeros, ones], [zeros, zeros]), {}),
            (([tf.constant(zeros), tf.constant(ones)], [tf.constant(zeros)] * 2), {}),
            ((((x, y) for _ in range(2)),), {"steps": 2}),
        ]
        for data, kwargs in forms:
            result = sim.evaluate(*data, verbose=0, **kwargs)
            assert list(result) == list(expected) and result == expected
        generated = sim.evaluate(n_steps=10, y=[zeros[:3], zeros[:3]], verbose=0)
        assert generated["loss"] == 0

        sim.compile(loss={first: lambda y_true, y_pred: tf.constant(3.0)})
        assert sim.evaluate(n_steps=2, y={first: zeros[:3]}, verbose=0)["loss"] == 3
        sim.compile(loss={first: lambda y_true, y_pred: 1.0})
        assert sim.evaluate(n_steps=2, y={first: zeros[:3]}, verbose=0)["loss"] == 1


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


@pytest.mark.parametrize("n_steps", [1, 3])
def test_fit_takes_all_forms_of_data(n_steps, Simulator):
    with nengo.Network(seed=0) as net:
        a, b = nengo.Node([0], label="a"), nengo.Node([0], label="b")
        out = nengo.Node(size_in=1)
        nengo.Connection(a, out, synapse=None, transform=1.0)
        nengo.Connection(b, out, synapse=None, transform=1.0)
        probe = nengo.Probe(out)
    rng = np.random.RandomState(0)
    x = [rng.uniform(-1, 1, size=(20, n_steps, 1)) for _ in range(2)]
    y = 0.5 * x[0] - 2 * x[1]
    counts = np.full((20, 1), n_steps)

    def batches():
        while True:
            yield [x[0], x[1], counts], y

    data_set = tf.data.Dataset.from_tensors(
        (
            {
                "a": x[0].astype("float32"),
                "b": x[1].astype("float32"),
                "n_steps": counts,
            },
            y.astype("float32"),
        )
    )
    with Simulator(net, minibatch_size=20, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.3), loss="mse")
        for data, kwargs in (
            ((x, y), {"validation_data": (x, y)}),
            (({a: x[0], "b": tf.constant(x[1])}, {probe: tf.constant(y)}), {}),
            ((batches(),), {"steps_per_epoch": 1}),
            ((data_set,), {"validation_data": data_set}),
        ):
            history = sim.fit(*data, epochs=60, verbose=0, **kwargs).history
            assert history["loss"][0] > 0.1 and history["loss"][-1] < 1e-3
            assert history["probe_loss"] == history["loss"]
            if "validation_data" in kwargs:
                assert history["val_loss"][-1] < 1e-3
            sim.reset()
        with pytest.warns(UserWarning, match="Batch size is determined statically"):
            sim.fit(x, y, batch_size=5, verbose=0)


def test_py_dataset(Simulator):
    net = linear_network()

    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"a": np.ones((2, 4, 1)), "n_steps": np.full((2, 1), 4)}, {
                "probe": np.full((2, 4, 1), 2.0)
            }

    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss="mse")
        history = sim.fit(Data(), validation_data=Data(), epochs=5, verbose=0).history
        losses = history["loss"]
        assert losses[-1] < 0.1 * losses[0]
        out = sim.predict(Data(), verbose=0)[net.probe]
        assert out.shape == (6, 4, 1)
        expected = pytest.approx(np.mean((out - 2) ** 2))
        assert history["val_loss"][-1] == expected
        assert sim.evaluate(Data(), verbose=0)["loss"] == expected


def test_small_integers(Simulator):
    net = linear_network()
    x = np.full((2, 3, 1), 200, np.uint8)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        assert sim.fit(x, x, verbose=0).history["loss"] == [100**2]
        assert sim.evaluate(x, x, verbose=0)["loss"] == 100**2
        assert np.all(sim.predict(x, verbose=0)[net.probe] == 100)
        assert np.all(sim.predict_on_batch(x)[net.probe] == 100)


def test_partial_data_are_completed(Simulator):
    """Nodes without data have their own output, for every item."""
    with nengo.Network() as net:
        nodes = [
            nengo.Node([0.0]),
            nengo.Node(lambda t: t),
            nengo.Node(nengo.processes.WhiteNoise(seed=0)),
            nengo.Node([2.0]),
            nengo.Node(nengo.processes.WhiteNoise()),
        ]
        probes = [nengo.Probe(node) for node in nodes]
    x = np.random.RandomState(0).uniform(size=(4, 3, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        assert len(sim.tensor_graph.invariant_inputs) == 5
        out = [sim.predict({nodes[0]: x}, verbose=0)[p] for p in probes]
        np.testing.assert_allclose(out[0], x, rtol=1e-6)
        np.testing.assert_allclose(out[1][..., 0], [[0.001, 0.002, 0.003]] * 4)
        seeded = nodes[2].output.run_steps(3)
        np.testing.assert_allclose(out[2][:2], [seeded] * 2, rtol=1e-5)
        assert np.all(out[3] == 2)
        assert len(np.unique(out[4])) == 12
        # the noise is the same in the simulation that follows
        sim.run_steps(3)
        np.testing.assert_allclose(sim.data[probes[4]], out[4][:2], rtol=1e-6)


def test_functions_are_called_once_per_step(Simulator):
    calls = []
    with nengo.Network() as net:
        inp = nengo.Node([0])
        nengo.Node(lambda t: calls.append(t))
        nengo.Probe(inp)
    calls.clear()
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.predict({inp: np.zeros((6, 4, 1))}, verbose=0)
    np.testing.assert_allclose(calls, [0.001, 0.002, 0.003, 0.004])


def test_noise_in_training(Simulator):
    """Processes without input run along with every batch."""
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0])
        ens = nengo.Ensemble(
            10,
            1,
            neuron_type=nengo.RectifiedLinear(),
            noise=nengo.processes.WhiteNoise(),
        )
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens.neurons)
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        x = np.zeros((2, 4, 1))
        out = sim.predict(x, verbose=0)[probe]
        assert np.std(out, axis=1).max() > 0
        sim.run_steps(4, data=x)
        np.testing.assert_allclose(sim.data[probe], out, rtol=1e-5)
        sim.compile("sgd", loss="mse")
        before = sim.data[ens].bias
        sim.fit(x, np.zeros((2, 4, 10)), verbose=0)
        assert np.any(sim.data[ens].bias != before)


def test_synapse_warning(Simulator):
    for conn_synapse, probe_synapse, n_steps, other_synapse, warns in (
        (1, None, 1, None, True),
        (None, 1, 1, None, True),
        (None, 1, 2, None, False),
        (None, None, 1, 1, False),
        (1, None, 1, 1, True),
    ):
        with nengo.Network() as net:
            a, b = nengo.Node([0]), nengo.Node(size_in=1)
            nengo.Connection(a, b, synapse=conn_synapse)
            probe = nengo.Probe(b, synapse=probe_synapse)
            nengo.Probe(b, synapse=other_synapse)
        with Simulator(net, unroll_simulation=1) as sim:
            sim.compile(tf.optimizers.SGD(0.0), loss={probe: "mse"})
            x = np.zeros((1, n_steps, 1))
            for name in ("fit", "evaluate", "predict"):
                data = [x] if name == "predict" else [x, {probe: x}]
                with (
                    pytest.warns(UserWarning, match="contains synaptic filters")
                    if warns
                    else nullcontext()
                ):
                    getattr(sim, name)(*data, verbose=0)


def test_model_without_network(Simulator):
    model = nengo.builder.Model()
    model.build(linear_network())
    model.toplevel = None
    with pytest.warns(UserWarning, match="No top-level network"):
        sim = Simulator(None, model=model, unroll_simulation=1)
    with sim:
        assert sim.predict(n_steps=1, verbose=0)[model.probes[0]].shape == (1, 1, 1)


# -- losses ----------------------------------------------------------------------------


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


# -- Keras -----------------------------------------------------------------------------


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


def test_numbers_of_steps_are_not_remembered(Simulator):
    """A network without input trains for as many steps as it is told each time."""
    with nengo.Network(seed=0) as net:
        probe = nengo.Probe(nengo.Ensemble(5, 1).neurons)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        for n_steps in (5, 3, 5):
            y = np.zeros((1, n_steps, 5))
            sim.fit(n_steps=n_steps, y={probe: y}, stateful=True, verbose=0)
        assert sim.n_steps == 13
        n_steps = tf.constant([[2]])
        outputs = sim.tensor_graph([n_steps], training=True)
        assert outputs[0].shape == (1, 2, 5)
        assert sim.tensor_graph.values.n_steps() == 13


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


@pytest.mark.parametrize(
    "error, raised, message",
    [
        (ZeroDivisionError, ZeroDivisionError, "stop"),
        # Keras takes TensorFlow's error for the end of the data; RuntimeError is what
        # Python makes of it in any generator
        (StopIteration, RuntimeError, "StopIteration"),
    ],
)
def test_exceptions_of_functions(error, raised, message, Simulator):

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
            with pytest.raises(raised, match=message):
                call()
        assert sim.predict(x[:, :2], verbose=0)


# -- bad input -------------------------------------------------------------------------


def test_bad_data(Simulator):
    net = linear_network()
    other = linear_network()
    x = np.ones((4, 4, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=2) as sim:
        sim.compile("sgd", loss="mse")
        before = sim.data[net.conn].weights
        for kwargs, message in (
            ({"x": x, "y": x[:2]}, "does not match expected size"),
            ({"x": x[:1], "y": x[:1]}, r"Batch size of data \(1\)"),
            ({"x": x[:, :3], "y": x}, "must be evenly divisible"),
            ({"x": x[0], "y": x}, "should have rank 3"),
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
            ({"x": x, "y": x, "validation_split": 0.25}, "not evenly divisible"),
        ):
            for method in (sim.fit, sim.evaluate):
                if "validation_split" in kwargs and method == sim.evaluate:
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


def test_uneven_data(Simulator):
    net = linear_network()
    x = np.arange(5.0)[:, None, None]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse", metrics=["mae"])
        with pytest.warns(UserWarning, match="not evenly divisible"):
            assert len(sim.predict(x, verbose=0)[net.probe]) == 4
        with pytest.warns(UserWarning, match="not evenly divisible"):
            history = sim.fit(x, x, sample_weight=np.ones(5), verbose=0).history
        assert history["probe_mae"] == [pytest.approx(0.75)]
        x = np.ones((10, 1, 1))
        sim.fit(x, x, validation_split=0.2, verbose=0)


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


def test_targets_without_loss(Simulator):
    net = two_probes()
    x = np.ones((1, 1, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss={net.outputs[0]: "mse"})
        with pytest.warns(UserWarning, match=r"targets for \['probe_1'\]"):
            sim.evaluate([x, x], [x, x], verbose=0)


def test_nothing_probed(Simulator):
    with nengo.Network() as net:
        nengo.Node([0])
    with Simulator(net, unroll_simulation=1) as sim:
        assert sim.predict(n_steps=2, verbose=0) == {}
        sim.compile(loss="mse")
        with pytest.raises(SimulationError, match="no Probes"):
            sim.fit(n_steps=1)


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


def test_too_many_and_too_few_arrays(Simulator):
    net = two_probes()
    x = np.ones((1, 2, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        for data in (x, [x]):
            with pytest.warns(UserWarning, match="does not match number of Nodes"):
                sim.predict(data, verbose=0)
        sim.predict([x, x], verbose=0)
        sim.predict({net.inputs[0]: x}, verbose=0)
        for method in (sim.evaluate, sim.fit):
            with pytest.warns(UserWarning, match="does not match number of Nodes"):
                method(x, [x, x], verbose=0)
            with pytest.warns(UserWarning, match="does not match number of Probes"):
                with pytest.raises(ValidationError, match="no targets for"):
                    method([x, x], x, verbose=0)


# -- gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("unroll", [1, 2])
def test_check_gradients(unroll, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        net.config[nengo.Ensemble].neuron_type = nengo_dl.SoftLIFRate()
        net.config[nengo.Connection].synapse = nengo.synapses.Alpha(0.1)
        a, b = nengo.Node([0]), nengo.Node([0, 0])
        ens = nengo.Ensemble(6, 2)
        out = nengo.Ensemble(5, 1)
        nengo.Connection(a, ens[0], synapse=None)
        nengo.Connection(b[1], ens[1])
        nengo.Connection(ens, ens)
        nengo.Connection(ens, out, function=lambda x: x[0], synapse=None)
        solver = nengo.solvers.LstsqL2(weights=True)
        nengo.Connection(b, out, function=lambda x: x[0] * x[1])
        nengo.Connection(ens[0], out, solver=solver)
        probes = [nengo.Probe(ens), nengo.Probe(out)]
    with Simulator(net, minibatch_size=2, unroll_simulation=unroll) as sim:
        sim.run_steps(2)
        gradients = sim.check_gradients(atol=1e-3)
        assert list(gradients) == probes
        assert np.any(gradients[probes[0]]["analytic"][0])
        assert sim.n_steps == 2
        inputs = [np.ones((2, 4, 1)), np.ones((2, 4, 2))]
        assert list(sim.check_gradients(inputs, [probes[1]], atol=1e-3)) == [probes[1]]
        with pytest.raises(ValidationError, match="is not a Probe of this network"):
            sim.check_gradients(inputs, [net])


@pytest.mark.parametrize("amplitude", [1, 0.1])
@pytest.mark.parametrize(
    "cls, kwargs",
    [
        (nengo.LIFRate, {}),
        (nengo.RectifiedLinear, {}),
        (nengo_dl.SoftLIFRate, {"sigma": 0.1}),
    ],
)
def test_gradients_of_neurons(cls, kwargs, amplitude, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        inp = nengo.Node([0])
        ens = nengo.Ensemble(10, 1, neuron_type=cls(amplitude=amplitude, **kwargs))
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens.neurons)
    with Simulator(net, unroll_simulation=1) as sim:
        gradients = sim.check_gradients(atol=1e-4)
        assert np.abs(gradients[probe]["analytic"][0]).max() > 1


def test_wrong_gradients(Simulator):
    with nengo.Network() as net:
        a, b = nengo.Node([0]), nengo.Node(lambda t, x: x**2 + x, size_in=1)
        nengo.Connection(a, b, synapse=None)
        nengo.Probe(b)
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="Gradient check failed"):
            sim.check_gradients()
    with nengo.Network() as net:
        a = nengo.Node([0])
        nengo.Probe(nengo_dl.Layer(lambda x: 1 / x)(a))
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="NaNs detected"):
            sim.check_gradients()
