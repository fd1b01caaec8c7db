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
    data = shuffled_batches(((x,), {"p": -x / 2}), 3, np.random.RandomState(0))
    epochs = [list(data) for _ in range(3)]
    items = [np.concatenate([x for (x,), _ in epoch]) for epoch in epochs]
    assert len(data) == len(epochs[0]) == -(-n_items // 3)
    for order, epoch in zip(items, epochs):
        assert sorted(order) == x.tolist()
        y = np.concatenate([y["p"] for _, y in epoch])
        assert y.dtype == "float32" and (y == -order / 2).all()
    assert (items[0] != items[1]).any() and (items[1] != items[2]).any()
    again = shuffled_batches(x, 3, np.random.RandomState(0))
    assert (np.concatenate(list(again)) == items[0]).all()


def test_order_within_batches():
    x = np.arange(60)
    data = shuffled_batches(x, 30, np.random.RandomState(0), within=True)
    first, second = (batch.numpy().tolist() for batch in data)
    assert sorted(first) == list(range(30)) != first
    assert sorted(second) == list(range(30, 60)) != second


@pytest.mark.parametrize("n_items, sizes", [(6, [3, 3]), (7, [3, 3, 1])])
def test_order_of_the_arrays(n_items, sizes):
    x = np.arange(n_items)
    data = ordered_batches(({"a": x},), 3)
    batches = [batch["a"].numpy() for (batch,) in data]
    assert [len(batch) for batch in batches] == sizes
    assert np.concatenate(batches).tolist() == x.tolist()


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
