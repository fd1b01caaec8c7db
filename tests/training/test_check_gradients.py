"""`check_gradients` compares gradients with differences of the output."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

import nengo_dl

pytestmark = pytest.mark.training


# (in XLA: `test_gradients_of_neurons`)
def test_check_gradients(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", jit_compile=False)
        net.config[nengo.Ensemble].neuron_type = nengo_dl.SoftLIFRate()
        net.config[nengo.Connection].synapse = nengo.synapses.Alpha(0.1)
        a, b = nengo.Node([0]), nengo.Node([0, 0])
        ens = nengo.Ensemble(6, 2)
        out = nengo.Ensemble(5, 1)
        nengo.Connection(a, ens[0], synapse=None)
        nengo.Connection(b[1], ens[1])
        nengo.Connection(ens, ens)
        nengo.Connection(ens, out, function=lambda x: x[0], synapse=None)
        solver = nengo.solvers.LstsqL2(weights=True)
        nengo.Connection(b, out, function=lambda x: x[0] * x[1])
        nengo.Connection(ens[0], out, solver=solver)
        probes = [nengo.Probe(ens), nengo.Probe(out)]
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        sim.run_steps(2)
        gradients = sim.check_gradients(atol=1e-3)
        assert list(gradients) == probes
        assert np.any(gradients[probes[0]]["analytic"][0])
        assert sim.n_steps == 2
        inputs = [np.ones((2, 4, 1)), np.ones((2, 4, 2))]
        assert list(sim.check_gradients(inputs, [probes[1]], atol=1e-3)) == [probes[1]]
        for bad_inputs, bad_outputs, message in (
            (inputs, [net], "is not a Probe of this network"),
            (inputs, probes[0], "pass a list of Probes"),
            ([], None, r"each of the Nodes \['node', 'node_1'\].*received 0 arrays"),
            (inputs[0], None, "received 1 arrays"),
            (3, None, r"shape \(2, n_steps, 1\), \(2, n_steps, 2\)"),
            (inputs[::-1], None, "have 2 values per step"),
            ([x[:1] for x in inputs], None, r"Batch size of data \(1\)"),
            ([x[..., 0] for x in inputs], None, "should have rank 3"),
            ([x * np.nan for x in inputs], None, "contain NaN"),
        ):
            with pytest.raises(ValidationError, match=message):
                sim.check_gradients(bad_inputs, bad_outputs)


def test_gradients_through_unrolled_steps(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", jit_compile=False)
        inp = nengo.Node([0])
        ens = nengo.Ensemble(6, 1, neuron_type=nengo_dl.SoftLIFRate())
        nengo.Connection(inp, ens, synapse=None)
        nengo.Connection(ens, ens, synapse=nengo.synapses.Alpha(0.1))
        probe = nengo.Probe(ens)
    with Simulator(net, minibatch_size=2, unroll_simulation=2) as sim:
        (jacobian,) = sim.check_gradients(atol=1e-3)[probe]["analytic"]
        assert np.any(jacobian)
        # two times two steps; later ones depend on earlier ones
        gradients = sim.check_gradients([np.ones((2, 4, 1))], atol=1e-3)
        jacobian = gradients[probe]["analytic"][0].reshape(2, 4, 2, 4)
        assert np.all(jacobian[0, [1, 2, 3], 0, 0] != 0)
        assert not np.any(jacobian[0, :, 1])


@pytest.mark.parametrize("amplitude", [1, 0.1])
@pytest.mark.parametrize(
    "cls, kwargs",
    [
        (nengo.LIFRate, {}),
        (nengo.RectifiedLinear, {}),
        (nengo_dl.SoftLIFRate, {"sigma": 0.1}),
    ],
)
def test_gradients_of_neurons(cls, kwargs, amplitude, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        inp = nengo.Node([0])
        ens = nengo.Ensemble(10, 1, neuron_type=cls(amplitude=amplitude, **kwargs))
        nengo.Connection(inp, ens, synapse=None)
        probe = nengo.Probe(ens.neurons)
    with Simulator(net, unroll_simulation=1) as sim:
        gradients = sim.check_gradients(atol=1e-4)
        assert np.abs(gradients[probe]["analytic"][0]).max() > 1


def test_wrong_gradients(Simulator):
    with nengo.Network() as net:
        a, b = nengo.Node([0]), nengo.Node(lambda t, x: x**2 + x, size_in=1)
        nengo.Connection(a, b, synapse=None)
        nengo.Probe(b)
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="Gradient check failed"):
            sim.check_gradients()
    with nengo.Network() as net:
        a = nengo.Node([0])
        nengo.Probe(nengo_dl.Layer(lambda x: 1 / x)(a))
    with Simulator(net, unroll_simulation=1) as sim:
        with pytest.raises(SimulationError, match="NaNs detected"):
            sim.check_gradients()
