"""Any number of items: what fills up the last batch counts nowhere."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import ValidationError

import nengo_dl
from nengo_dl.losses import LastStep, nan_mse

pytestmark = [
    pytest.mark.training,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

N_ITEMS, N_STEPS = 5, 4
RNG = np.random.RandomState(0)
X = RNG.uniform(-1, 1, (N_ITEMS, N_STEPS, 1))
Y = RNG.uniform(-1, 1, (N_ITEMS, N_STEPS, 1))


def make_network(learns=False):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", stateful=True)
        net.a = nengo.Node([0.0], label="a")
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        out = nengo.Node(size_in=1)
        nengo.Connection(net.a, ens, synapse=0.005)
        net.conn = nengo.Connection(ens, out, synapse=None)
        net.p = nengo.Probe(out, label="p")
        if learns:
            net.conn.learning_rule_type = nengo.PES(0.1)
            nengo.Connection(net.a, net.conn.learning_rule, synapse=None)
            net.weights = nengo.Probe(net.conn, "weights")
    return net


def simulator(net, minibatch_size):
    return nengo_dl.Simulator(
        net, minibatch_size=minibatch_size, unroll_simulation=1, progress_bar=False
    )


@pytest.fixture(scope="module")
def sims():
    """The same network for two items at a time, and for one."""
    net = make_network()
    with simulator(net, 2) as sim, simulator(net, 1) as one:
        yield net, sim, one


@pytest.mark.parametrize("n_items", [1, 2, N_ITEMS])
def test_predict(n_items, sims):
    net, sim, one = sims
    outputs = sim.predict(X[:n_items], verbose=0)
    expected = one.predict(X[:n_items], verbose=0)[net.p]
    np.testing.assert_array_equal(outputs[net.p], expected)
    assert outputs.lengths.tolist() == [N_STEPS] * n_items


def as_generator(*arrays):
    for i in range(0, N_ITEMS, 2):
        yield tuple(array[i : i + 2] for array in arrays)


def as_dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(2)


def as_py_dataset(*arrays):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return -(-N_ITEMS // 2)

        def __getitem__(self, i):
            return tuple(array[2 * i : 2 * i + 2] for array in arrays)

    return Batches()


FORMS = {
    "arrays": None,
    "generator": as_generator,
    "data set": as_dataset,
    "PyDataset": as_py_dataset,
}


def mean_of_all(y_true, y_pred):
    """A loss of a user that returns one number."""
    return tf.reduce_mean(tf.abs(y_true - y_pred))


def last_step(y_true, y_pred):
    return tf.abs(y_true[:, -1] - y_pred[:, -1])[:, 0]


def rms(errors):
    return np.mean(errors**2)


WEIGHTS = RNG.uniform(0, 1, N_ITEMS)
# what they are of errors of shape (n_items, n_steps, 1)
LOSSES = {
    "mse": ("mse", rms),
    "one number": (mean_of_all, lambda e: np.mean(abs(e))),
    "of items": (last_step, lambda e: np.mean(abs(e[:, -1]))),
    "last step": (LastStep("mae"), lambda e: np.mean(abs(e[:, -1]))),
    "NaN": (nan_mse, rms),
}


@pytest.mark.parametrize(
    "form, loss",
    [*(("arrays", loss) for loss in LOSSES), *((form, "mse") for form in FORMS)],
)
def test_losses_and_metrics(form, loss, sims):
    net, sim, one = sims
    errors = one.predict(X, verbose=0)[net.p] - Y
    loss, expected = LOSSES[loss]
    metric = keras.metrics.MeanMetricWrapper(mean_of_all, name="m")
    metrics = {"p": [loss, "mae", metric]}
    sim.compile(tf.optimizers.SGD(0.0), loss=loss, metrics=metrics, jit_compile=False)

    def data():
        return (X, Y) if form == "arrays" else (FORMS[form](X, Y),)

    results = sim.evaluate(*data(), verbose=0)
    _, by_loss, by_metric, *_ = results.values()
    np.testing.assert_allclose(by_loss, expected(errors))
    # of batches, as Keras does
    parts = np.mean([np.mean(abs(errors[i : i + 2])) for i in (0, 2, 4)])
    is_number = loss is mean_of_all
    np.testing.assert_allclose(by_metric, parts if is_number else expected(errors))
    np.testing.assert_allclose(results["p_mae"], np.mean(abs(errors)))
    np.testing.assert_allclose(results["p_m"], parts)
    validation = data() if form == "arrays" else data()[0]
    history = sim.fit(*data(), validation_data=validation, shuffle=False, verbose=0)
    for name, value in results.items():
        np.testing.assert_allclose(history.history[name], [value])
        np.testing.assert_allclose(history.history[f"val_{name}"], [value])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_gradients(weights, jit_compile, sims):
    """A step of gradient descent is the one of the items alone."""
    net, sim, one = sims
    kwargs = {} if weights is None else {"sample_weight": weights[:1]}
    changes = []
    for simulator_ in (sim, one):
        before = simulator_.data[net.conn].weights
        optimizer = tf.optimizers.SGD(0.1)
        simulator_.compile(optimizer, loss="mse", jit_compile=jit_compile)
        history = simulator_.fit(X[:1], Y[:1], verbose=0, **kwargs).history
        changes.append((simulator_.data[net.conn].weights - before, history["loss"]))
        simulator_.reset()
    (change, loss), (expected, expected_loss) = changes
    np.testing.assert_allclose(change, expected, atol=1e-12)
    assert abs(expected).max() > 1e-4
    np.testing.assert_allclose(loss, expected_loss)


def test_one_number_in_xla(sims):
    _, sim, _ = sims
    sim.compile("sgd", loss=mean_of_all, jit_compile=True)
    with pytest.raises(ValidationError, match="'mean_of_all' returns one number"):
        sim.fit(X, Y, verbose=0)


def test_split_and_weights(sims):
    net, sim, one = sims
    errors = one.predict(X, verbose=0)[net.p] - Y
    sim.compile(
        tf.optimizers.SGD(0.0), loss="mse", metrics=["mae"], weighted_metrics=["mae"]
    )
    history = sim.fit(
        X, Y, sample_weight=WEIGHTS, validation_split=0.3, verbose=0
    ).history
    first, last = errors[:3], errors[3:]
    weights = WEIGHTS[:, None, None]
    expected = {
        "loss": np.mean(weights[:3] * first**2),
        "p_mae": np.mean(abs(first)),
        "p_weighted_mae": np.sum(weights[:3] * abs(first)) / weights[:3].sum() / 4,
        "val_loss": np.mean(weights[3:] * last**2),
        "val_p_mae": np.mean(abs(last)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(history[name], [value])
    with pytest.raises(ValidationError, match="none of 5 items is for training"):
        sim.fit(X, Y, validation_split=0.9, verbose=0)


def test_state():
    """What fills up a batch changes no state, and learns nothing."""
    net = make_network(learns=True)
    with simulator(net, 2) as sim:
        sim.predict(X[:2], stateful=True, verbose=0)
        weights = np.array(sim.signals[sim.model.sig[net.conn]["weights"]])
        outputs = sim.predict(X[2:3], stateful=True, verbose=0)
        after = np.array(sim.signals[sim.model.sig[net.conn]["weights"]])
        np.testing.assert_array_equal(after[1], weights[1])
        assert abs(after[0] - weights[0]).max() > 1e-6
        assert sim.n_steps == 2 * N_STEPS
    with simulator(net, 1) as one:
        one.predict(X[0:1], stateful=True, verbose=0)
        expected = one.predict(X[2:3], stateful=True, verbose=0)
    np.testing.assert_allclose(outputs[net.p], expected[net.p], atol=1e-12)


def test_generated_inputs():
    """Nodes without data have outputs for all items, each of its own."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        a = nengo.Node([0.0])
        noise = nengo.Node(nengo.processes.WhiteNoise())
        p, q = nengo.Probe(a), nengo.Probe(noise)
    with simulator(net, 2) as sim:
        outputs = sim.predict({a: X}, verbose=0)
        np.testing.assert_array_equal(outputs[p], X)
        assert len({tuple(row) for row in outputs[q][..., 0]}) == N_ITEMS


def test_one_minibatch(sims):
    """Methods for one minibatch want exactly that."""
    net, sim, _ = sims
    with pytest.raises(ValidationError, match="does not match expected size"):
        sim.predict_on_batch(X[:1])
    with pytest.raises(ValidationError, match="does not match expected size"):
        sim.run_steps(N_STEPS, data={net.a: X[:1]})
