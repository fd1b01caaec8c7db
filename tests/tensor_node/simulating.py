"""Simulations of one TensorNode."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

import nengo_dl


def simulate(net, n_steps=5, **kwargs):
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False, **kwargs) as sim:
        sim.run_steps(n_steps)
        return sim.tensor_graph.step, [sim.data[probe] for probe in net.all_probes]


def printing(x):
    with tf.control_dependencies([tf.print("x =", x[0, 0])]):
        return tf.sin(x)


def asserting(x):
    with tf.control_dependencies([tf.debugging.assert_less(x, 3.0)]):
        return tf.sin(x)


NOT_COMPILED = {
    "numpy_function": lambda x: tf.numpy_function(np.sin, [x], tf.float32),
    "py_function": lambda x: tf.py_function(tf.sin, [x], tf.float32),
    "within a tf.function": tf.function(
        lambda x: tf.numpy_function(np.sin, [x], tf.float32), autograph=False
    ),
    "printing": printing,
    "asserting": asserting,
    "strings": lambda x: tf.sin(tf.strings.to_number(tf.strings.as_string(x))),
}
