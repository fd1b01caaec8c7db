"""The Nengo object: arguments, copies, and how it looks to others."""

from __future__ import annotations

import copy
import pickle

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError
from tensor_node.layers import double

import nengo_dl


@pytest.mark.parametrize("func", [1, None, [tf.identity], np.zeros(3)])
def test_not_callable(net, func):
    with pytest.raises(ValidationError, match="function or Keras Layer"):
        nengo_dl.TensorNode(func)
    assert net.nodes == []


def test_layer_class(net):
    with pytest.raises(ValidationError, match="create an instance"):
        nengo_dl.TensorNode(keras.layers.Dense, shape_in=(2,), pass_time=False)


@pytest.mark.parametrize("name", ["shape_in", "shape_out"])
@pytest.mark.parametrize(
    "shape, message",
    [((0,), "must be >= 1"), ((None, 2), "must be an int"), (3, "castable|iterable")],
)
def test_invalid_shapes(net, name, shape, message):
    shapes = {"shape_in": (2,), "shape_out": (2,), name: shape}
    with pytest.raises(ValidationError, match=message):
        nengo_dl.TensorNode(tf.identity, pass_time=False, **shapes)
    if name == "shape_out" or shape == (None, 2):
        with pytest.raises(ValidationError, match=message):
            nengo_dl.Layer(tf.identity)(nengo.Node([0, 0]), **shapes)


@pytest.mark.parametrize("shape_in", [None, ()])
def test_nothing_to_work_on(net, shape_in):
    with pytest.raises(ValidationError, match="either shape_in or pass_time"):
        nengo_dl.TensorNode(double, shape_in=shape_in, pass_time=False)


def test_shapes(net):
    node = nengo_dl.TensorNode(lambda t: tf.zeros((5, 2)))
    assert (node.size_in, node.size_out) == (0, 2)
    assert node.shape_in is None and node.shape_out == (2,)
    assert node.pass_time and node.seed is None and len(node) == 2

    node = nengo_dl.TensorNode(
        lambda t, x: tf.reduce_sum(x, axis=1), shape_in=[2, np.int64(6)]
    )
    assert (node.size_in, node.size_out) == (12, 6)
    assert type(node.shape_out) is tuple and type(node.size_out) is int

    node = nengo_dl.TensorNode(lambda t: tf.zeros(5))
    assert (node.shape_out, node.size_out) == ((), 1)


def test_nengo_builds_but_does_not_run(net):
    node = nengo_dl.TensorNode(lambda t: tf.zeros((1, 1)), label="my node")
    nengo.Probe(node)
    for model in (
        None,
        nengo_dl.builder.NengoModel(builder=nengo_dl.builder.NengoBuilder()),
    ):
        with nengo.Simulator(net, model=model, progress_bar=False) as sim:
            with pytest.raises(
                SimulationError, match="Cannot call TensorNode output"
            ) as info:
                sim.step()
        assert "nengo_dl.Simulator" in str(info.value)
        assert "my node" in str(info.value)


def test_as_a_node(net):
    """What Nengo's GUI (and everybody else) reads of Nodes."""
    node = nengo_dl.TensorNode(double, shape_in=(2,), pass_time=False)
    assert isinstance(node, nengo.Node) and net.nodes == [node]
    assert callable(node.output)
    assert "output" not in node.params
    with pytest.raises(SimulationError, match="Cannot call TensorNode output"):
        node.output(0.0, np.zeros(2))
    assert node.probeable == ("output",)
    assert node[1].size_in == node[1].size_out == 1


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, nengo.Network.copy, lambda n: pickle.loads(pickle.dumps(n))],
)
def test_copies(Simulator, copied):
    with nengo.Network(seed=0) as net:
        nengo_dl.TensorNode(double, shape_in=(2, 3), pass_time=False, label="double")
        nengo_dl.Layer(keras.layers.Dense(4))(nengo.Node([1, 2]))
    new = copied(net)
    for node, new_node in zip(net.nodes, new.nodes):
        assert new_node is not node
        assert (new_node.size_in, new_node.size_out) == (node.size_in, node.size_out)
    assert new.nodes[0].shape_in == (2, 3) and not new.nodes[0].pass_time
    assert new.nodes[0].tensor_func is double
    with Simulator(new) as sim:
        sim.run_steps(10)
