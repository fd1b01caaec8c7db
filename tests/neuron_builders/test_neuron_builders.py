"""
Builders of neurons: formulas, training versions, and what is merged.

That they give the numbers of Nengo is in ``test_reference``. Types that spike at random
are in ``test_random_spiking``; those of users, and those that NumPy runs, in
``test_custom_neurons``.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder import Signal
from nengo.builder.neurons import SimNeurons
from nengo.dists import Choice, Uniform
from neuron_oracle import make_builder, run_builder, sim_neurons

import nengo_dl
from nengo_dl.builder import Builder
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.neuron_builders.rates import lif_rate
from nengo_dl.neuron_builders.spiking import MAX_SERIES_STEP, log_overshoot, relaxed

RATE_TYPES = [
    nengo.RectifiedLinear(),
    nengo.Sigmoid(),
    nengo.Tanh(),
    nengo.LIFRate(),
    nengo.AdaptiveLIFRate(),
    nengo_dl.SoftLIFRate(),
    nengo_dl.LeakyReLU(),
]


@pytest.mark.filterwarnings("ignore")  # Nengo's, of these gains and biases
def test_single_precision():
    with nengo.Network(seed=0) as net:
        stim = nengo.Node([0.5])
        for neuron_type in RATE_TYPES:
            ens = nengo.Ensemble(
                11,
                1,
                neuron_type=neuron_type,
                gain=Uniform(1, 8),
                bias=Uniform(-2, 3),
            )
            nengo.Connection(stim, ens, synapse=None)
            nengo.Probe(ens.neurons)
    with nengo_dl.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(20)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    for probe in net.all_probes:
        np.testing.assert_allclose(
            sim.data[probe], ref.data[probe], rtol=1e-4, atol=1e-5
        )


# -- the formulas ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("use_series", [True, False])
def test_membrane_series(dtype, use_series):
    """All steps up to the longest for which series are used, to a few roundings."""
    tol = {"float32": 5e-7, "float64": 1e-13}[dtype]
    rng = np.random.RandomState(0)
    n = 100_000
    near_threshold = 1 + 10 ** rng.uniform(-5, 6, size=n)
    J = np.concatenate([rng.uniform(-50, 100, size=n), near_threshold]).astype(dtype)
    v = rng.uniform(-2, 1, size=2 * n).astype(dtype)
    x = rng.uniform(0, MAX_SERIES_STEP, size=2 * n).astype(dtype)

    actual = relaxed(*map(tf.constant, (v, J, x)), use_series).numpy()
    v, J64, x = (array.astype("float64") for array in (v, J, x))
    expected = v + (v - J64) * np.expm1(-x)
    scale = np.abs(v) + np.abs(J64 - v) * x
    assert np.max(np.abs(actual - expected) / scale) < tol

    spiked = (actual > 1) & (actual < J)
    assert np.sum(spiked) > n / 2
    v, J = actual[spiked], J[spiked]
    times = log_overshoot(tf.constant(v), tf.constant(J), use_series).numpy()
    v, J = v.astype("float64"), J.astype("float64")
    np.testing.assert_allclose(times, np.log1p(-(v - 1) / (J - 1)), rtol=tol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("J", [1.0, 0.999, 0.5])
def test_no_spike_without_suprathreshold_input(dtype, J):
    J = tf.constant(J, dtype)
    v = tf.constant(np.random.RandomState(0).uniform(0, 1, 1000), dtype)

    @tf.function(jit_compile=True)
    def settle(v, x):
        return tf.while_loop(
            lambda i, v: i < 5000, lambda i, v: (i + 1, relaxed(v, J, x, True)), (0, v)
        )[1]

    for x in np.random.RandomState(1).uniform(0.001, 0.1, 10):
        v = settle(v, tf.constant(x, dtype))
        assert np.all(v.numpy() <= 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lif_rate_gradient_is_finite(dtype):
    epsilon = make_builder(nengo.LIFRate(), dtype)[0].built_neurons.epsilon
    eps = np.finfo(dtype).eps
    J = tf.constant([-np.inf, -1e4, 0, 1 - eps, 1, 1 + eps, 1.1, 2, 10], dtype)
    tau_rc, tau_ref = tf.constant(0.02, dtype), tf.constant(0.002, dtype)
    with tf.GradientTape() as tape:
        tape.watch(J)
        rates = lif_rate(J, tau_rc, tau_ref, epsilon)
    gradient = tape.gradient(rates, J).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient[:5] == 0) and np.all(gradient[6:8] > 0)


# -- single builders ------------------------------------------------------------------


TRAINING_VERSIONS = [
    (nengo.LIF(amplitude=0.1), nengo.LIFRate(amplitude=0.1), {}),
    (nengo.LIF(), nengo_dl.SoftLIFRate(sigma=0.5), {"lif_smoothing": 0.5}),
    (
        nengo.SpikingRectifiedLinear(amplitude=0.1),
        nengo.RectifiedLinear(amplitude=0.1),
        {},
    ),
    (nengo_dl.SpikingLeakyReLU(0.2), nengo_dl.LeakyReLU(0.2), {}),
    (nengo.AdaptiveLIF(), nengo.LIFRate(), {}),
    (
        nengo.AdaptiveLIF(initial_state={"adaptation": Choice([0.5])}),
        nengo.AdaptiveLIFRate(initial_state={"adaptation": Choice([0.5])}),
        {},
    ),
]


@pytest.mark.parametrize("spiking, rate, kwargs", TRAINING_VERSIONS, ids=str)
def test_training_version(spiking, rate, kwargs):
    J = tf.constant([-1.0, 1.0, 1.5, 6.0], tf.float64)
    outputs, gradients = [], []
    for neuron_type in (spiking, rate):
        with tf.GradientTape() as tape:
            tape.watch(J)
            output, state = run_builder(J, neuron_type, training=True, **kwargs)
        outputs.append(output)
        gradients.append(tape.gradient(output, J))
        if neuron_type is spiking:
            initial = make_builder(spiking)[0].ops[0].state
            for name, value in state.items():
                np.testing.assert_array_equal(value[1], initial[name].initial_value)
    np.testing.assert_allclose(*outputs)
    np.testing.assert_allclose(*gradients)
    assert np.all(np.isfinite(gradients[0])) and np.any(gradients[0])


@pytest.mark.parametrize(
    "cls", [nengo.RegularSpiking, nengo.StochasticSpiking, nengo.PoissonSpiking]
)
def test_training_version_of_rates_to_spikes(cls):
    J = tf.constant([-10.0, 0.0, 5.0, 200.0], tf.float64)
    output, _ = run_builder(J, cls(nengo.Tanh(), amplitude=0.1), training=True)
    np.testing.assert_allclose(output[1], [-1, 0, 0.5, 20])


@pytest.mark.parametrize("inference_only", [False, True])
def test_regular_spiking(inference_only, Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(inference_only=inference_only)
        inp = nengo.Node([0.5])
        for neuron_type in (
            nengo.RegularSpiking(nengo.RectifiedLinear(), amplitude=2),
            nengo.SpikingRectifiedLinear(amplitude=2),
        ):
            ens = nengo.Ensemble(10, 1, neuron_type=neuron_type, seed=0)
            nengo.Connection(inp, ens, synapse=None)
            nengo.Probe(ens.neurons)
    with Simulator(net) as sim:
        sim.run_steps(50)
        actual, expected = (sim.data[probe] for probe in net.all_probes)
    assert np.any(expected)
    np.testing.assert_allclose(actual, expected)


def test_no_gradient_through_izhikevich():
    J = tf.constant([-10.0, 0.0, 5.0, 2000.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(J)
        output, _ = run_builder(J, nengo.Izhikevich(), training=True)
    assert output[0, 3] == 1000
    assert tape.gradient(output, J) is None


@pytest.mark.parametrize("neuron_type", [nengo.LIF(), nengo.Izhikevich()])
def test_input_without_minibatch_axis(neuron_type):
    builder, signals = make_builder(neuron_type)
    op = builder.ops[0]
    J = tf.constant([-1.0, 1.0, 6.0, 60.0], tf.float64)
    op.J.minibatched = False
    signals.get_tensor_signal([(0, 4)], "J", "float64", (4,), False, op.J)
    signals.bases["J"], signals.base_shapes["J"] = J, (4,)
    builder.build_pre(signals, builder.config)
    builder.build_step(signals)
    expected, _ = run_builder(J, neuron_type)
    np.testing.assert_array_equal(signals.gather(op.output), expected)


# -- merging --------------------------------------------------------------------------


def dummy_op(neuron_type, n=1, state_shape=None, dtype="float32"):
    """Returns an operator whose signals all have the given shape and type."""
    shape = (n,) if state_shape is None else state_shape
    state = {"voltage": Signal(np.zeros(shape, dtype))}
    op = SimNeurons(
        neuron_type,
        Signal(np.zeros(n, dtype="float32")),
        Signal(np.zeros(n, dtype="float32")),
        state,
    )
    for signal in op.all_signals:
        signal.trainable, signal.minibatched = None, True
    return op


class SubclassOfLIF(nengo.LIF):
    pass


class NumPyOnly(nengo.LIF):
    def step(self, dt, J, output, voltage):
        output[...] = J


class OtherNumPyOnly(NumPyOnly):
    pass


def test_mergeable():
    lif = dummy_op(nengo.LIF())
    assert mergeable(dummy_op(nengo.LIF(amplitude=2)), [lif])
    assert mergeable(dummy_op(nengo.LIF(), n=3), [lif])
    assert not mergeable(dummy_op(nengo.LIFRate()), [lif])
    assert not mergeable(dummy_op(nengo.Izhikevich()), [lif])
    assert not mergeable(dummy_op(SubclassOfLIF()), [lif])
    generic = dummy_op(NumPyOnly())
    assert mergeable(dummy_op(NumPyOnly()), [generic])
    assert not mergeable(dummy_op(OtherNumPyOnly()), [generic])
    assert not mergeable(generic, [lif])


def test_mergeable_states():
    lif = dummy_op(nengo.LIF())
    assert not mergeable(dummy_op(nengo.LIF(), dtype="int32"), [lif])
    assert mergeable(dummy_op(nengo.LIF(), state_shape=(2,)), [lif])
    assert not mergeable(dummy_op(nengo.LIF(), state_shape=(1, 2)), [lif])


def test_carried():
    op = sim_neurons(nengo.LIF())
    assert Builder.builder_of(op).carried(op) == list(op.state.values())
    op = sim_neurons(nengo.LIFRate())
    assert Builder.builder_of(op).carried(op) == []
