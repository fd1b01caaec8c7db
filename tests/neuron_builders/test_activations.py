"""Activation functions in TensorFlow, compared with those in NumPy."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.neurons import SimNeurons
from neuron_oracle import make_builder, run_builder
from reference_rows import ACTIVATIONS

import nengo_dl
from nengo_dl import neurons
from nengo_dl.neuron_builders import ActivationBuilder, SimNeuronsBuilder
from nengo_dl.neuron_builders.activations import ACTIVATIONS as FUNCTIONS

NEURON_TYPES = [neuron_type for pair in ACTIVATIONS for neuron_type in pair]
# Near zero, and beside all points where pieces meet
CURRENTS = np.array([-20, -2.9, -0.9, -0.1, 0.1, 0.9, 2.9, 20])


def step(neuron_type, J, dtype):
    """Returns output, and gradient of its sum, for currents."""
    builder, signals = make_builder(neuron_type, dtype, minibatch_size=1)
    J = tf.constant(J, dtype)[None]
    with tf.GradientTape() as tape:
        tape.watch(J)
        output = builder.built_neurons.step(J, signals.dt)
    return output[0].numpy(), tape.gradient(output, J)[0].numpy()


@pytest.mark.parametrize("neuron_type", NEURON_TYPES, ids=str)
def test_gradients(neuron_type):
    """Central differences of the NumPy step, in double precision."""
    h = 1e-5
    output, gradient = step(neuron_type, CURRENTS, "float64")
    above, below, exact = (
        neuron_type.rates(CURRENTS + d, 1, 0)[:, 0] for d in (h, -h, 0)
    )
    np.testing.assert_allclose(output, exact, rtol=1e-10, atol=1e-14)
    difference = (above - below) / (2 * h)
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("neuron_type", NEURON_TYPES, ids=str)
def test_no_nan(neuron_type, dtype):
    largest = 80 if isinstance(neuron_type, neurons.Exponential) else 1e6
    J = [-1e6, -3, -1, -0.5, -1e-30, 0, 1e-30, 0.5, 1, 3, 6, largest]
    output, gradient = step(neuron_type, J, dtype)
    assert np.all(np.isfinite(output)) and np.all(np.isfinite(gradient))
    expected = neuron_type.rates(np.array(J, dtype), 1, 0)[:, 0]
    eps = np.finfo(dtype).eps
    tolerance = 8 * eps * (1 + np.abs(J) + 10 * np.abs(expected))
    assert np.all(np.abs(output - expected) < tolerance)


def test_networks_are_those_of_nengo(Simulator):
    """Compiled by XLA, with pairs of neurons that are merged."""
    x = np.sin([0.3, 4.0, 5.0])
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", jit_compile=True)
        stim = nengo.Node(lambda t: x[round(1000 * t) - 1])
        for neuron_type in NEURON_TYPES:
            ens = nengo.Ensemble(
                9,
                1,
                neuron_type=neuron_type,
                gain=np.linspace(2, 6, 9),
                bias=np.linspace(-2, 3, 9),
            )
            nengo.Connection(stim, ens, synapse=None)
            nengo.Probe(ens.neurons)
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(3)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(3)
        groups = [
            ops for ops in sim.tensor_graph.plan if isinstance(ops[0], SimNeurons)
        ]
    assert [len(ops) for ops in groups] == [2] * len(ACTIVATIONS)
    for probe in net.all_probes:
        expected = reference.data[probe]
        np.testing.assert_allclose(sim.data[probe], expected, rtol=1e-10, atol=1e-12)


def test_training_does_not_differ():
    J = tf.constant([-1.0, 0, 0.3, 2], tf.float64)
    outputs = [run_builder(J, neurons.Mish(2), training=t)[0] for t in (True, False)]
    np.testing.assert_array_equal(*outputs)


class SubclassOfELU(neurons.ELU):
    pass


class OtherStep(neurons.ELU):
    def step(self, dt, J, output):
        output[...] = J


def test_subclasses():
    builder, _ = make_builder(SubclassOfELU(0.3))
    assert isinstance(builder.built_neurons, ActivationBuilder)
    J = tf.constant([-1.0, 0, 0.3, 2], tf.float64)
    outputs = [run_builder(J, cls(0.3))[0] for cls in (SubclassOfELU, neurons.ELU)]
    np.testing.assert_array_equal(*outputs)
    assert not isinstance(make_builder(OtherStep())[0].built_neurons, ActivationBuilder)


def test_all_types_are_built():
    """The base class has no step, and no builder."""
    types = {getattr(neurons, name) for name in neurons.__all__}
    types = {cls for cls in types if issubclass(cls, neurons.Activation)}
    assert types - {neurons.Activation} == set(FUNCTIONS)
    assert set(FUNCTIONS) <= set(SimNeuronsBuilder.TF_NEURON_IMPL)
    with pytest.raises(NotImplementedError):
        neurons.Activation().step(0.001, np.zeros(1), np.zeros(1))
    assert issubclass(neurons.Activation, nengo.neurons.NeuronType)
