"""Neurons of NengoBio: operators with several inputs, and state outside of signals."""

from __future__ import annotations

import importlib
import warnings

import nengo
import numpy as np
import pytest

import nengo_dl

bio = pytest.importorskip("nengo_bio")


@pytest.fixture(autouse=True)
def in_python(monkeypatch):
    """Neurons do without a C++ compiler."""
    module = importlib.import_module("nengo_bio.internal.multi_compartment_lif_cpp")
    monkeypatch.setattr(module, "supports_cpp", lambda: False)


@pytest.mark.parametrize("neuron_type", ["LIF", "LIFCond", "TwoCompLIF"])
def test_nengo_bio(Simulator, neuron_type):
    neuron_type = getattr(bio.neurons, neuron_type)()
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        stim = nengo.Node(lambda t: np.sin(20 * t))
        pre, post = (
            bio.Ensemble(
                n_neurons=10,
                dimensions=1,
                p_exc=0.8,
                neuron_type=neuron_type,
                max_rates=nengo.dists.Uniform(50, 100),
                seed=i,
            )
            for i in range(2)
        )
        nengo.Connection(stim, pre)
        bio.Connection(pre, post)
        probe = nengo.Probe(post.neurons)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with nengo.Simulator(net, progress_bar=False) as ref:
            ref.run_steps(100)
        with Simulator(net, minibatch_size=2) as sim:
            sim.run_steps(100)
    assert ref.data[probe].any()
    for values in sim.data[probe]:
        np.testing.assert_allclose(values, ref.data[probe], atol=1e-9)
