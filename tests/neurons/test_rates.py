import pickle

import nengo
import numpy as np
import pytest
from nengo.exceptions import ReadonlyError, ValidationError
from nengo.utils.ensemble import tuning_curves

from nengo_dl.neurons import LeakyReLU, SoftLIFRate


def rates(neuron_type, J):
    """Returns the firing rates for input currents."""
    return neuron_type.rates(J, np.ones(1), np.zeros(1))[:, 0]


@pytest.mark.parametrize("sigma", [1.0, 0.5, 0.01])
def test_soft_lif_formula(sigma):
    J = np.linspace(-3, 5, 200)
    z = sigma * np.logaddexp(0, (J - 1) / sigma)
    with np.errstate(divide="ignore"):
        expected = 1.5 / (0.001 + 0.03 * np.log1p(1 / z))

    soft = SoftLIFRate(sigma, tau_rc=0.03, tau_ref=0.001, amplitude=1.5)
    assert np.allclose(rates(soft, J), expected)


def test_soft_lif_far_from_the_threshold():
    # without warnings (which are errors) about overflow or division by zero
    soft = rates(SoftLIFRate(sigma=1e-3), np.array([-1e6, -10, 0.9, 1, 1.1, 1e6]))
    hard = rates(nengo.LIFRate(), np.array([1.1, 1e6]))
    assert np.all(np.isfinite(soft))
    assert np.all(np.diff(soft) > 0)
    assert np.allclose(soft[-2:], hard)


def test_soft_lif_is_continuous():
    sigma = 0.5
    for x in (-20, 30):
        J = 1 + sigma * np.array([x - 1e-9, x + 1e-9])
        below, above = rates(SoftLIFRate(sigma), J)
        assert np.allclose(below, above, rtol=1e-6)


@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_soft_lif_in_nengo(sigma):
    with nengo.Network(seed=0) as net:
        ens = nengo.Ensemble(30, 1, neuron_type=SoftLIFRate(sigma))
        probe = nengo.Probe(ens.neurons)

    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(5)
        _, curves = tuning_curves(ens, sim, inputs=np.array([0]))
    assert np.allclose(sim.data[probe][-1], curves)


def test_soft_lif_gain_bias():
    max_rates, intercepts = np.array([100, 200]), np.array([-0.5, 0.5])
    gain, bias = SoftLIFRate().gain_bias(max_rates, intercepts)
    assert np.allclose((gain, bias), nengo.LIFRate().gain_bias(max_rates, intercepts))


def test_soft_lif_arguments():
    assert str(SoftLIFRate()) == "SoftLIFRate()"
    assert str(SoftLIFRate(0.5, tau_rc=0.1)) == "SoftLIFRate(sigma=0.5, tau_rc=0.1)"
    with pytest.raises(ValidationError, match="sigma"):
        SoftLIFRate(sigma=0)
    with pytest.raises(ValidationError, match="sigma: must be a finite number"):
        SoftLIFRate(sigma=np.nan)
    with pytest.raises(ReadonlyError):
        SoftLIFRate().sigma = 2


def test_leaky_relu_rates():
    assert np.allclose(LeakyReLU(0.1).rates([-2, 2], 1, 0), [[-0.2], [2]])
    assert np.allclose(
        LeakyReLU(0.1, amplitude=0.1).rates([-2, 2], 1, 0), [[-0.02], [0.2]]
    )


@pytest.mark.parametrize("negative_slope, amplitude", [(0.3, 1), (0.1, 0.5)])
def test_leaky_relu_in_nengo(negative_slope, amplitude):
    neurons = LeakyReLU(negative_slope=negative_slope, amplitude=amplitude)
    J = np.linspace(-50, 50, 20)
    with nengo.Network() as net:
        ens = nengo.Ensemble(20, 1, neuron_type=neurons, gain=np.ones(20), bias=J)
        probe = nengo.Probe(ens.neurons)

    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(3)
    expected = amplitude * np.where(J < 0, negative_slope * J, J)
    assert np.allclose(sim.data[probe], expected)


@pytest.mark.parametrize("neurons", [SoftLIFRate(0.3, tau_rc=0.1), LeakyReLU(0.2)])
def test_equality_and_pickling(neurons):
    assert pickle.loads(pickle.dumps(neurons)) == neurons
    assert neurons != type(neurons)()
    assert not neurons.negative
