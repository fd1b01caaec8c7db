"""The order in which items are trained."""

from __future__ import annotations

import pickle
import random

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf

from nengo_dl.training.shuffling import shuffled_batches, split

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


def test_split():
    first, last = split((np.arange(10), {"p": np.arange(10)}), 0.3)
    assert first[0].tolist() == list(range(7))
    assert last[1]["p"].tolist() == [7, 8, 9]


def network():
    with nengo.Network(seed=0) as net:
        net.node = nengo.Node(np.zeros(2))
        ens = nengo.Ensemble(10, 2)
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
