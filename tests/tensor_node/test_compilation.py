"""What of a TensorNode XLA compiles, and that it makes no difference."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from tensor_node.simulating import NOT_COMPILED, asserting, printing, simulate

import nengo_dl
from nengo_dl.tensor_node import builder


def traits(net):
    """Return the traits of the only TensorNode."""
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        (op,) = (op for op in sim.model.operators if hasattr(op, "traits"))
        return op.traits


@pytest.mark.parametrize(
    "func",
    [
        tf.sin,
        keras.ops.sin,
        keras.layers.Lambda(tf.sin),
        tf.function(tf.sin),
        lambda x: tf.while_loop(
            lambda i, _: i < 3, lambda i, y: (i + 1, y + x), (0, x)
        )[1],
    ],
)
def test_compiled(net, func):
    nengo.Probe(nengo_dl.Layer(func)(nengo.Node([1, 2])))
    assert simulate(net)[0].compiles


def test_not_merged(net):
    for value in (1, 2):
        nengo.Probe(nengo_dl.Layer(tf.sin)(nengo.Node([value])))
    step, data = simulate(net)
    plan = step.program.plan
    assert [len(ops) for ops in plan if hasattr(ops[0], "traits")] == [1, 1]
    np.testing.assert_allclose(np.ravel(data), np.sin(np.repeat([1, 2], 5)), rtol=1e-6)


@pytest.mark.parametrize("kind", NOT_COMPILED)
@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_not_compiled(net, kind, jit_compile):
    """The rest of the step still is, and the numbers are right."""
    nengo_dl.configure_settings(jit_compile=jit_compile)
    x = nengo_dl.Layer(lambda x: x)(nengo.Node([1, 2]))
    for _ in range(3):
        x = nengo_dl.Layer(tf.identity)(x)
    nengo.Probe(nengo_dl.Layer(NOT_COMPILED[kind])(x))
    step, (data,) = simulate(net)
    assert not step.pure and not step.compiles
    is_compiled = {
        build.op.func is NOT_COMPILED[kind]: step.is_compiled(build)
        for build in step.builder.op_builds.values()
        if isinstance(build, builder.SimTensorNodeBuilder)
    }
    assert is_compiled == {True: False, False: True}
    np.testing.assert_allclose(data, [np.sin([1, 2])] * 5, rtol=1e-5)


def test_printed_in_every_step(net, capfd):
    nengo_dl.TensorNode(lambda t: printing(tf.reshape(t, (1, 1))), shape_out=(1,))
    simulate(net, n_steps=3)
    assert capfd.readouterr().err.count("x = ") == 3


def test_assertions_are_kept(net):
    nengo.Probe(nengo_dl.Layer(asserting)(nengo.Node(lambda t: 4 * (t > 0.0025))))
    simulate(net, n_steps=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="assertion failed"):
        simulate(net, n_steps=3)


def test_layers_may_refuse(net):
    class Refusing(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_jit = False

        def call(self, x):
            return 2 * x

    nengo.Probe(nengo_dl.Layer(Refusing())(nengo.Node([1, 2])))
    assert not simulate(net)[0].pure


def test_random_operations(net):
    """They follow the seed of the simulator, which XLA would ignore."""
    for _ in range(2):
        node = nengo_dl.TensorNode(lambda t: tf.random.uniform((4, 10)))
        nengo.Probe(node)
    state = tf.random.get_global_generator().state.numpy()
    _, first = simulate(net, seed=1, minibatch_size=4)
    _, second = simulate(net, seed=1, minibatch_size=4)
    np.testing.assert_array_equal(first, second)
    assert not np.any(first[0] == first[1])
    assert len(np.unique(first[0])) == first[0].size
    _, other = simulate(net, seed=2, minibatch_size=4)
    assert not np.any(first[0] == other[0])
    np.testing.assert_array_equal(tf.random.get_global_generator().state, state)


@pytest.mark.parametrize(
    "layer, shape_in, n_products",
    [
        (keras.layers.Conv2D(7, (2, 3)), (5, 6, 4), 4 * 4 * 2 * 3 * 4 * 7),
        (keras.layers.DepthwiseConv2D(2), (5, 6, 4), 4 * 5 * 2 * 2 * 4),
        (keras.layers.Conv2DTranspose(7, 2), (5, 6, 4), 5 * 6 * 2 * 2 * 4 * 7),
        (keras.layers.Conv3D(3, 2), (2, 3, 4, 5), 1 * 2 * 3 * 2 * 2 * 2 * 5 * 3),
        (keras.layers.Dense(10), (5, 6, 4), 0),
        (
            keras.Sequential([keras.layers.Conv1D(3, 2), keras.layers.Conv1D(5, 1)]),
            (4, 2),
            3 * 2 * 2 * 3 + 3 * 1 * 3 * 5,
        ),
    ],
)
def test_products_of_convolutions(net, layer, shape_in, n_products):
    nengo_dl.TensorNode(layer, shape_in=shape_in, pass_time=False)
    assert traits(net).work.n_convolved == n_products


def test_large_convolutions_are_left_to_tensorflow(net, monkeypatch):
    layer = keras.layers.Conv2D(2, 2)
    nengo.Probe(nengo_dl.Layer(layer)(nengo.Node(np.ones(9)), shape_in=(3, 3, 1)))
    step, small = simulate(net)
    assert step.compiles
    monkeypatch.setattr(builder, "MAX_XLA_PRODUCTS", 0)
    step, large = simulate(net)
    assert step.pure and not step.compiles
    np.testing.assert_allclose(small, large, rtol=1e-6)
