"""What `fit` trains, from which data."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from training.linear_networks import linear_network

import nengo_dl

pytestmark = [pytest.mark.training, pytest.mark.long]


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
        # (ten long epochs, as each starts its data and callbacks anew)
        many = {node: np.tile(values, (20, 1, 1)) for node, values in data.items()}
        y_many = {probe: np.tile(y, (20, 1, 1))}
        sim.fit(many, y_many, epochs=10, shuffle=False, verbose=0)
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


# -- forms of data ---------------------------------------------------------------------


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
        sim.compile(tf.optimizers.SGD(0.9), loss="mse")
        for data, kwargs in (
            ((x, y), {"validation_data": (x, y)}),
            (({a: x[0], "b": tf.constant(x[1])}, {probe: tf.constant(y)}), {}),
            ((batches(),), {"steps_per_epoch": 1}),
            ((data_set,), {"validation_data": data_set}),
        ):
            history = sim.fit(*data, epochs=15, verbose=0, **kwargs).history
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


# -- Keras -----------------------------------------------------------------------------


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
