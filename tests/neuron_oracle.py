"""Runs the builder of one group of neurons by hand, without a Simulator."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from nengo.builder import Signal
from nengo.builder.neurons import SimNeurons

from nengo_dl.builder import BuildConfig
from nengo_dl.neuron_builders import SimNeuronsBuilder
from nengo_dl.signals import SignalDict


def sim_neurons(neuron_type, n=4, dtype="float64"):
    """Returns a `SimNeurons` operator."""
    rng = np.random.RandomState(0)
    state, extra = {}, {}
    for name, value in neuron_type.make_state(n, rng=rng, dtype=dtype).items():
        if isinstance(value, np.random.RandomState):
            extra[name] = value
        else:
            state[name] = Signal(value, name=name)
    J, output = (Signal(np.zeros(n, dtype), name=name) for name in ("J", "output"))
    return SimNeurons(neuron_type, J, output, {**state, **extra})


def make_builder(
    neuron_type, dtype="float64", minibatch_size=2, training=False, lif_smoothing=None
):
    """Returns a builder of one operator after `build_pre`, and its signals."""
    op = sim_neurons(neuron_type, dtype=dtype)
    signals = SignalDict(dtype, minibatch_size)
    signals.dt, signals.dt_val = tf.constant(0.001, dtype), 0.001
    signals.step = tf.constant(1)
    signals.random_key = (tf.constant(0, tf.uint32), tf.constant(0, tf.uint32))
    for i, signal in enumerate(op.all_signals):
        key, n = str(i), signal.shape[0]
        signal.minibatched = True
        signals.get_tensor_signal([(0, n)], key, dtype, (n,), True, signal)
        value = np.broadcast_to(signal.initial_value, (minibatch_size, n))
        signals.bases[key] = tf.constant(value, dtype)
        signals.base_shapes[key] = (minibatch_size, n)
    builder = SimNeuronsBuilder([op])
    rng = np.random.RandomState(0)
    builder.build_pre(signals, BuildConfig(False, lif_smoothing, True, rng, training))
    builder.build_post(signals)
    return builder, signals


def run_builder(J, *args, **kwargs):
    """Returns output and state of one step."""
    builder, signals = make_builder(*args, **kwargs)
    op = builder.ops[0]
    signals.scatter(op.J, tf.broadcast_to(J, (signals.minibatch_size, 4)))
    builder.build_step(signals)
    state = {name: signals.gather(sig) for name, sig in op.state.items()}
    return signals.gather(op.output), state
