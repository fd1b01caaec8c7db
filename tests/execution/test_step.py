"""What of a step is compiled, and that it makes no difference to the numbers."""

from __future__ import annotations

import threading

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl import transform_builders
from nengo_dl.neuron_builders import RectifiedLinearBuilder, SimNeuronsBuilder

N_STEPS = 12


def run(net, **settings):
    """Return the simulator's step, and what the only Probe records."""
    with net:
        nengo_dl.configure_settings(dtype="float64", **settings)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.run_steps(N_STEPS)
        return sim.tensor_graph.step, sim.data[net.all_probes[0]]


def reference(net):
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(N_STEPS)
        return sim.data[net.all_probes[0]]


@pytest.fixture
def conv_net():
    with nengo.Network(seed=0) as net:
        transform = nengo.Convolution(2, (6, 6, 1), (3, 3))
        image = nengo.Node(np.linspace(-1, 1, 36))
        neurons = nengo.Ensemble(transform.output_shape.size, 1).neurons
        nengo.Connection(image, neurons, transform=transform)
        nengo.Probe(neurons)
    return net


def test_large_convolutions_are_left_to_tensorflow(conv_net, monkeypatch):
    step, data = run(conv_net)
    assert step.compiles
    np.testing.assert_allclose(data, reference(conv_net), atol=1e-10)

    monkeypatch.setattr(transform_builders, "MAX_XLA_ELEMENTS", 0)
    step, data = run(conv_net)
    assert step.pure and not step.compiles
    np.testing.assert_allclose(data, reference(conv_net), atol=1e-10)

    step, _ = run(conv_net, jit_compile=True)
    assert step.compiles


def test_python_cuts_the_step():
    with nengo.Network(seed=0) as net:
        a = nengo.Ensemble(10, 1)
        middle = nengo.Node(lambda t, x: x**2 + t, size_in=1)
        b = nengo.Ensemble(10, 1)
        nengo.Connection(a, middle)
        nengo.Connection(middle, b, synapse=None)
        nengo.Probe(b.neurons)
    for jit_compile in ("auto", True, False):
        step, data = run(net, jit_compile=jit_compile)
        assert not step.pure and not step.compiles
        np.testing.assert_allclose(data, reference(net), atol=1e-10)


def test_nothing_is_compiled_if_not_wanted(conv_net):
    step, data = run(conv_net, jit_compile=False)
    assert step.pure and not step.compiles
    np.testing.assert_allclose(data, reference(conv_net), atol=1e-10)


@pytest.mark.parametrize("unroll", [1, 3])
def test_loop_over_steps_with_python(unroll):
    """The thread that runs a simulation also calls its functions."""
    threads = set()

    def func(t, x):
        threads.add(threading.get_ident())
        return [x[0] + t, 2 * x[1]]

    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stimulus = nengo.Node(lambda t: np.sin(100 * t))
        ens = nengo.Ensemble(10, 2, neuron_type=nengo.RectifiedLinear())
        node = nengo.Node(func, size_in=2)
        nengo.Connection(stimulus, ens[0])
        nengo.Connection(ens, node, synapse=None)
        nengo.Connection(node, ens, synapse=0.005, transform=0.5)
        nengo.Probe(ens)
        nengo.Probe(node, sample_every=0.002)
    expected = nengo.Simulator(net, progress_bar=False)
    with (
        expected,
        nengo_dl.Simulator(
            net, device="/cpu:0", unroll_simulation=unroll, progress_bar=False
        ) as sim,
    ):
        for n_steps in (unroll, 9, 3):
            expected.run_steps(n_steps)
            threads.clear()
            sim.run_steps(n_steps)
            assert threads == {threading.get_ident()}
        for probe in net.all_probes:
            np.testing.assert_allclose(sim.data[probe], expected.data[probe], 1e-10)


# -- builders from outside ------------------------------------------------------------


class Binary(nengo.RectifiedLinear):
    """Puts out one, or nothing."""

    def step(self, dt, J, output):
        output[...] = J > 0


class BinaryBuilder(RectifiedLinearBuilder):
    """Uses tensors whose shapes depend on values, which XLA does not know."""

    def step(self, J, dt):
        ones = tf.ones(tf.math.count_nonzero(J > 0), J.dtype)
        return tf.tensor_scatter_nd_add(tf.zeros_like(J), tf.where(J > 0), ones)


class BinaryInPython(RectifiedLinearBuilder):
    """Calls Python, and does not say so."""

    def step(self, J, dt):
        output = tf.numpy_function(lambda J: np.float64(J > 0), [J], J.dtype)
        return tf.ensure_shape(output, J.shape)


class BinaryInTraining(RectifiedLinearBuilder):
    spiking = True

    def step(self, J, dt):
        return tf.cast(J > 0, J.dtype)

    training_step = BinaryBuilder.step


@pytest.fixture
def binary_net():
    with nengo.Network(seed=0) as net:
        stim = nengo.Node([0.5])
        for seed in range(2):
            ens = nengo.Ensemble(10, 1, neuron_type=Binary(), seed=seed)
            nengo.Connection(stim, ens, synapse=0.01)
        nengo.Probe(ens.neurons)
    return net


@pytest.mark.parametrize("builder", [BinaryBuilder, BinaryInPython])
def test_what_xla_cannot_compile(binary_net, monkeypatch, builder):
    monkeypatch.setitem(SimNeuronsBuilder.TF_NEURON_IMPL, Binary, builder)
    step, data = run(binary_net)
    assert step.pure and not step.compiles and not step.can_compile
    compiled = [ops for is_compiled, ops in step.segments if is_compiled]
    assert compiled  # what is around it
    np.testing.assert_array_equal(data, reference(binary_net))


def test_what_xla_can_compile(binary_net, monkeypatch):
    builder = BinaryInTraining
    monkeypatch.setitem(SimNeuronsBuilder.TF_NEURON_IMPL, Binary, builder)
    with binary_net:
        nengo_dl.configure_settings(dtype="float64")
    with nengo_dl.Simulator(binary_net, progress_bar=False) as sim:
        graph = sim.tensor_graph
        assert graph.step.compiles and graph.supports_jit
        # whose training version is not compiled
        nodes = graph.program.nodes
        assert not graph.compiles_training(5, nodes)
        monkeypatch.setattr(builder, "training_step", builder.step)
        graph._steps.clear()
        assert graph.compiles_training(5, nodes)
