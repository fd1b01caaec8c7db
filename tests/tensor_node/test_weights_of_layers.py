"""Whose weights the weights of layers are."""

from __future__ import annotations

import pickle

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from tensor_node.simulating import simulate

import nengo_dl


@pytest.mark.parametrize("inference_only", [False, True])
def test_weights_are_created_once(net, inference_only):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(2.0)
            )

        def call(self, x):
            return self.scale * x

    nengo_dl.configure_settings(inference_only=inference_only)
    one = nengo.Node([1])
    scale = Scale()
    dense = keras.layers.Dense(
        10, use_bias=False, kernel_initializer=keras.initializers.Constant(3.0)
    )
    first = nengo.Probe(nengo_dl.Layer(scale)(one))
    second = nengo.Probe(nengo_dl.Layer(dense)(one))
    third = nengo.Probe(nengo_dl.Layer(scale)(nengo_dl.Layer(scale)(one)))
    with nengo_dl.Simulator(
        net, unroll_simulation=5, device="/cpu:0", progress_bar=False
    ) as sim:
        sim.run_steps(5)
        for probe, value in [(first, 2), (second, 3), (third, 4)]:
            assert np.all(sim.data[probe] == value)
        weights = [w for w in sim.keras_model.weights if "TensorGraph" not in w.path]
        assert weights[0] is scale.scale and weights[1] is dense.kernel
        assert len(weights) == 2
        trained = sim.keras_model.trainable_weights
        assert len(trained) == (0 if inference_only else 2)
        assert len(trained + sim.keras_model.non_trainable_weights) == len(
            sim.keras_model.weights
        )
    assert scale.trainable and scale.scale.trainable and dense.kernel.trainable


def test_layers_of_the_graph(net):
    nengo_dl.TensorNode(lambda t: tf.zeros((1, 1)))
    dense = keras.layers.Dense(2)
    first = nengo_dl.Layer(dense)(nengo.Node([1]))
    second = nengo_dl.Layer(dense)(nengo.Node([1]))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        assert sim.tensor_graph.tensor_nodes == {first: dense, second: dense}
        assert sim.tensor_graph.tensor_node_layers == [dense]
        n_params = len(sim.tensor_graph.base_params)
        assert [w.path for w in sim.tensor_graph.weights[n_params:]] == [
            w.path for w in dense.weights
        ]


def test_weights_are_those_of_the_user(net):
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([1])))
    kwargs = {"device": "/cpu:0", "progress_bar": False}
    with (
        nengo_dl.Simulator(net, **kwargs) as sim,
        nengo_dl.Simulator(net, **kwargs) as other,
    ):
        sim.run_steps(1)
        layer.set_weights([np.array([[5]])])
        sim.run_steps(1)
        other.run_steps(1)
        assert sim.data[probe].ravel().tolist() == [1, 5]
        assert other.data[probe].ravel().tolist() == [5]

        sim.reset(include_trainable=False)
        assert layer.get_weights()[0] == 5
        sim.reset()
        assert layer.get_weights()[0] == 1
        sim.run_steps(1)
        assert sim.data[probe].ravel().tolist() == [1]
    # the layer outlives its simulators, and the next one starts from where it is
    layer.set_weights([np.array([[7]])])
    _, (data,) = simulate(net, n_steps=1)
    assert data.ravel().tolist() == [7]


@pytest.mark.training
def test_training_is_shared_with_keras(net):
    """The simulator trains the object of the user, in a model of the user."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), layer])
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([1])))
    x = np.ones((4, 1))
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        for _ in range(2):
            before = layer.get_weights()[0].item()
            sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), verbose=0)
            assert layer.get_weights()[0].item() == pytest.approx(0.8 * before)
            model.fit(x, 0 * x, batch_size=4, verbose=0)
            assert layer.get_weights()[0].item() == pytest.approx(0.64 * before)
        sim.run_steps(1)
        assert sim.data[probe].item() == pytest.approx(layer.get_weights()[0].item())
        assert model.predict(x, verbose=0)[0] == pytest.approx(sim.data[probe][0])


@pytest.mark.training
def test_freezing(net):
    """Layers can be trained without the rest of the network."""
    nengo_dl.configure_settings(trainable=False)
    frozen = keras.layers.Dense(3)
    frozen.trainable = False
    trained = keras.layers.Dense(2)
    x = nengo.Node([1, 2])
    neurons = nengo.Ensemble(5, 2, neuron_type=nengo.RectifiedLinear())
    nengo.Connection(x, neurons, synapse=None)
    y = nengo_dl.Layer(trained)(nengo_dl.Layer(frozen)(neurons))
    probe = nengo.Probe(y)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        assert {w.path for w in sim.keras_model.trainable_weights} == {
            w.path for w in trained.weights
        }
        before = [w.numpy() for w in sim.keras_model.weights]
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        sim.fit(n_steps=1, y={probe: np.ones((1, 1, 2))}, verbose=0)
        changed = {
            w.path
            for w, old in zip(sim.keras_model.weights, before)
            if np.any(w.numpy() != old)
        }
    assert changed == {w.path for w in trained.weights}


def test_pickled_simulator():
    """A copy of the simulator has layers of its own, with the same weights."""
    layer = keras.layers.Dense(2)
    with nengo.Network() as net:
        x = nengo.Node([1, 2])
        nengo.Probe(nengo_dl.Layer(layer)(x))
        nengo.Probe(nengo_dl.Layer(layer)(x, transform=2))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        initial_weights = layer.get_weights()
        layer.set_weights([np.eye(2), np.array([1, 0])])
        with pickle.loads(pickle.dumps(sim)) as copy:
            (copied,) = copy.tensor_graph.tensor_node_layers
            assert copied is not layer
            layer.set_weights([np.eye(2), np.array([9, 9])])
            copy.run_steps(1)
            data = [copy.data[probe] for probe in copy.model.probes]
            np.testing.assert_array_equal(data, [[[2, 2]], [[3, 4]]])
            copy.reset()  # to what the layer was when the first simulator was made
            for weight, initial in zip(copied.get_weights(), initial_weights):
                np.testing.assert_array_equal(weight, initial)


def test_state_is_kept_when_a_run_fails(net):
    """A TensorNode among functions that fail."""

    def faulty(t, x):
        assert t < 0.0035
        return x

    node = nengo.Node(faulty, size_in=1)
    nengo.Connection(nengo_dl.TensorNode(lambda t: tf.reshape(t, (1, 1))), node)
    probe = nengo.Probe(node)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.run_steps(3)
        with pytest.raises(AssertionError):
            sim.run_steps(1)
        assert sim.n_steps == 3 and len(sim.data[probe]) == 3
