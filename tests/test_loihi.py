"""
What can be said about Loihi without NengoLoihi.

Tests that need NengoLoihi are in the directory ``loihi``.
"""

from __future__ import annotations

import sys
from types import ModuleType

import nengo
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from nengo.exceptions import ValidationError
from neuron_oracle import make_builder, sim_neurons

from nengo_dl.loihi import AlphaRCNoise, LowpassRCNoise, allow_numpy_2
from nengo_dl.neuron_builders import (
    LIFBuilder,
    LoihiLIFBuilder,
    LoihiSpikingRectifiedLinearBuilder,
    SimNeuronsBuilder,
)
from nengo_dl.neuron_builders.loihi import (
    alpha_spikes,
    discretize_tau_rc,
    distinct_tau,
    lowpass_spikes,
)


class LoihiLIF(nengo.LIF):
    """Has the name of a neuron type of NengoLoihi."""

    __module__ = "nengo_loihi.neurons"

    def __init__(self, nengo_dl_noise=None, **kwargs):
        super().__init__(**kwargs)
        self.nengo_dl_noise = nengo_dl_noise

    def step(self, *args, **kwargs):
        raise NotImplementedError


class Subclass(LoihiLIF):
    pass


class Other(LoihiLIF):
    def step(self, *args, **kwargs):
        raise NotImplementedError


class Placeholder:
    def __init__(self, ops):
        raise nengo.exceptions.BuildError("Requires nengo-extras")


class RealBuilder(LIFBuilder):
    pass


# -- which builder --------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch):
    registry = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    monkeypatch.setattr(SimNeuronsBuilder, "TF_NEURON_IMPL", registry)
    return registry


def builder_of(neuron_type):
    return SimNeuronsBuilder.builder_class(sim_neurons(neuron_type))


def test_our_builders(registry):
    assert builder_of(LoihiLIF()) is LoihiLIFBuilder
    assert builder_of(Subclass()) is LoihiLIFBuilder
    assert builder_of(Other()) is None
    ReLU = type(
        "LoihiSpikingRectifiedLinear",
        (nengo.SpikingRectifiedLinear,),
        {"__module__": "nengo_loihi.neurons"},
    )
    assert builder_of(ReLU()) is LoihiSpikingRectifiedLinearBuilder


def test_registered_builders(registry):
    registry[LoihiLIF] = Placeholder
    assert builder_of(LoihiLIF()) is LoihiLIFBuilder
    assert builder_of(Subclass()) is LoihiLIFBuilder
    registry[LoihiLIF] = RealBuilder
    assert builder_of(LoihiLIF()) is RealBuilder
    assert builder_of(Subclass()) is RealBuilder


def test_placeholders_of_other_types(registry):
    """Only for types of NengoLoihi do we know better."""
    registry[Other] = Placeholder
    assert builder_of(Other()) is Placeholder


# -- noise ----------------------------------------------------------------------------


def test_unknown_noise(registry):
    with pytest.raises(ValidationError, match="LowpassRCNoise.*received a `int`.*None"):
        make_builder(LoihiLIF(nengo_dl_noise=3))


@pytest.mark.parametrize("tau_s", [0, -0.1, float("nan")])
def test_invalid_tau(tau_s):
    with pytest.raises(ValidationError, match="positive time constant.*received"):
        LowpassRCNoise(tau_s)


def test_noise_is_not_merged():
    quiet, noisy = LoihiLIF(), LoihiLIF(nengo_dl_noise=AlphaRCNoise(0.01))
    quiet, noisy = sim_neurons(quiet), sim_neurons(noisy)
    assert SimNeuronsBuilder.mergeable(quiet, quiet)
    assert not SimNeuronsBuilder.mergeable(quiet, noisy)
    assert not SimNeuronsBuilder.mergeable(noisy, noisy)


def filtered_train(poles, period):
    """Sums the responses to all past spikes, at ten times within a period."""
    n_periods = 1 + round(2 / period)
    times = np.arange(10 * n_periods) * period / 10
    _, response = scipy.signal.impulse((1, poles), T=times)
    return response.reshape(n_periods, 10).sum(axis=0)


@pytest.mark.parametrize("dtype, tol", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("tau_s", [0.005, 0.05])
@pytest.mark.parametrize("period", [0.003, 0.1])
def test_filtered_spikes(period, tau_s, dtype, tol):
    times = np.arange(10) * period / 10
    args = [tf.constant(x, dtype) for x in (times, period, 0.02, tau_s)]
    tol = {"atol": tol / period, "rtol": tol}

    poles = np.polymul([tau_s, 1], [0.02, 1])
    actual = lowpass_spikes(*args).numpy()
    np.testing.assert_allclose(actual, filtered_train(poles, period), **tol)

    poles = np.polymul(poles, [tau_s, 1])
    actual = alpha_spikes(*args).numpy()
    np.testing.assert_allclose(actual, filtered_train(poles, period), **tol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("tau_s", [0.02, 0.0201])
def test_equal_time_constants(tau_s, dtype):
    period, times = 0.1, np.arange(10) * 0.01
    args = [
        tf.constant(x, dtype) for x in (times, period, 0.02, distinct_tau(tau_s, 0.02))
    ]
    poles = np.polymul([tau_s, 1], [0.02, 1])
    expected = filtered_train(poles, period)
    actual = lowpass_spikes(*args).numpy()
    np.testing.assert_allclose(actual, expected, atol=0.02 * expected.max())

    expected = filtered_train(np.polymul(poles, [tau_s, 1]), period)
    actual = alpha_spikes(*args).numpy()
    np.testing.assert_allclose(actual, expected, atol=0.02 * expected.max())


@pytest.mark.parametrize("filtered", [lowpass_spikes, alpha_spikes])
def test_mean_of_noise(filtered):
    """The mean over all times is the firing rate."""
    period = 0.03
    times = (np.arange(1000) + 0.5) / 1000 * period
    mean = filtered(*(tf.constant(x, "float64") for x in (times, period, 0.02, 0.005)))
    assert np.mean(mean) == pytest.approx(1 / period, rel=1e-4)


def test_discretized_time_constants():
    dt = 0.001
    for decay in (1, 200, 4095 // 2, 4094):
        tau = -dt / np.log1p(-decay / 4095)
        for error in (0.9999, 1.0001):
            actual = discretize_tau_rc(tau * error, dt)
            assert actual == pytest.approx(tau, rel=1e-12)


# -- NumPy 2 --------------------------------------------------------------------------


def test_other_version(monkeypatch):
    module = ModuleType("nengo_loihi")
    module.__version__ = "1.2.0"
    monkeypatch.setitem(sys.modules, "nengo_loihi", module)
    with pytest.raises(RuntimeError, match=r"1\.1\.0 only \(received: 1\.2\.0\)"):
        allow_numpy_2()


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "nengo_loihi", None)
    with pytest.raises(ImportError, match="install it with `pip install nengo-loihi`"):
        allow_numpy_2()
