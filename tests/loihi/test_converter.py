"""Networks from Keras models in NengoLoihi's emulator."""

from __future__ import annotations

import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.converter.report.loihi import loihi_issues

nengo_loihi = pytest.importorskip("nengo_loihi")

N_ITEMS, N_STEPS = 5, 400


def test_dense_layers():
    """Nothing is in the way, and the emulator puts out what the Keras model does."""
    keras.utils.set_random_seed(0)
    inp = keras.Input((6,))
    hidden = keras.layers.Dense(20, activation="relu")(inp)
    hidden = keras.layers.Dense(15, activation="relu")(hidden)
    model = keras.Model(inp, keras.layers.Dense(3)(hidden))
    converter = nengo_dl.Converter(
        model,
        allow_fallback=False,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
        scale_firing_rates=100,
        synapse=0.01,
    )
    assert loihi_issues(converter.net) == []

    x = np.random.RandomState(0).uniform(size=(N_ITEMS, 6))
    expected = model(x.astype(np.float32)).numpy()
    node, probe = converter.inputs[inp], converter.outputs[model.outputs[0]]
    found = []
    for item in x:
        node.output = item
        with nengo_loihi.Simulator(
            converter.net, target="sim", progress_bar=False
        ) as sim:
            sim.run_steps(N_STEPS)
        found.append(sim.data[probe][N_STEPS // 2 :].mean(axis=0))
    errors = np.array(found) - expected
    assert np.sqrt(np.mean(errors**2)) < 0.15 * np.std(expected)
