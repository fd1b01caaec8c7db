"""In training, spiking neurons put out their rates."""

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl

pytestmark = pytest.mark.training


def gradients_of(sim, x):
    """Gradients of the sum of all outputs, by the name of the parameter."""
    model = sim.keras_model
    graph = sim.tensor_graph
    with tf.GradientTape() as tape:
        outputs = model([tf.convert_to_tensor(v) for v in x], training=True)
        total = tf.add_n([tf.reduce_sum(value) for value in outputs[:-1]])
    values = [v.value for v in graph.trainable_variables]
    return tape.gradient(total, values)


@pytest.mark.parametrize(
    "spiking, rate, settings",
    [
        (nengo.LIF(), nengo.LIFRate(), {}),
        (nengo.LIF(amplitude=0.1), nengo.LIFRate(amplitude=0.1), {}),
        (nengo.SpikingRectifiedLinear(), nengo.RectifiedLinear(), {}),
        (nengo_dl.SpikingLeakyReLU(0.1), nengo_dl.LeakyReLU(0.1), {}),
        (nengo.RegularSpiking(nengo.Sigmoid()), nengo.Sigmoid(), {}),
        (nengo.PoissonSpiking(nengo.LIFRate()), nengo.LIFRate(), {}),
        (nengo.StochasticSpiking(nengo.Tanh()), nengo.Tanh(), {}),
        (
            nengo.LIF(),
            nengo_dl.SoftLIFRate(sigma=0.5),
            {"lif_smoothing": 0.5, "dtype": "float64"},
        ),
    ],
    ids=str,
)
def test_spiking_neurons_train_as_rate_neurons(spiking, rate, settings, Simulator):
    gradients, outputs = [], []
    x = np.random.RandomState(0).uniform(-1, 1, size=(2, 4, 1)).astype("float32")
    for neuron_type in (spiking, rate):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(**settings)
            inp = nengo.Node([0])
            ens = nengo.Ensemble(20, 1, neuron_type=neuron_type)
            nengo.Connection(inp, ens, synapse=None)
            probe = nengo.Probe(ens.neurons, synapse=0.01)
        with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
            graph = sim.tensor_graph
            inputs = [x, np.full((2, 1), 4, np.int32)]
            gradients.append(gradients_of(sim, inputs))
            outputs.append(graph([tf.constant(v) for v in inputs], training=True)[0])
            assert probe in graph.program.probes
    assert np.abs(outputs[0]).max() > 0
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-5)
    assert len(gradients[0]) > 1
    for spiking_gradient, rate_gradient in zip(*gradients):
        assert np.isfinite(spiking_gradient).all() and np.any(spiking_gradient)
        np.testing.assert_allclose(spiking_gradient, rate_gradient, rtol=1e-5)


def test_lif_smoothing(Simulator):
    """With smoothing, neurons below threshold have gradients."""
    found = []
    for sigma in (None, 1.0):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(lif_smoothing=sigma)
            ens = nengo.Ensemble(1, 1, gain=[1], bias=[0.5], encoders=[[1]])
            nengo.Probe(ens.neurons)
        with Simulator(net, unroll_simulation=1) as sim:
            gradients = gradients_of(sim, [np.full((1, 1), 1, np.int32)])
            found.append(max(np.abs(g).max() for g in gradients if g is not None))
    assert found[0] == 0 and found[1] > 0


def test_learning_phase(Simulator):
    for learning_phase, expected in ((True, 1.0), (None, 0.0)):
        with nengo.Network(seed=0) as net:
            nengo_dl.configure_settings(learning_phase=learning_phase)
            ens = nengo.Ensemble(
                1,
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=nengo.dists.Choice([1]),
                bias=nengo.dists.Choice([1]),
            )
            probe = nengo.Probe(ens.neurons)
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(10)
            np.testing.assert_allclose(sim.data[probe], expected)
            np.testing.assert_allclose(
                sim.predict(n_steps=10, verbose=0)[probe], expected
            )
