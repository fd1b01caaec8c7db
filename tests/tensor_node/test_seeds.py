"""Random numbers of layers follow the seed of the simulator."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.tensor_node.seeds import LayerSeeds, objects_within, seeded_building

layers = keras.layers


def network(*stack):
    with nengo.Network(seed=0) as net:
        net.node = x = nengo.Node(np.zeros(4))
        for layer in stack:
            # with a `shape_out`, there is no trial before the simulator
            args = {"shape_out": (4,)} if isinstance(layer, Scaled) else {}
            x = nengo_dl.Layer(layer)(x, **args)
        net.probe = nengo.Probe(x)
    return net


def fit(sim):
    net = sim.model.toplevel
    x = np.linspace(-1, 1, 80).reshape(20, 1, 4)
    sim.compile(keras.optimizers.SGD(1e-2), loss="mse")
    data = {net.node: x}, {net.probe: np.ones((20, 1, net.probe.size_in))}
    return sim.fit(*data, epochs=2, shuffle=False, verbose=0).history["loss"]


class Scaled(layers.Layer):
    """Makes its weights, and a layer with random numbers, when it is built."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(4,), initializer="random_normal")
        self.inner = [layers.GaussianNoise(0.5)]
        super().build(input_shape)

    def call(self, x, training=None):
        return self.inner[0](x * self.scale, training=training)


STACKS = {
    "Dropout": lambda: [layers.Dropout(0.5)],
    "GaussianNoise": lambda: [layers.GaussianNoise(0.5)],
    "Dense": lambda: [layers.Dense(3)],
    "with a seed": lambda: [layers.Dropout(0.5, seed=3)],
    "model": lambda: [
        keras.Sequential([layers.Input((4,)), layers.Dropout(0.5), layers.ReLU()])
    ],
    "built late": lambda: [Scaled()],
}


@pytest.mark.training
@pytest.mark.parametrize("stack", STACKS)
def test_training_can_be_repeated(stack, Simulator):
    results = []
    for _ in range(2):
        with Simulator(
            network(*STACKS[stack]()), minibatch_size=4, unroll_simulation=1, seed=0
        ) as sim:
            results.append(fit(sim))
            sim.reset()
            results.append(fit(sim))
    assert results == [results[0]] * 4


@pytest.mark.training
@pytest.mark.parametrize("stack", ["Dropout", "built late"])
def test_seeds_differ(stack, Simulator):
    results = []
    for seed in (0, 1):
        net = network(*STACKS[stack]())
        with Simulator(net, minibatch_size=4, unroll_simulation=1, seed=seed) as sim:
            results.append(fit(sim))
    assert results[0] != results[1]


def test_layer_seeds():
    own, other = layers.Dropout(0.5), layers.Dropout(0.5, seed=3)
    seeds = LayerSeeds([other, own], 0)
    first = seeds.states()
    own.seed_generator.next()
    other.seed_generator.next()
    assert [state[1] for state in seeds.states()] == [1, 1]
    seeds.reset(0)
    np.testing.assert_array_equal(seeds.states(), first)
    assert other.seed_generator.state.numpy().tolist() == [3, 0]
    seeds.reset(1)
    assert (own.seed_generator.state.numpy() != first[0]).any()
    seeds.set_states(first)
    np.testing.assert_array_equal(seeds.states(), first)


def test_seeded_building():
    dense, seeded = layers.Dense(3), layers.Dense(3, kernel_initializer="zeros")
    seeded.kernel_initializer = keras.initializers.GlorotUniform(seed=5)
    with seeded_building([dense, seeded], 0):
        pass
    seeds = [
        i.seed for i in objects_within([dense, seeded], type(seeded.kernel_initializer))
    ]
    assert seeds[1] == 5 and seeds[0] == np.random.RandomState(0).randint(2**31 - 1)
