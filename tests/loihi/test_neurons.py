"""Neurons of NengoLoihi, compared with NengoLoihi's own formulas."""

from __future__ import annotations

import warnings

import nengo
import numpy as np
import pytest
import tensorflow as tf
from neuron_oracle import run_builder

import nengo_dl
from nengo_dl.loihi import AlphaRCNoise, LowpassRCNoise
from nengo_dl.neuron_builders import (
    LIFBuilder,
    LoihiLIFBuilder,
    SimNeuronsBuilder,
    SpikingRectifiedLinearBuilder,
)

loihi = pytest.importorskip("nengo_loihi.neurons")

NEURON_TYPES = [
    loihi.LoihiLIF(),
    loihi.LoihiLIF(tau_rc=0.0173, tau_ref=0.0037, amplitude=0.3, min_voltage=-0.5),
    loihi.LoihiLIF(tau_rc=0.005, tau_ref=0),
    loihi.LoihiSpikingRectifiedLinear(),
    loihi.LoihiSpikingRectifiedLinear(amplitude=0.3),
]


def network(neuron_types, n_neurons=50):
    """Returns a network of neurons with currents of all strengths."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: np.sin(30 * t))
        for neuron_type in neuron_types:
            is_lif = isinstance(neuron_type, nengo.LIF)
            ens = nengo.Ensemble(
                n_neurons,
                1,
                neuron_type=neuron_type,
                gain=nengo.dists.Uniform(1, 5 if is_lif else 300),
                bias=nengo.dists.Uniform(-1, 5 if is_lif else 600),
            )
            nengo.Connection(stim, ens, synapse=None)
            for name in neuron_type.probeable:
                nengo.Probe(ens.neurons, name)
    return net


def test_equal_nengo(Simulator):
    """The same spikes and states, for merged and for single types."""
    net = network(NEURON_TYPES)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Neuron type")
        with Simulator(net) as sim:
            sim.run_steps(300)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(300)
    for probe in net.all_probes:
        np.testing.assert_allclose(sim.data[probe], ref.data[probe], atol=1e-10)
        assert np.any(ref.data[probe])


def currents(neuron_type):
    """Returns currents that do not lie where the number of steps changes."""
    rng = np.random.RandomState(1)
    if isinstance(neuron_type, nengo.LIF):
        return np.concatenate([rng.uniform(-2, 10, size=998), [1e4, 1e8]])
    return np.concatenate([rng.uniform(-50, 1500, size=998), [1e-3, 1e5]])


def train(neuron_type, J, dtype, **kwargs):
    """Returns the outputs of neurons in training, and their gradients."""
    x = tf.constant(J.reshape(-1, 4), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        kwargs = {"training": True, "minibatch_size": len(x), **kwargs}
        output, _ = run_builder(x, neuron_type, dtype, **kwargs)
    return output.numpy().ravel(), tape.gradient(output, x).numpy().ravel()


@pytest.mark.parametrize("dtype, tol", [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("i", range(len(NEURON_TYPES)))
def test_rates_in_training(i, dtype, tol):
    neuron_type = NEURON_TYPES[i]
    J = currents(neuron_type)
    output, gradient = train(neuron_type, J, dtype)
    ones = np.ones(len(J))
    expected = loihi.loihi_rates(neuron_type, J[None], ones, 0 * ones, 0.001)[0]
    np.testing.assert_allclose(output, expected, rtol=tol)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("lif_smoothing", [None, 0.1])
@pytest.mark.parametrize("i", [1, 4])
def test_gradients_of_training(i, lif_smoothing):
    """The gradient is that of neurons that spike at any time."""
    neuron_type = NEURON_TYPES[i]
    J = currents(neuron_type)[:100]
    _, gradient = train(neuron_type, J, "float64", lif_smoothing=lif_smoothing)
    smooth = nengo.RectifiedLinear(amplitude=0.3)
    if i == 1:
        taus = {
            "tau_rc": loihi.discretize_tau_rc(neuron_type.tau_rc, 0.001),
            "tau_ref": loihi.discretize_tau_ref(neuron_type.tau_ref, 0.001),
            "amplitude": 0.3,
        }
        smooth = nengo.LIFRate(**taus)
        if lif_smoothing:
            smooth = nengo_dl.SoftLIFRate(sigma=lif_smoothing, **taus)
    ones = np.ones(1)

    def rates(J):
        return smooth.rates(J[:, None], ones, 0 * ones)[:, 0]

    expected = (rates(J + 1e-7) - rates(J - 1e-7)) / 2e-7
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", [LowpassRCNoise(0.005), AlphaRCNoise(0.005)])
def test_noise(noise):
    neuron_type = loihi.LoihiLIF(amplitude=0.3, nengo_dl_noise=noise)
    quiet = loihi.LoihiLIF(amplitude=0.3)
    J = np.repeat([0.5, 1.2, 3.0, 10.0], 1000)
    output, gradient = train(neuron_type, J, "float32")
    expected, expected_gradient = train(quiet, J, "float32")
    np.testing.assert_allclose(gradient, expected_gradient)
    mean, rate = (x.reshape(4, 1000).mean(axis=1) for x in (output, expected))
    deviation = output.reshape(4, 1000).std(axis=1)
    assert mean[0] == deviation[0] == 0
    assert (deviation[1:] > 1e-3 * rate[1:]).all()
    assert (np.abs(mean - rate) <= 4 * deviation / np.sqrt(1000) + 1e-4 * rate).all()
    # slow neurons are the noisier ones
    assert (np.diff(deviation[1:] / rate[1:]) < 0).all()
    # and there is noise in training alone
    run, _ = run_builder(tf.constant(J[:4], "float32"), neuron_type, "float32")
    assert not np.any(run)


def test_noise_is_different_in_every_step(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(learning_phase=True, trainable=None)
        noise = LowpassRCNoise(0.005)
        probes = []
        for _ in range(2):
            ens = nengo.Ensemble(
                10,
                1,
                neuron_type=loihi.LoihiLIF(nengo_dl_noise=noise),
                gain=np.ones(10),
                bias=np.full(10, 2),
            )
            probes.append(nengo.Probe(ens.neurons))
    with Simulator(net, minibatch_size=2, seed=0) as sim:
        sim.run_steps(10)
        sim.run_steps(10, stateful=False)
        values = np.concatenate([sim.data[p].ravel() for p in probes])
    assert len(np.unique(values.round(3))) > 0.9 * len(values)


def test_registry_stays_public(Simulator, monkeypatch):
    """Builders can be replaced between simulations, also by NengoExtras."""
    used = []

    class OwnBuilder(LoihiLIFBuilder):
        def __init__(self, ops):
            super().__init__(ops)
            used.append(ops)

    net = network([loihi.LoihiLIF()], n_neurons=5)
    impl = SimNeuronsBuilder.TF_NEURON_IMPL
    monkeypatch.setitem(impl, loihi.LoihiLIF, OwnBuilder)
    with Simulator(net) as sim:
        sim.run_steps(2)
    assert len(used) >= 1


def test_contract(Simulator, monkeypatch):
    """What subclasses of our builders find, as those of NengoExtras do."""
    seen = {}

    class LIF(LIFBuilder):
        def __init__(self, ops):
            super().__init__(ops)

        def build_pre(self, signals, config):
            super().build_pre(signals, config)
            assert isinstance(signals.dtype, tf.DType)
            assert self.zeros.shape == (signals.minibatch_size, *self.J_data.shape)
            for name in (
                "alpha",
                "tau_rc",
                "tau_ref",
                "min_voltage",
                "zero",
                "one",
                "epsilon",
            ):
                value = getattr(self, name)
                assert isinstance(value, tf.Tensor)
                assert value.shape in [(), (1, *self.J_data.shape)]
            assert (self.config.lif_smoothing is None) != hasattr(self, "sigma")
            assert not config.inference_only
            self.factor = tf.constant(2.0, signals.dtype) * signals.one

        def step(self, J, dt, voltage, refractory_time):
            spikes = tf.where(J > 1, self.factor * self.alpha, self.zeros)
            seen["step"] = J.shape
            return spikes, voltage, refractory_time

        def training_step(self, J, dt, **state):
            seen["training_step"] = sorted(state)
            return super().training_step(J, dt, **state)

    class ReLU(SpikingRectifiedLinearBuilder):
        def training_step(self, J, dt, **state):
            seen["relu"] = self.amplitude, sorted(state), self.spiking
            return super().training_step(J, dt, **state)

    impl = SimNeuronsBuilder.TF_NEURON_IMPL
    monkeypatch.setitem(impl, loihi.LoihiLIF, LIF)
    monkeypatch.setitem(impl, loihi.LoihiSpikingRectifiedLinear, ReLU)
    neuron_types = [NEURON_TYPES[0], NEURON_TYPES[1], NEURON_TYPES[3]]
    for training in (False, True):
        net = network(neuron_types, n_neurons=4)
        with net:
            nengo_dl.configure_settings(learning_phase=training, lif_smoothing=0.1)
        with Simulator(net, minibatch_size=3) as sim:
            sim.run_steps(3)
    assert seen["step"] == (3, 8)
    assert seen["training_step"] == ["refractory_time", "voltage"]
    assert seen["relu"] == (None, ["voltage"], True)
