"""
Outputs of Nodes in `fit`, `evaluate`, and `predict`: given ones count, and functions
are called as often, and at the times, as in `run_steps`.
"""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.processes import FilteredNoise, PresentInput, WhiteNoise, WhiteSignal

from nengo_dl import configure_settings

pytestmark = [pytest.mark.training, pytest.mark.long]

DT = 0.001


def node_network(output, interactive, trained=False):
    """Return a network with the probed Node ``net.stim``, and Python in every step."""
    with nengo.Network(seed=0) as net:
        net.other = nengo.Node([1.0], label="other")
        net.stim = nengo.Node(output, size_out=1, label="stim")
        if interactive:
            python = nengo.Node(lambda t, x: x, size_in=1)
            nengo.Connection(net.stim, python, synapse=None)
        target = nengo.Node(size_in=1)
        nengo.Connection(net.stim, target, transform=np.eye(1), synapse=None)
        net.probe = nengo.Probe(target, label="p")
    return net


class Batches(keras.utils.PyDataset):
    """Minibatches of two items of arrays by name."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y) // 2

    def __getitem__(self, i):
        part = slice(2 * i, 2 * i + 2)
        return {k: v[part] for k, v in self.x.items()}, {"p": self.y[part]}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("form", ["arrays", "generator", "data set", "PyDataset"])
def test_given_outputs_count(form, stateful, Simulator):
    """Also those of Nodes with functions, in networks that call Python in the step."""
    calls = []
    net = node_network(lambda t: calls.append(t) or 100.0, interactive=True)
    if form != "arrays":
        with net:  # XLA comes after all that forms of data differ in
            configure_settings(jit_compile=False)
    x = np.arange(12.0).reshape((4, 3, 1))

    def data():
        if form == "arrays":
            return {net.stim: x}, {net.probe: x}
        counts = np.full((4, 1), 3)
        named = {"other": x, "stim": x, "n_steps": counts}
        if form == "PyDataset":
            return (Batches(named, x),)
        data = tf.data.Dataset.from_tensor_slices((named, {"p": x})).batch(2, True)
        return (data if form == "data set" else iter_batches(data),)

    def iter_batches(data):
        yield from data.as_numpy_iterator()

    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        # neither these data, nor those of any other call, decide about the next one
        sim.run_steps(2, data={net.stim: -x[:2, :2]})
        sim.compile(tf.optimizers.SGD(0.0), loss={net.probe: "mse"})
        calls.clear()
        kwargs = {"stateful": stateful, "verbose": 0}
        out = sim.predict(data()[0], **kwargs)[net.probe]
        np.testing.assert_array_equal(out, x)
        assert sim.evaluate(*data(), **kwargs)["loss"] == 0
        history = sim.fit(*data(), **kwargs, validation_data=data_of(data())).history
        assert history["loss"] == [0] and history["val_loss"] == [0]
        out = sim.predict_on_batch({net.stim: x[:2]}, stateful=stateful)
        np.testing.assert_array_equal(out[net.probe], x[:2])
        assert calls == []


def data_of(data):
    return data if len(data) == 2 else data[0]


def test_given_outputs_as_a_layer(Simulator):
    """A `TensorGraph` is a Keras layer of what it is given."""
    calls = []
    net = node_network(lambda t: calls.append(t) or 100.0, interactive=True)
    x = np.arange(3.0, dtype="float32").reshape((1, 3, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        calls.clear()
        for training in (False, True):
            inputs = [np.zeros_like(x), x, np.array([[3]], np.int32)]
            outputs = sim.tensor_graph(inputs, training=training)
            np.testing.assert_array_equal(outputs[0], x)
        inputs = {"other": x, "stim": x, "n_steps": np.array([[3]])}
        outputs = sim.keras_model.predict(inputs, verbose=0)
        np.testing.assert_array_equal(outputs["p"], x)
        # gradients flow to what is given
        sim.check_gradients()
        assert calls == []


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("stateful", [False, True])
def test_functions_are_called_in_every_step(interactive, stateful, Simulator):
    """Once for a minibatch, at its time, whatever method simulates it."""
    calls = []
    net = node_network(lambda t: calls.append(t) or len(calls), interactive)
    with net:
        silent = []
        nengo.Node(lambda t: silent.append(t), size_out=0)
    x = np.zeros((4, 3, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")

        def called(method, *args, **kwargs):
            start = sim.n_steps
            calls.clear()
            silent.clear()
            out = getattr(sim, method)(*args, stateful=stateful, **kwargs)
            assert calls == silent
            return np.round(np.array(calls) / DT).astype(int) - start, out

        first, both = [1, 2, 3], [1, 2, 3, 4, 5, 6]
        if not stateful:
            # what is the same for all minibatches is computed once
            both = first * 2 if interactive else first
        for _ in range(2):
            times, out = called("predict_on_batch", n_steps=3)
            assert times.tolist() == first
            assert out[net.probe][..., 0].tolist() == [[1, 2, 3]] * 2
            times, out = called("predict", {net.other: x}, verbose=0)
            assert times.tolist() == both
            expected = np.arange(len(both)).reshape((-1, 3)) % 6 + 1
            np.testing.assert_array_equal(
                out[net.probe][::2, :, 0], np.resize(expected, (2, 3))
            )
            times, _ = called("evaluate", {net.other: x}, x, verbose=0)
            assert times.tolist() == both
        times, _ = called("fit", {net.other: x}, x, epochs=2, verbose=0)
        if stateful:
            assert times.tolist() == list(range(1, 13))
        else:
            assert times.tolist() == (first * 4 if interactive else first)


def test_validation_with_other_nodes(Simulator):
    """What is given in training, and what in validation, are two things."""
    net = node_network(lambda t: 2.0, interactive=True)
    x = np.ones((2, 3, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.0), loss="mse")
        for given, own in (({net.stim: x}, {net.other: x}), ({net.other: x}, None)):
            own = own or {net.stim: x}
            history = sim.fit(
                given, 0 * x, validation_data=(own, 0 * x), epochs=2, verbose=0
            ).history
            expected = [1, 4] if net.stim in given else [4, 1]
            assert history["loss"] == [expected[0]] * 2
            assert history["val_loss"] == [expected[1]] * 2


SOURCES = {
    "function": lambda t: t,
    "WhiteSignal": WhiteSignal(1.0, high=40, seed=1),
    "WhiteNoise": WhiteNoise(),
    "FilteredNoise": FilteredNoise(seed=2),
    "PresentInput": PresentInput([[1], [2], [3]], 3 * DT),
}


@pytest.mark.parametrize("interactive", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_time_goes_on(source, interactive, Simulator):
    """The minibatches of a stateful call are what successive runs are."""
    net = node_network(SOURCES[source], interactive)
    with net:
        configure_settings(dtype="float64")
        if source not in ("function", "FilteredNoise"):  # (one of each kind in XLA)
            configure_settings(jit_compile=False)
        noise = WhiteSignal(1.0, high=40, rms=1, seed=1)
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.RectifiedLinear(), noise=noise)
        nengo.Connection(net.other, ens, synapse=None)
        neurons = nengo.Probe(ens.neurons)
    x = np.zeros((6, 4, 1))
    with Simulator(net, minibatch_size=2, unroll_simulation=1, seed=3) as sim:
        for _ in range(3):
            sim.run_steps(4, data={net.other: x[:2]})
        expected = {probe: np.array(sim.data[probe]) for probe in (net.probe, neurons)}
        sim.reset()
        out = sim.predict({net.other: x}, stateful=True, verbose=0)
        for probe, values in expected.items():
            parts = np.concatenate(np.split(out[probe], 3), axis=1)
            np.testing.assert_allclose(parts, values, rtol=1e-12, atol=1e-12)

        sim.reset()
        sim.compile(tf.optimizers.SGD(0.0), loss={net.probe: "mse"})
        y = {net.probe: x}
        loss = np.mean(expected[net.probe] ** 2)
        result = sim.evaluate({net.other: x}, y, stateful=True, verbose=0)
        assert result["loss"] == pytest.approx(loss, rel=1e-6)
        sim.reset()
        # every epoch goes on as well, in whatever order items are shuffled
        history = sim.fit(
            {net.other: x[:4]}, {net.probe: x[:4]}, stateful=True, epochs=2, verbose=0
        ).history
        first, second = history["loss"]
        assert sim.n_steps == 16
        parts = np.split(expected[net.probe], 3, axis=1)
        assert first == pytest.approx(np.mean([np.mean(p**2) for p in parts[:2]]), 1e-6)
        sim.reset()
        sim.run_steps(16, data={net.other: np.zeros((2, 16, 1))})
        later = sim.data[net.probe][:, 8:]
        assert second == pytest.approx(np.mean(later**2), rel=1e-6)
