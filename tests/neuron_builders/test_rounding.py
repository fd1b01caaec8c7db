"""Neurons that reach their threshold exactly spike in the same step as Nengo's."""

from __future__ import annotations

from functools import partial

import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.neuron_builders import (
    LoihiLIFBuilder,
    LoihiSpikingRectifiedLinearBuilder,
    SimNeuronsBuilder,
)
from nengo_dl.neuron_builders.loihi import discretize_tau_rc


class ResettingRectifiedLinear(nengo.SpikingRectifiedLinear):
    """What NengoLoihi's rectified linear neurons do."""

    def step(self, dt, J, output, voltage):
        voltage += J * dt
        spiked = voltage > 1
        output[...] = spiked * (self.amplitude / dt)
        voltage[voltage < 0] = 0
        voltage[spiked] = 0


class WholeStepLIF(nengo.LIF):
    """What NengoLoihi's LIF neurons do."""

    nengo_dl_noise = None

    def step(self, dt, J, output, voltage, refractory_time):
        tau_rc = float(discretize_tau_rc(np.float64(self.tau_rc), dt))
        refractory_time -= dt
        delta_t = np.clip(dt - refractory_time, 0, dt)
        voltage -= (J - voltage) * np.expm1(-delta_t / tau_rc)
        spiked = voltage > 1
        output[...] = spiked * (self.amplitude / dt)
        voltage[voltage < self.min_voltage] = self.min_voltage
        voltage[spiked] = 0
        refractory_time[spiked] = dt * round(self.tau_ref / dt) + dt


@pytest.fixture(autouse=True)
def _loihi_builders(monkeypatch):
    monkeypatch.setitem(
        SimNeuronsBuilder.TF_NEURON_IMPL,
        ResettingRectifiedLinear,
        LoihiSpikingRectifiedLinearBuilder,
    )
    monkeypatch.setitem(SimNeuronsBuilder.TF_NEURON_IMPL, WholeStepLIF, LoihiLIFBuilder)


REST = {"voltage": nengo.dists.Choice([0])}
BELOW = {"voltage": np.repeat(np.linspace(0, 0.95, 100), 3)}
IZHIKEVICH = {
    "voltage": np.repeat(np.linspace(-70, 25, 100), 3),
    "recovery": np.linspace(-14, -10, 300),
}


def rates(dt):
    """Returns rates of a spike in every n steps, and some that lie beside them."""
    steps = np.arange(1, 60)
    exact = 1 / (steps * dt)
    return np.concatenate([exact, np.round(exact), 3.7 * exact, -exact])


def lif_currents(dt, tau_rc=0.02):
    """Returns currents that reach the threshold in the first step, or just do not."""
    v = BELOW["voltage"]
    near = np.tile(np.nextafter(np.ones(3), [0, 1, 2]), 100)
    return v + (near - v) / -np.expm1(-dt / tau_rc)


def whole_step_currents(dt):
    """Returns `lif_currents` for the time constant that Loihi can represent."""
    return lif_currents(dt, discretize_tau_rc(np.float64(0.02), dt))


def izhikevich_currents(dt):
    """Returns currents that reach the threshold in the first step, or just do not."""
    v, u = IZHIKEVICH["voltage"], IZHIKEVICH["recovery"]
    near = np.tile(np.nextafter(np.full(3, 30), [0, 30, 60]), 100)
    return (near - v) / dt / 1000 - (0.04 * v**2 + 5 * v + 140 - u)


CASES = {
    "rectified": (nengo.SpikingRectifiedLinear(initial_state=REST), rates),
    "amplitude": (nengo.SpikingRectifiedLinear(0.3, initial_state=REST), rates),
    "leaky": (nengo_dl.SpikingLeakyReLU(0.1, initial_state=REST), rates),
    "integrate and fire": (nengo_dl.IntegrateAndFire(initial_state=REST), rates),
    "regular": (
        nengo.RegularSpiking(nengo.RectifiedLinear(), initial_state=REST),
        rates,
    ),
    "regular of both signs": (
        nengo.RegularSpiking(nengo_dl.LeakyReLU(0.7), initial_state=REST),
        rates,
    ),
    "LIF": (nengo.LIF(initial_state=BELOW), lif_currents),
    "LIF without series": (
        nengo.LIF(0.005, initial_state=BELOW),
        partial(lif_currents, tau_rc=0.005),
    ),
    "adaptive LIF": (nengo.AdaptiveLIF(initial_state=BELOW), lif_currents),
    "Izhikevich": (nengo.Izhikevich(initial_state=IZHIKEVICH), izhikevich_currents),
    "resetting": (ResettingRectifiedLinear(initial_state=REST), rates),
    "whole steps": (WholeStepLIF(initial_state=BELOW), whole_step_currents),
}


def spikes(make_simulator, neuron_type, currents, n_steps=200):
    """Returns what neurons put out in some steps, for constant currents."""
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(
            len(currents),
            1,
            neuron_type=neuron_type,
            gain=np.full(len(currents), 2),
            bias=np.zeros(len(currents)),
        )
        nengo.Connection(nengo.Node(currents / 2), ens.neurons, synapse=None)
        probe = nengo.Probe(ens.neurons)
        with make_simulator(net) as sim:
            sim.run_steps(n_steps)
    return sim.data[probe]


# other neurons would be much slower in single precision
IN_SINGLE = [case for case, (_, currents) in CASES.items() if currents is rates]


@pytest.mark.parametrize(
    "case, dtype",
    [(case, "float64") for case in CASES] + [(case, "float32") for case in IN_SINGLE],
)
@pytest.mark.parametrize("jit_compile", ["auto", False])
def test_spikes_are_those_of_nengo(case, jit_compile, dtype):
    neuron_type, currents = CASES[case]
    batch = 1 if dtype == "float32" else 3
    for dt in (0.001, 0.1 if currents is rates else 0.0003):

        def nengo_simulator(net, dt=dt):
            return nengo.Simulator(net, dt=dt, progress_bar=False)

        def simulator(net, dt=dt):
            nengo_dl.configure_settings(dtype=dtype, jit_compile=jit_compile)
            return nengo_dl.Simulator(
                net,
                dt=dt,
                minibatch_size=batch,
                device="/cpu:0",
                progress_bar=False,
            )

        J = currents(dt)
        nengo.rc.set("precision", "bits", dtype[-2:])
        try:
            expected = spikes(nengo_simulator, neuron_type, J)
        finally:
            nengo.rc.set("precision", "bits", "64")
        actual = spikes(simulator, neuron_type, J)
        np.testing.assert_array_equal(actual != 0, np.stack([expected != 0] * batch))
        assert expected.any()
