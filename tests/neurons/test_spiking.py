import pickle

import nengo
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nengo.exceptions import ReadonlyError, ValidationError

from nengo_dl.neurons import IntegrateAndFire, SpikingLeakyReLU

# so that sums of whole currents are exact
DT = 2.0**-10


def run(neurons, J, voltage=0.5, dt=DT):
    """Returns spikes of each step (without amplitude), and voltages after it."""
    J = np.asarray(J, dtype=float)
    state = {"voltage": np.full(J.shape[1:], voltage)}
    state["spike_count"] = np.zeros_like(state["voltage"])
    output, spikes, voltages = np.zeros_like(state["voltage"]), [], []
    for current in J:
        neurons.step(dt, current, output, **state)
        spikes.append(output * dt / neurons.amplitude)
        voltages.append(state["voltage"].copy())
    np.testing.assert_array_equal(state["spike_count"], np.sum(spikes, axis=0))
    return np.array(spikes), np.array(voltages)


# -- SpikingLeakyReLU ------------------------------------------------------------------


def test_spiking_leaky_relu_rates():
    rates = SpikingLeakyReLU(0.1, amplitude=0.1).rates([-2, 2], 1, 0)
    assert np.allclose(rates, [[-0.02], [0.2]])


@pytest.mark.parametrize("negative_slope, amplitude", [(0.3, 1), (0.1, 0.5)])
def test_spiking_leaky_relu_in_nengo(negative_slope, amplitude):
    neurons = SpikingLeakyReLU(negative_slope=negative_slope, amplitude=amplitude)
    J = np.linspace(-50, 50, 20)
    with nengo.Network() as net:
        ens = nengo.Ensemble(20, 1, neuron_type=neurons, gain=np.ones(20), bias=J)
        probe = nengo.Probe(ens.neurons)

    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run(1.0)
    expected = amplitude * np.where(J < 0, negative_slope * J, J)
    # voltages are between -1 and 1, at the start and at the end
    atol = 2 * amplitude
    assert np.allclose(np.mean(sim.data[probe], axis=0), expected, atol=atol)


def test_spiking_leaky_relu_step():
    voltage = np.array([0.5, -0.5, 0.0])
    output = np.zeros(3)
    J = np.array([2000, -2000, 500])
    SpikingLeakyReLU(0.5, amplitude=2).step(0.001, J, output, voltage)
    assert np.allclose(output, [2 * 2000, 2 * -1000, 0])
    assert np.allclose(voltage, [0.5, -0.5, 0.5])


# -- IntegrateAndFire ------------------------------------------------------------------

CURRENTS = arrays(
    float,
    st.tuples(st.integers(1, 30), st.just(3)),
    elements=st.integers(-3000, 3000).map(float),
)
VOLTAGES = st.integers(-64, 64).map(lambda i: i / 32)


@given(CURRENTS, VOLTAGES)
@settings(deadline=None)
def test_retracting_neurons_round_the_charge(J, voltage):
    """At every moment, for any input; the sums here are exact."""
    spikes, _ = run(IntegrateAndFire(), J, voltage)
    charge = voltage + DT * np.cumsum(J, axis=0)
    expected = np.maximum(0, np.floor(charge))
    np.testing.assert_array_equal(np.cumsum(spikes, axis=0), expected)


@given(CURRENTS, VOLTAGES)
@settings(deadline=None)
def test_other_neurons_keep_the_largest_charge(J, voltage):
    spikes, _ = run(IntegrateAndFire(retract=False), J, voltage)
    charge = voltage + DT * np.cumsum(J, axis=0)
    expected = np.maximum(0, np.floor(np.maximum.accumulate(charge, axis=0)))
    np.testing.assert_array_equal(np.cumsum(spikes, axis=0), expected)


@given(CURRENTS, VOLTAGES, st.integers(1, 3), st.booleans())
@settings(deadline=None)
def test_limits_of_spikes(J, voltage, max_spikes, retract):
    neurons = IntegrateAndFire(max_spikes, retract)
    spikes, voltages = run(neurons, J, voltage)
    assert np.all(spikes <= max_spikes)
    assert np.all(spikes >= (-max_spikes if retract else 0))
    totals = np.cumsum(spikes, axis=0)
    assert np.all(totals >= 0)
    # no charge is lost
    charge = voltage + DT * np.cumsum(J, axis=0)
    np.testing.assert_array_equal(totals + voltages, charge)
    # neurons hold back spikes only where they are at a limit
    limited = (spikes == max_spikes) & (voltages >= 1)
    limited |= (spikes == -max_spikes if retract else spikes == 0) & (voltages < 0)
    limited |= (totals == 0) & (voltages < 0)
    assert np.all(limited | ((0 <= voltages) & (voltages < 1)))


@pytest.mark.parametrize(
    "neurons, expected_spikes, expected_voltages",
    [
        (IntegrateAndFire(), [2, -1, -1, 0, 0], [0.75, 0.25, -0.5, -2.25, -0.25]),
        (IntegrateAndFire(1), [1, 0, -1, 0, 0], [1.75, 0.25, -0.5, -2.25, -0.25]),
        (
            IntegrateAndFire(retract=False),
            [2, 0, 0, 0, 0],
            [0.75, -0.75, -2.5, -4.25, -2.25],
        ),
        (
            IntegrateAndFire(min_voltage=-0.5),
            [2, -1, -1, 0, 1],
            [0.75, 0.25, -0.5, -0.5, 0.5],
        ),
        (
            IntegrateAndFire(retract=False, min_voltage=0, amplitude=0.1),
            [2, 0, 0, 0, 2],
            [0.75, 0, 0, 0, 0],
        ),
    ],
    ids=str,
)
def test_steps(neurons, expected_spikes, expected_voltages):
    J = np.array([2.25, -1.5, -1.75, -1.75, 2.0])[:, None] / DT
    spikes, voltages = run(neurons, J)
    np.testing.assert_array_equal(spikes[:, 0], expected_spikes)
    np.testing.assert_array_equal(voltages[:, 0], expected_voltages)


def test_output_and_initial_state_in_nengo():
    neurons = IntegrateAndFire(amplitude=0.2)
    taking_back = IntegrateAndFire(
        initial_state={"spike_count": nengo.dists.Choice([2])}
    )
    J = np.array([-1200.0, 200.0, 2700.0])
    with nengo.Network() as net:
        probes = []
        for neuron_type in (neurons, taking_back):
            ens = nengo.Ensemble(3, 1, neuron_type=neuron_type, gain=np.ones(3), bias=J)
            attributes = ("output", "voltage", "spike_count")
            probes.append([nengo.Probe(ens.neurons, a) for a in attributes])
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(2)
    output, voltage, count = (sim.data[p] for p in probes[0])
    np.testing.assert_allclose(output, [[0, 0, 600], [0, 0, 400]])
    np.testing.assert_allclose(voltage, [[-0.7, 0.7, 0.2], [-1.9, 0.9, 0.9]])
    np.testing.assert_array_equal(count, [[0, 0, 3], [0, 0, 5]])
    output, _, count = (sim.data[p] for p in probes[1])
    np.testing.assert_allclose(output[:, 0], [-1000, -1000])
    np.testing.assert_array_equal(count[:, 0], [1, 0])


def test_integrate_and_fire_rates():
    neurons = IntegrateAndFire(amplitude=0.5)
    x, gain, bias = np.linspace(-1, 1, 5), np.array([1, 20]), np.array([0.5, -3])
    expected = nengo.RectifiedLinear(amplitude=0.5).rates(x, gain, bias)
    np.testing.assert_array_equal(neurons.rates(x, gain, bias), expected)
    built = neurons.gain_bias([100, 200], [-0.5, 0.5])
    assert np.allclose(neurons.max_rates_intercepts(*built), [[100, 200], [-0.5, 0.5]])


def test_integrate_and_fire_arguments():
    assert str(IntegrateAndFire()) == "IntegrateAndFire()"
    neurons = IntegrateAndFire(1, retract=False, min_voltage=-np.inf, amplitude=2)
    assert str(neurons) == (
        "IntegrateAndFire(max_spikes=1, retract=False, min_voltage=-inf, amplitude=2)"
    )
    assert IntegrateAndFire().negative and not neurons.negative
    assert neurons.spiking
    with pytest.raises(ReadonlyError):
        neurons.max_spikes = 2


@pytest.mark.parametrize(
    "argument",
    [
        {"max_spikes": 0},
        {"max_spikes": 1.5},
        {"retract": 1},
        {"retract": None},
        {"min_voltage": 0.1},
        {"min_voltage": "low"},
        {"amplitude": 0},
        {"initial_state": {"refractory_time": nengo.dists.Choice([0])}},
    ],
    ids=str,
)
def test_wrong_arguments(argument):
    with pytest.raises(ValidationError, match=next(iter(argument))):
        IntegrateAndFire(**argument)


@pytest.mark.parametrize(
    "neurons",
    [
        SpikingLeakyReLU(0.2, initial_state={"voltage": nengo.dists.Choice([0])}),
        IntegrateAndFire(retract=False),
        IntegrateAndFire(2, min_voltage=-1, amplitude=0.3),
    ],
    ids=str,
)
def test_equality_and_pickling(neurons):
    copy = pickle.loads(pickle.dumps(neurons))
    assert copy == neurons and hash(copy) == hash(neurons)
    assert copy.negative == neurons.negative
    assert neurons != type(neurons)()
