"""Networks with other synapses in training than in running."""

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import BuildError
from nengo.synapses import Alpha, Lowpass, Triangle

import nengo_dl

pytestmark = pytest.mark.training


def network(built, running, training, **settings):
    """
    Three kinds of Connections (one of them recurrent) and of Probes.

    With `built`, the network is built with the synapses of training; otherwise, they
    are configured.
    """
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(
            dtype="float64", training_synapse=None, jit_compile=False, **settings
        )
        net.inp = nengo.Node([0.5, 0.2])
        a = nengo.Ensemble(12, 2, neuron_type=nengo.LIFRate())
        b = nengo.Ensemble(8, 2, neuron_type=nengo.LIFRate())
        nengo.Connection(net.inp, a, synapse=None)
        slow = nengo.Connection(a, a, synapse=0.05, label="recurrent")
        forward = nengo.Connection(a, b)
        neurons = nengo.Connection(a.neurons, b.neurons, transform=np.ones((8, 12)))
        nengo.Connection(a[0], b[1], synapse=0.002)
        net.outputs = [
            nengo.Probe(b, label="decoded"),
            nengo.Probe(b.neurons[::2], label="neurons"),
            nengo.Probe(forward, label="connection"),
        ]
        net.outputs.append(nengo.Probe(a, synapse=0.01, label="unset"))
        net.outputs.append(nengo.Probe(forward, label="unfiltered"))
        objects = {
            "recurrent": [slow],
            "forward": [forward, neurons],
            "probes": net.outputs[:3],
        }
        for name, group in objects.items():
            for obj in group:
                obj.synapse = training[name] if built else running[name]
                if not built:
                    net.config[obj].training_synapse = training[name]
    return net


def weights(sim):
    """All parameters of a network, which are in other arrays in another network."""
    params = sim.export_params()
    return np.concatenate([v.ravel() for obj in params for v in params[obj].values()])


RUNNING = {"recurrent": Lowpass(0.05), "forward": Alpha(0.01), "probes": Lowpass(0.1)}


@pytest.mark.parametrize(
    "training",
    [
        {"recurrent": Lowpass(0.01), "forward": None, "probes": None},
        {
            "recurrent": Alpha(0.02),
            "forward": Triangle(0.003),
            "probes": Lowpass(0.003),
        },
    ],
    ids=["none", "filters"],
)
def test_as_if_built_with_other_synapses(training, Simulator):
    """Training has the numbers of one network, everything else those of another."""
    x = np.random.RandomState(0).uniform(-1, 1, (4, 4, 2))
    results = []
    for built in (False, True):
        net = network(built, RUNNING, training)
        with Simulator(net, minibatch_size=2, unroll_simulation=1, seed=0) as sim:
            if not built:
                with nengo.Simulator(net, progress_bar=False) as reference:
                    reference.run_steps(4)
                sim.run_steps(4)
                for probe in net.outputs:
                    expected = np.broadcast_to(
                        reference.data[probe], sim.data[probe].shape
                    )
                    np.testing.assert_allclose(sim.data[probe], expected, rtol=1e-10)
                sim.reset()
            counts = tf.fill([2, 1], 4)
            outputs = sim.tensor_graph([tf.constant(x[:2]), counts], training=True)
            initial = weights(sim)
            sim.compile(
                tf.optimizers.SGD(1e-6),
                loss=dict.fromkeys(net.outputs[:2], "mse"),
                jit_compile=False,
            )
            y = {p: np.ones((4, 4, p.size_in)) for p in net.outputs[:2]}
            history = sim.fit({net.inp: x}, y, shuffle=False, stateful=True, verbose=0)
            results.append((outputs, history.history, initial, weights(sim)))
    (outputs, history, initial, trained), expected = results
    for output, other in zip(outputs, expected[0]):
        assert np.any(output)
        np.testing.assert_allclose(output, other, rtol=1e-10, atol=1e-14)
    for key, losses in history.items():
        np.testing.assert_allclose(losses, expected[1][key], rtol=1e-10)
    np.testing.assert_allclose(trained - initial, expected[3] - initial, atol=1e-12)
    assert np.abs(trained - initial).max() > 1e-6


def filtered(**settings):
    """A filtered value, with another filter in training."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", training_synapse=None, **settings)
        net.inp = nengo.Node([1.0])
        node = nengo.Node(size_in=1)
        conn = nengo.Connection(net.inp, node, synapse=0.01)
        net.probe = nengo.Probe(node)
    net.config[conn].training_synapse = 0.02
    return net


class PythonSynapse(nengo.synapses.Synapse):
    """A synapse without a TensorFlow version."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        return lambda t, x: x


def test_state(Simulator, tmp_path):
    """Each version has filters of its own, which wait while the other one runs."""
    run, trained = (1 - np.exp(-0.001 / tau * np.arange(20)) for tau in (0.01, 0.02))
    x, net = np.ones((1, 5, 1)), filtered()
    y = np.zeros((1, 5, 1))
    path = tmp_path / "params"
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")

        def check_training(start, stateful):
            history = sim.fit(x, y, stateful=stateful, verbose=0).history
            expected = np.mean(trained[start : start + 5] ** 2)
            np.testing.assert_allclose(history["loss"], [expected])

        check_training(0, stateful=True)
        sim.run_steps(5)
        np.testing.assert_allclose(sim.data[net.probe][:, 0], run[:5])
        check_training(5, stateful=True)
        sim.save_params(path, include_state=True)
        check_training(10, stateful=False)
        sim.run_steps(5)
        np.testing.assert_allclose(sim.data[net.probe][5:, 0], run[5:10])
        sim.reset()
        check_training(0, stateful=True)
        sim.load_params(path, include_state=True)
        check_training(10, stateful=True)


def test_learning_phase(Simulator):
    """The engine runs the training version, too, here with calls of Python."""
    results = []
    training = {"recurrent": Lowpass(0.01), "forward": None, "probes": None}
    for built in (False, True):
        net = network(built, RUNNING, training, learning_phase=True)
        with net:
            node = nengo.Node(lambda t, x: x**2, size_in=2)
            nengo.Connection(net.ensembles[1], node)
            nengo.Connection(node, net.ensembles[0])
        with pytest.warns(UserWarning, match="Python is called"):
            sim = Simulator(net, unroll_simulation=1, seed=0)
        with sim:
            sim.run_steps(4)
            results.append([sim.data[probe] for probe in net.outputs])
    for output, expected in zip(*results):
        np.testing.assert_allclose(output, expected, rtol=1e-10)


def test_probes_of_what_is_updated(Simulator):
    """Without a synapse in training, Probes see weights that have just been learned."""
    results = []
    for built in (False, True):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(
                dtype="float64", training_synapse=None, jit_compile=False
            )
            node = nengo.Node(size_in=1)
            conn = nengo.Connection(
                nengo.Ensemble(5, 1), node, learning_rule_type=nengo.PES(1e-3)
            )
            nengo.Connection(node, conn.learning_rule)
            probe = nengo.Probe(conn, "weights", synapse=None if built else 0.1)
        if not built:
            net.config[probe].training_synapse = None
        with Simulator(net, minibatch_size=2, unroll_simulation=1, seed=0) as sim:
            counts = tf.fill([2, 1], 4)
            results.append(sim.tensor_graph([counts], training=True, n_steps=4)[0])
    assert results[0].shape == (2, 4, 1, 5) and np.any(results[0][:, 2:3] != results[0])
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_check_gradients(Simulator):
    training = {"recurrent": Alpha(0.01), "forward": None, "probes": None}
    net = network(False, RUNNING, training)
    for ens in net.ensembles:
        ens.neuron_type = nengo_dl.SoftLIFRate()
    with Simulator(net, unroll_simulation=1) as sim:
        inputs = [np.full((1, 1, 2), 0.3)]
        gradients = sim.check_gradients(inputs, net.outputs[:1], atol=1e-3)
        # (through two synapses, a single step has no gradient)
        assert np.any(gradients[net.outputs[0]]["analytic"][0])


def test_warnings_are_about_the_training_version(Simulator):
    """A synapse in Python stops no gradients where another one is used in training."""

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(training_synapse=None)
        inp = nengo.Node([1.0])
        node = nengo.Node(size_in=1)
        conn = nengo.Connection(inp, node, synapse=PythonSynapse(), transform=0.5)
        nengo.Probe(node)
    net.config[conn].training_synapse = None
    with pytest.warns(UserWarning, match="Python is called"):
        sim = Simulator(net, unroll_simulation=1)
    with sim:
        sim.compile(tf.optimizers.SGD(0.5), loss="mse")
        x = np.ones((1, 1, 1))
        history = sim.fit(x, x, epochs=2, verbose=0).history
        np.testing.assert_allclose(history["loss"], [0.25, 0], atol=1e-12)
        # one step is enough for training only
        with pytest.warns(UserWarning, match="one timestep"):
            sim.predict(x, verbose=0)


def test_inference_only(Simulator):
    with Simulator(filtered(inference_only=True), unroll_simulation=1) as sim:
        sim.run_steps(2)
        with pytest.raises(BuildError, match="no training version"):
            sim.tensor_graph([tf.ones((1, 1, 1)), tf.ones((1, 1))], training=True)
