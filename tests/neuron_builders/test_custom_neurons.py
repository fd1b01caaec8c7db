"""Neuron types of users: which builder they get, and builders of their own."""

from __future__ import annotations

import warnings

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder import Signal
from nengo.builder.neurons import SimNeurons
from nengo.dists import Choice
from neuron_builders.custom_types import SquareRoot
from neuron_oracle import run_builder, sim_neurons

import nengo_dl
from nengo_dl.neuron_builders import (
    LIFBuilder,
    LIFRateBuilder,
    SimNeuronsBuilder,
    SpikingRectifiedLinearBuilder,
    TFNeuronBuilder,
)


class LIFWithOtherDefaults(nengo.LIF):
    def __init__(self, tau_rc=0.05, **kwargs):
        super().__init__(tau_rc=tau_rc, **kwargs)


class DoubledLIF(nengo.LIF):
    def step(self, dt, J, output, voltage, refractory_time):
        super().step(dt, 2 * J, output, voltage, refractory_time)


class BackToLIF(DoubledLIF):
    step = nengo.LIF.step


def builder_of(neuron_type):
    return SimNeuronsBuilder.builder_class(sim_neurons(neuron_type))


def test_subclasses():
    assert builder_of(LIFWithOtherDefaults()) is LIFBuilder
    assert builder_of(BackToLIF()) is LIFBuilder
    assert builder_of(DoubledLIF()) is None
    assert builder_of(SquareRoot()) is None
    changed = nengo.LIF()
    vars(changed)["step"] = lambda *args, **kwargs: None
    state = sim_neurons(nengo.LIF()).state
    op = SimNeurons(changed, Signal(shape=4), Signal(shape=4), state)
    assert SimNeuronsBuilder.builder_class(op) is LIFBuilder  # its exact type counts


@pytest.mark.parametrize("neuron_type", [LIFWithOtherDefaults(), DoubledLIF()])
def test_subclasses_equal_nengo(Simulator, neuron_type):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        ens = nengo.Ensemble(20, 1, neuron_type=neuron_type)
        nengo.Connection(nengo.Node([0.5]), ens)
        probes = [nengo.Probe(ens.neurons, attr) for attr in ("output", "voltage")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sim = Simulator(net)
    with sim, nengo.Simulator(net, progress_bar=False) as ref:
        sim.run_steps(100)
        ref.run_steps(100)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe], ref.data[probe], atol=1e-12)


# -- builders of others ---------------------------------------------------------------


class Counting(nengo.RectifiedLinear):
    """Counts steps in one state variable, and sums its input up in the other."""

    state = {"count": Choice([0]), "total": Choice([0])}

    def step(self, dt, J, output, count, total):
        count += 1
        total += J
        output[...] = total + count


class CountingBuilder(TFNeuronBuilder):
    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        self.increment = signals.one

    def step(self, J, dt, count, total):
        count, total = count + self.increment, total + J
        return total + count, count, total


@pytest.fixture
def registered():
    """Restores the registry of neuron builders."""
    before = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    yield SimNeuronsBuilder.TF_NEURON_IMPL
    SimNeuronsBuilder.TF_NEURON_IMPL.clear()
    SimNeuronsBuilder.TF_NEURON_IMPL.update(before)


def counting_network(neuron_type):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        ens = [nengo.Ensemble(n, 1, neuron_type=neuron_type) for n in (3, 4)]
        probes = [nengo.Probe(e.neurons, a) for e in ens for a in neuron_type.probeable]
    return net, probes


def test_registered_builder(Simulator, registered):
    net, probes = counting_network(Counting())
    registered[Counting] = CountingBuilder
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(20)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe][1], ref.data[probe], atol=1e-12)


@pytest.mark.parametrize(
    "step, received",
    [
        (lambda self, J, dt, count, total: (J, count), "received: 2"),
        (lambda self, J, dt, count, total: J, "received: no tuple"),
    ],
)
def test_wrong_number_of_values(Simulator, registered, step, received):
    registered[Counting] = type("BadBuilder", (TFNeuronBuilder,), {"step": step})
    net, _ = counting_network(Counting())
    with pytest.raises(
        ValueError, match="must return a tuple with the neuron output.*" + received
    ):
        with Simulator(net) as sim:
            sim.run_steps(1)


def test_unregistered_builder_is_not_cached(registered):
    assert builder_of(Counting()) is None
    registered[Counting] = CountingBuilder
    assert builder_of(Counting()) is CountingBuilder
    registered[Counting] = LIFRateBuilder
    assert builder_of(Counting()) is LIFRateBuilder
    del registered[nengo.LIF]
    assert builder_of(nengo.LIF()) is None


class QuantisedLIF(nengo.LIF):
    """Spikes at the end of steps only, like neurons on digital hardware."""

    def step(self, dt, J, output, voltage, refractory_time):
        delta = np.clip(dt - (refractory_time - dt), 0, dt)
        voltage -= (J - voltage) * np.expm1(-delta / self.tau_rc)
        spiked = voltage > 1
        output[...] = spiked * (self.amplitude / dt)
        voltage[voltage < self.min_voltage] = self.min_voltage
        voltage[spiked] = 0
        refractory_time -= dt
        refractory_time[spiked] = self.tau_ref + dt


class QuantisedLIFBuilder(LIFBuilder):
    """Does what the builders of NengoLoihi's neurons do with their parent."""

    def __init__(self, ops):
        super().__init__(ops)
        self.n_ops = len(ops)

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        n = sum(op.J.shape[0] for op in self.ops)
        assert isinstance(self.J_data.shape, tuple) and self.J_data.shape == (n,)
        assert self.zeros.shape == (signals.minibatch_size, n)
        for name in ("tau_rc", "tau_ref", "min_voltage", "zero", "one", "epsilon"):
            assert isinstance(getattr(self, name), tf.Tensor)
            assert getattr(self, name).shape in ((), (1, n))
            assert getattr(self, name).dtype == signals.dtype
        assert isinstance(signals.dtype, tf.DType)
        assert (self.amplitude is None) == all(
            op.neurons.amplitude == 1 for op in self.ops
        )
        assert hasattr(self, "sigma") == (config.lif_smoothing is not None)
        self.two_steps = 2 * signals.dt
        self.rate_scale = tf.constant(
            np.ones((1, n), dtype=signals.dtype.as_numpy_dtype)
        )

    def step(self, J, dt, voltage, refractory_time):
        delta = tf.clip_by_value(self.two_steps - refractory_time, self.zero, dt)
        voltage += (voltage - J) * tf.math.expm1(-delta / self.tau_rc)
        spiked = voltage > self.one
        voltage = tf.where(spiked, self.zeros, tf.maximum(voltage, self.min_voltage))
        refractory_time = tf.where(spiked, self.tau_ref + dt, refractory_time - dt)
        return tf.where(spiked, self.alpha, self.zero), voltage, refractory_time

    def training_step(self, J, dt, **state):
        return self.rate_scale * super().training_step(J, dt, **state)


@pytest.mark.parametrize("amplitude", [1, 0.3])
def test_subclass_of_lif_builder(Simulator, registered, amplitude):
    registered[QuantisedLIF] = QuantisedLIFBuilder
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", lif_smoothing=0.2)
        probes = []
        for tau_rc in (0.02, 0.03):
            neuron_type = QuantisedLIF(tau_rc=tau_rc, amplitude=amplitude)
            ens = nengo.Ensemble(6, 1, neuron_type=neuron_type)
            nengo.Connection(nengo.Node([0.7]), ens)
            probes += [nengo.Probe(ens.neurons, a) for a in neuron_type.probeable]
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(100)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(100)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe][1], ref.data[probe], atol=1e-12)

    # the training version, including that of the parent
    J = tf.constant([-1.0, 1.0, 1.5, 6.0], tf.float64)
    kwargs = {"training": True, "lif_smoothing": 0.2}
    actual, _ = run_builder(J, QuantisedLIF(amplitude=amplitude), **kwargs)
    soft = nengo_dl.SoftLIFRate(sigma=0.2, amplitude=amplitude)
    np.testing.assert_allclose(actual, run_builder(J, soft)[0])


def test_subclass_of_spiking_relu_builder(Simulator, registered):
    class NegatedReLU(nengo.SpikingRectifiedLinear):
        def step(self, dt, J, output, voltage):
            super().step(dt, -J, output, voltage)

    class NegatedReLUBuilder(SpikingRectifiedLinearBuilder):
        def step(self, J, dt, voltage):
            return super().step(-J, dt, voltage)

        def training_step(self, J, dt, **state):
            return super().training_step(-J, dt, **state)

    registered[NegatedReLU] = NegatedReLUBuilder
    J = tf.constant([-1000.0, 1.0, -500, 6.0], tf.float64)
    output, _ = run_builder(J, NegatedReLU())
    np.testing.assert_array_equal(output.numpy()[:, [0, 1, 3]], [[1000, 0, 0]] * 2)
    output, _ = run_builder(J, NegatedReLU(), training=True)
    np.testing.assert_array_equal(output[0], [1000, 0, 500, 0])
