import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.benchmarks.spiking_training import BETA, Task, leaky_neurons, network
from nengo_dl.neuron_builders import SimNeuronsBuilder

TASK = Task((6, 8, 8, 2), n_steps=60, minibatch=2)


@pytest.fixture
def net(monkeypatch):
    impl = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    monkeypatch.setattr(SimNeuronsBuilder, "TF_NEURON_IMPL", impl)
    return network(TASK, leaky_neurons())


def model_by_hand(x):
    """Return the output of the model, whose equations are in the docstring."""
    *layers, readout = TASK.weights()
    for weights in layers:
        voltage, spikes = 0, []
        for J in x @ weights.T:
            voltage = BETA * voltage + J
            spikes.append(voltage > 1)
            voltage = voltage * (1 - spikes[-1])
        x = np.array(spikes, dtype=float)
    return x @ readout.T


def test_network_is_the_model(net):
    (x, _) = TASK.data()
    x = np.asarray(x[0], dtype=float)
    expected = model_by_hand(x)
    assert np.count_nonzero(expected.any(axis=1)) > 3  # there are spikes
    net.inp.output = nengo.processes.PresentInput(x, 0.001)
    with net:
        nengo_dl.configure_settings(dtype="float64")
    options = {"unroll_simulation": 1, "device": "/cpu:0"}
    for simulator, kwargs in ((nengo.Simulator, {}), (nengo_dl.Simulator, options)):
        with simulator(net, progress_bar=False, **kwargs) as sim:
            sim.run_steps(len(x))
        np.testing.assert_allclose(sim.data[net.p], expected, atol=1e-12)


@pytest.mark.training
def test_everything_is_trained(net):
    """Gradients flow through the spikes, to the weights and biases of all layers."""
    x, y = (values[: TASK.minibatch] for values in TASK.data())
    with nengo_dl.Simulator(
        net, minibatch_size=2, unroll_simulation=1, progress_bar=False, device="/cpu:0"
    ) as sim:
        before = [np.array(w) for w in sim.keras_model.trainable_weights]
        sim.compile("sgd", loss="mse")
        sim.fit({net.inp: x}, {net.p: y}, verbose=0)
        after = [np.array(w) for w in sim.keras_model.trainable_weights]
    changes = [np.abs(b - a).max() for a, b in zip(before, after)]
    assert len(changes) >= 3 and min(changes) > 0
