"""Neurons that only NumPy can run."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo.builder.neurons import SimNeurons
from neuron_builders.custom_types import SquareRoot

import nengo_dl
from nengo_dl.neuron_builders import GenericNeuronBuilder


class NoisyRate(nengo.RectifiedLinear):
    """A type that draws random numbers in NumPy."""

    def make_state(self, n_neurons, rng=np.random, dtype=None):
        return {"rng": np.random.RandomState(rng.randint(2**31 - 1))}

    def step(self, dt, J, output, rng):
        output[...] = J + rng.uniform(size=J.shape)


@pytest.mark.parametrize("minibatch_size", [None, 3])
def test_python_neurons(Simulator, minibatch_size):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: np.sin(100 * t))
        probes = []
        for n in (5, 3):
            ens = nengo.Ensemble(n, 1, neuron_type=SquareRoot())
            nengo.Connection(stim, ens)
            probes += [nengo.Probe(ens.neurons, a) for a in SquareRoot().probeable]

    with pytest.warns(UserWarning, match="native TensorFlow implementation") as record:
        sim = Simulator(net, minibatch_size=minibatch_size)
    messages = [str(w.message) for w in record if "native" in str(w.message)]
    assert len(messages) == 1 and "SquareRoot" in messages[0]
    (ops,) = (ops for ops in sim.tensor_graph.plan if isinstance(ops[0], SimNeurons))
    assert len(ops) == 2
    builder = sim.tensor_graph.op_builder.op_builds[ops]
    assert isinstance(builder.built_neurons, GenericNeuronBuilder)

    with sim, nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(30)
        sim.run_steps(10)
        sim.run_steps(20)
        for probe in probes:
            for data in sim.data[probe] if minibatch_size else [sim.data[probe]]:
                np.testing.assert_allclose(data, ref.data[probe], atol=1e-12)
        sim.run_steps(5, stateful=False)
        before = sim.n_steps
        sim.reset()
        sim.run_steps(30)
        assert before == 30
        for probe in probes:
            for data in sim.data[probe] if minibatch_size else [sim.data[probe]]:
                np.testing.assert_allclose(data, ref.data[probe], atol=1e-12)


def test_random_python_neurons(Simulator):
    def network():
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(dtype="float64")
            ens = nengo.Ensemble(5, 1, neuron_type=NoisyRate())
            return net, nengo.Probe(ens.neurons)

    net, probe = network()
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
        data = sim.data[probe].copy()
        sim.reset()
        sim.run_steps(10)
    np.testing.assert_array_equal(sim.data[probe], data)
    assert np.all(data[0] != data[1])

    net, probe = network()
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(10)
    np.testing.assert_allclose(data[0], ref.data[probe], atol=1e-12)


class FailingNeurons(nengo.RectifiedLinear):
    def step(self, dt, J, output):
        raise ZeroDivisionError("on purpose")


def test_error_of_python_neurons(Simulator):
    with nengo.Network() as net:
        nengo.Probe(nengo.Ensemble(2, 1, neuron_type=FailingNeurons()).neurons)
    with (
        Simulator(net, unroll_simulation=1) as sim,
        pytest.raises(ZeroDivisionError, match="on purpose"),
    ):
        sim.run_steps(2)
