"""
Neurons of NengoBio: operators with several inputs, and state outside of signals.

Its connections to these neurons cannot be built with Nengo 4, so that the inputs are
connected here.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from nengo.builder.operator import Copy

import nengo_dl

bio = pytest.importorskip("nengo_bio")


def build(neuron_type):
    """Return a new model, since operators keep the state of the neurons."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: 1e-7 * np.abs(np.sin(20 * t + np.arange(5))))
        ens = bio.Ensemble(
            n_neurons=5,
            dimensions=1,
            neuron_type=neuron_type,
            max_rates=nengo.dists.Uniform(50, 100),
        )
        probe = nengo.Probe(ens.neurons)
    model = nengo.builder.Model()
    model.build(net)
    excitation = model.sig[ens.neurons]["in_0"]
    model.add_op(Copy(model.sig[stim]["out"], excitation, inc=True))
    return model, probe


@pytest.mark.parametrize("name", ["LIF", "LIFCond", "TwoCompLIF"])
def test_nengo_bio(Simulator, name):
    neuron_type = getattr(bio.neurons, name)()
    model, probe = build(neuron_type)
    with nengo.Simulator(None, model=model, progress_bar=False) as ref:
        ref.run_steps(100)
    expected = ref.data[probe]
    assert expected.any()

    model, probe = build(neuron_type)
    with Simulator(None, model=model, minibatch_size=2) as sim:
        sim.run_steps(40)
        sim.run_steps(60)
    for values in sim.data[probe]:
        np.testing.assert_array_equal(values, expected)
