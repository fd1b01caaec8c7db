"""The builders of NengoExtras for NengoLoihi's neurons, which replace ours."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.neuron_builders import SimNeuronsBuilder

pytest.importorskip("nengo_extras")
neurons = pytest.importorskip("nengo_loihi.neurons")


@pytest.mark.training
@pytest.mark.parametrize("name", ["LoihiLIF", "LoihiSpikingRectifiedLinear"])
def test_their_builders_win(name, Simulator):
    neuron_type = getattr(neurons, name)()
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node([0.5])
        ens = nengo.Ensemble(30, 1, neuron_type=neuron_type)
        nengo.Connection(stim, ens, synapse=None)
        output = nengo.Node(size_in=1)
        nengo.Connection(ens, output, synapse=None)
        probe = nengo.Probe(output, synapse=0.01)
    builder = SimNeuronsBuilder.TF_NEURON_IMPL[type(neuron_type)]
    assert builder.__module__.startswith("nengo_extras")

    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(50)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(50)
        np.testing.assert_allclose(sim.data[probe], reference.data[probe], atol=1e-6)
        sim.compile(tf.optimizers.SGD(1e-6), loss="mse")
        history = sim.fit(n_steps=50, y=np.zeros((1, 50, 1)), epochs=3, verbose=0)
        loss = history.history["loss"]
    assert loss[-1] < loss[0]
