"""The order in which items are trained."""

from __future__ import annotations

import pickle
import random

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.training.shuffling import ordered_batches, shuffled_batches, split

pytestmark = pytest.mark.training


@pytest.mark.parametrize("n_items", [6, 7])
def test_batches(n_items):
    x = np.arange(n_items)
    data = shuffled_batches(({"a": x}, {"p": -x / 2}), 3, np.random.RandomState(0))
    epochs = [list(data) for _ in range(3)]
    items = [all_items(epoch) for epoch in epochs]
    assert len(data) == len(epochs[0]) == -(-n_items // 3)
    for order, epoch in zip(items, epochs):
        assert sorted(order) == x.tolist()
        for x_batch, y_batch in epoch:
            y = y_batch["p"].numpy()
            assert y.dtype == "float32" and (y == -x_batch["a"].numpy() / 2).all()
    assert (items[0] != items[1]).any() and (items[1] != items[2]).any()
    again = shuffled_batches(({"a": x},), 3, np.random.RandomState(0))
    assert (all_items(again) == items[0]).all()


def all_items(batches):
    """Return the items that count; all batches have three, of the first ones if any."""
    items = []
    for x, *_ in batches:
        values = x["a"].numpy()
        n = x["is_item"].numpy().sum() if "is_item" in x else 3
        assert len(values) == 3
        assert (values == values[np.arange(3) % n]).all()
        items.extend(values[:n])
    return np.array(items)


def test_order_within_batches():
    x = np.arange(60)
    data = shuffled_batches(({"a": x},), 30, np.random.RandomState(0), within=True)
    first, second = (batch["a"].numpy().tolist() for (batch,) in data)
    assert sorted(first) == list(range(30)) != first
    assert sorted(second) == list(range(30, 60)) != second


@pytest.mark.parametrize("n_items, n_batches", [(6, 2), (7, 3), (2, 1)])
def test_order_of_the_arrays(n_items, n_batches):
    x = np.arange(n_items)
    data = ordered_batches(({"a": x},), 3)
    assert len(list(data)) == n_batches
    assert all_items(data).tolist() == x.tolist()


def test_steps_that_share_memory():
    """There is one step of them in memory until they are in a batch."""
    x = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 5, 1))
    for (batch,) in ordered_batches(({"a": x, "n_steps": np.full((4, 1), 5)},), 2):
        assert batch["a"].shape == (2, 5, 1)
        assert (batch["a"] == batch["a"][:, :1]).numpy().all()


def test_similar_lengths():
    lengths = np.array([5, 1, 4, 2, 5, 1, 4])
    x = np.arange(5) + 10 * np.arange(7)[:, None]
    arrays = (
        {
            "a": x[..., None],
            "n_steps": np.full((7, 1), 6),
            "lengths": lengths[:, None].astype(np.int32),
        },
        {"p": x[..., None], "last": x[:, :1]},
    )
    data = shuffled_batches(arrays, 2, np.random.RandomState(1), by_length=3)
    orders = []
    for _ in range(2):
        items = []
        for x_batch, y_batch in data:
            counts = x_batch["lengths"].numpy()[:, 0]
            n_steps = 3 if counts.max() <= 3 else 6
            assert (x_batch["n_steps"] == n_steps).numpy().all()
            assert x_batch["a"].shape == (2, min(n_steps, 5), 1)
            assert (x_batch["a"] == y_batch["p"]).numpy().all()
            assert y_batch["last"].shape == (2, 1)
            numbers = x_batch["a"].numpy()[:, 0, 0] // 10
            assert (counts == np.where(counts > 0, lengths[numbers], 0)).all()
            items.append(tuple(numbers[counts > 0]))
        assert sorted(sum(items, ())) == list(range(7))
        # one item is left over, others are sorted
        pairs = sorted(sorted(lengths[list(pair)]) for pair in items if len(pair) == 2)
        assert pairs == [
            list(pair) for pair in np.sort(np.concatenate(pairs)).reshape(3, 2)
        ]
        orders.append(items)
    assert orders[0] != orders[1]


def test_split():
    first, last = split((np.arange(10), {"p": np.arange(10)}), 0.3)
    assert first[0].tolist() == list(range(7))
    assert last[1]["p"].tolist() == [7, 8, 9]


def network():
    with nengo.Network(seed=0) as net:
        net.node = nengo.Node(np.zeros(2))
        ens = nengo.Ensemble(10, 2, neuron_type=nengo.LIFRate())
        nengo.Connection(net.node, ens, synapse=None)
        net.probe = nengo.Probe(ens)
    return net


def losses(sim, **kwargs):
    net = sim.model.toplevel
    x = np.linspace(-1, 1, 80).reshape(40, 1, 2)
    sim.compile(keras.optimizers.SGD(1e-2), loss="mse")
    data = {net.node: x}, {net.probe: x**2}
    return sim.fit(*data, epochs=2, verbose=0, **kwargs).history["loss"]


def test_seed_of_the_simulator_decides(Simulator):
    with Simulator(network(), minibatch_size=4, unroll_simulation=1, seed=0) as sim:
        copy = pickle.dumps(sim)
        expected = losses(sim)
        assert losses(sim) != expected
        sim.reset()
        assert losses(sim) == expected
        sim.reset()
        assert losses(sim, validation_split=0.5) != expected
        sim.reset()
        weighted = losses(sim, sample_weight=np.full(40, 2))
        np.testing.assert_allclose(weighted[0], 2 * expected[0], rtol=1e-3)
        sim.reset()
        with pytest.warns(UserWarning, match="Changing the seed"):
            sim.reset(seed=1)
        other = losses(sim)
        assert other != expected
    with pickle.loads(copy) as sim:
        assert losses(sim) == expected
    for seed, result in ((0, expected), (1, other)):
        tf.random.set_seed(seed + 5)
        with Simulator(
            network(), minibatch_size=4, unroll_simulation=1, seed=seed
        ) as sim:
            assert losses(sim) == result


def test_no_global_state_is_changed(Simulator):
    with Simulator(network(), minibatch_size=4, unroll_simulation=1, seed=0) as sim:
        before = random.getstate(), str(np.random.get_state())
        losses(sim)
        assert (random.getstate(), str(np.random.get_state())) == before


@pytest.mark.parametrize(
    "how, shuffle", [("validation_data", True), ("validation_split", False)]
)
def test_validation_keeps_its_float_type(how, shuffle, Simulator):
    """Other threads may have set another one when Keras gets to the validation."""
    with network() as net:
        nengo_dl.configure_settings(dtype="float64")
    others = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: keras.config.set_floatx("float32")
    )
    x = np.linspace(-1, 1, 16).reshape(8, 1, 2)
    y = x / 3
    held_out = {
        "validation_data": ({net.node: x[4:]}, {net.probe: y[4:]}),
        "validation_split": 0.5,
    }[how]
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        history = sim.fit(
            {net.node: x},
            {net.probe: y},
            shuffle=shuffle,
            callbacks=[others],
            verbose=0,
            **{how: held_out},
        ).history
        expected = sim.evaluate({net.node: x[4:]}, {net.probe: y[4:]}, verbose=0)
    assert history["val_loss"] == [expected["loss"]]
