import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl import callbacks
from nengo_dl.config import configure_settings


def make_network():
    with nengo.Network(seed=0) as net:
        configure_settings(dtype="float64", keep_history=True)
        inp = nengo.Node([0.5])
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(inp, ens, synapse=None)
        conn = nengo.Connection(ens, nengo.Node(size_in=1))
        probe = nengo.Probe(conn.post)
    return net, inp, ens, conn, probe


def events(path):
    """Return the events in a file for TensorBoard."""
    records = tf.data.TFRecordDataset(str(path))
    return [tf.compat.v1.Event.FromString(r.numpy()) for r in records]


# -- summaries -------------------------------------------------------------------------


@pytest.mark.training
def test_summaries(Simulator, tmp_path):
    net, inp, ens, conn, probe = make_network()
    biases = []
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(1e-6), loss={probe: "mse"})
        summaries = callbacks.NengoSummaries(
            tmp_path / "nengo", sim, [ens, ens.neurons, conn]
        )
        for n_files in (1, 2):
            sim.fit(
                {inp: np.ones((4, 3, 1))},
                {probe: np.ones((4, 3, 1))},
                epochs=3,
                verbose=0,
                callbacks=[
                    summaries,
                    tf.keras.callbacks.LambdaCallback(
                        on_epoch_end=lambda *_: biases.append(sim.data[ens].bias)
                    ),
                ],
            )
            assert len(list(tmp_path.glob("nengo/*.v2"))) == n_files
    found = events(sorted(tmp_path.glob("nengo/*.v2"))[0])
    assert found[0].file_version.startswith("brain.Event")
    assert len(found) == 1 + 3 * 3
    tags = ["Ensemble_None_encoders", "Ensemble.neurons_None_bias"]
    tags.append("Connection_None_weights")
    for i, event in enumerate(found[1:]):
        (value,) = event.summary.value
        assert event.step == i // 3
        assert value.tag == tags[i % 3]
        assert value.metadata.plugin_data.plugin_name == "histograms"
        bars = tf.make_ndarray(value.tensor)
        if i % 3 == 1:
            bias = biases[i // 3]
            assert np.allclose([bars[0, 0], bars[-1, 1]], [bias.min(), bias.max()])
            assert bars[:, 2].sum() == bias.size
    assert not np.allclose(biases[0], biases[-1], rtol=1e-9, atol=0)


def test_tags(Simulator, tmp_path):
    net, _, ens, conn, _ = make_network()
    ens.label, conn.label = "an ensemble", "a:b"
    with Simulator(net, unroll_simulation=1) as sim:
        summaries = callbacks.NengoSummaries(tmp_path, sim, [ens, ens.neurons, conn])
    assert [tag for tag, *_ in summaries.summaries] == [
        "Ensemble_an_ensemble_encoders",
        "Ensemble.neurons_an_ensemble_bias",
        "Connection_a_b_weights",
    ]


def test_objects_without_parameters(Simulator, tmp_path):
    net, inp, ens, _, _ = make_network()
    with net:
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
    with Simulator(net, unroll_simulation=1) as sim:
        for obj, message in [
            (inp, "Unknown summary object"),
            (net.all_connections[0], "does not have any weights"),
            (direct.neurons, "does not have any bias"),
            (nengo.Ensemble(1, 1, add_to_container=False), "not part of the simulated"),
        ]:
            with pytest.raises(ValidationError, match=message):
                callbacks.NengoSummaries(tmp_path, sim, [ens, obj])


def test_histogram():
    bars = callbacks.histogram(np.array([[0, 1, 1], [np.nan, np.inf, 3]]))
    assert bars.shape == (30, 3)
    assert bars[:, 2].sum() == 4
    assert (bars[:, 0] < bars[:, 1]).all()
    assert bars[0, 0] == 0 and bars[-1, 1] == 3 and bars[10, 2] == 2

    assert callbacks.histogram(np.full(3, np.nan))[:, 2].sum() == 0
    assert callbacks.histogram(np.array(5.0))[:, 2].sum() == 1
    sparse = nengo.transforms.SparseMatrix([[0, 1], [1, 2]], [2, 3], (3, 3))
    assert callbacks.histogram(sparse)[:, 2].sum() == 2


@pytest.mark.training
@pytest.mark.parametrize("cls", [keras.callbacks.TensorBoard, callbacks.TensorBoard])
def test_losses_in_tensorboard(cls, Simulator, tmp_path):
    net, inp, _, _, probe = make_network()
    x, y = {inp: np.ones((4, 3, 1))}, {probe: np.ones((4, 3, 1))}
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(1e-6), loss="mse", metrics=["mae"])
        history = sim.fit(
            x,
            y,
            validation_data=(x, y),
            epochs=3,
            verbose=0,
            callbacks=[cls(tmp_path, histogram_freq=1)],
        ).history
        name = sim.get_name(probe)
    for part, prefix in (("train", ""), ("validation", "val_")):
        (path,) = tmp_path.glob(f"{part}/*.v2")
        written = {}
        for event in events(path):
            for value in event.summary.value:
                if value.tag.startswith("epoch_"):
                    number = tf.make_ndarray(value.tensor)
                    written.setdefault(value.tag.removeprefix("epoch_"), []).append(
                        number
                    )
        for key in ("loss", f"{name}_loss", f"{name}_mae"):
            np.testing.assert_allclose(written[key], history[prefix + key], rtol=1e-6)


# -- profiles --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["predict", pytest.param("fit", marks=pytest.mark.training)]
)
def test_profile(method, Simulator, tmp_path):
    net, inp, _, _, probe = make_network()
    profile = callbacks.TensorBoard(tmp_path / "log", profile_batch=2)
    data = np.ones((3, 5, 1))
    targets = {"y": {probe: data}} if method == "fit" else {}
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss={probe: "mse"})
        getattr(sim, method)({inp: data}, callbacks=[profile], verbose=0, **targets)
    assert list((tmp_path / "log").rglob("*.xplane.pb"))


# -- state -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [0, 5])
def test_isolate_state(n_steps, Simulator):
    net, inp, _, _, probe = make_network()
    data = np.ones((3, 4, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(n_steps)
        isolated = sim.predict({inp: data}, verbose=0)[probe]
        assert np.allclose(isolated, isolated[:1]), "this is what the callback is to do"
        isolate = callbacks.IsolateState(sim)
        actual = sim.predict(
            {inp: data}, stateful=True, callbacks=[isolate], verbose=0
        )[probe]
        assert np.allclose(actual, isolated)
        assert sim.n_steps == n_steps

        carried = sim.predict({inp: data}, stateful=True, verbose=0)[probe]
        assert not np.allclose(carried, isolated)
        assert sim.n_steps == n_steps + 12
        isolate.reset()
        assert sim.n_steps == n_steps
        sim.clear_probes()
        sim.run_steps(4, data={inp: data[:1]})
        assert np.allclose(sim.data[probe], isolated[0])


@pytest.mark.training
def test_isolate_state_in_training(Simulator):
    """Parameters keep what they have learned."""
    net, inp, ens, conn, probe = make_network()
    data = np.ones((3, 4, 1))
    weights = []
    for stateful, isolates in [(False, False), (True, True), (True, False)]:
        with Simulator(net, unroll_simulation=1) as sim:
            sim.compile(tf.optimizers.SGD(0.1), loss={probe: "mse"})
            before = sim.data[conn].weights
            isolate = [callbacks.IsolateState(sim)] if isolates else []
            kwargs = {"stateful": stateful, "callbacks": isolate, "verbose": 0}
            sim.fit({inp: data}, {probe: data}, shuffle=False, **kwargs)
            losses = sim.evaluate({inp: data}, {probe: data}, **kwargs)
            weights.append((sim.data[conn].weights, losses["loss"]))
            assert not np.allclose(before, weights[-1][0])
            assert sim.n_steps == (24 if stateful and not isolates else 0)
    for actual, expected in zip(weights[1], weights[0]):
        assert np.allclose(actual, expected)
    assert not np.allclose(weights[2][0], weights[0][0])
