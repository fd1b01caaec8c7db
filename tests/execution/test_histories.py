"""What steps put out: values, gradients, and that these take no copies of all."""

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.execution.histories import Histories
from tests.execution.traced_gradients import operations

SPECS = [(tf.TensorSpec((2, 3), tf.float32), True), (tf.TensorSpec((2,)), False)]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("is_full", [False, True])
def test_values_and_gradients(is_full, jit_compile):
    histories = Histories(SPECS, 4, is_full)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(x):
        def body(i, variables):
            values = [x**2 + tf.cast(i, tf.float32), x[:, 0] * tf.cast(i, tf.float32)]
            return i + 1, histories.write(variables, i, values)

        with tf.GradientTape() as tape:
            tape.watch(x)
            loop_vars = (tf.constant(0), histories.start())
            _, variables = tf.while_loop(
                lambda i, _: i < 4, body, loop_vars, maximum_iterations=4
            )
            every, last = histories.stacked(variables)
            loss = tf.reduce_sum(every[1:] * every[:-1]) + tf.reduce_sum(last)
        return every, last, tape.gradient(loss, x)

    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    every, last, gradient = run(tf.constant(x))
    steps = np.arange(4).reshape(-1, 1, 1)
    np.testing.assert_allclose(every, x**2 + steps)
    np.testing.assert_allclose(last, 3 * x[None, :, 0])
    # the sum of (x**2 + i) * (x**2 + i - 1) for i = 1, 2, 3, and of 3 x in column 0
    expected = (6 * x**2 + 9) * 2 * x
    expected[:, 0] += 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


@pytest.mark.training
def test_gradients_copy_nothing(Simulator):
    """They write nothing to its place in a list: XLA would copy all of it."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(layerwise=False)
        node = nengo.Node([1.0])
        ens = nengo.Ensemble(5, 1, neuron_type=nengo.AdaptiveLIFRate())
        nengo.Connection(node, ens, synapse=0.01)
        nengo.Probe(ens, synapse=0.01)
    with Simulator(net, unroll_simulation=1) as sim:
        found = operations(sim.tensor_graph, 20)
    assert "TensorListPushBack" in found
    assert "TensorListSetItem" not in found
