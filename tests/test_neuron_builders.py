"""
Every native neuron type gives the numbers of `nengo.Simulator`, in double precision.

Types that spike at random are in ``test_random_spiking``; those of users, and those
that NumPy runs, in ``test_custom_neurons``.
"""

from __future__ import annotations

import warnings

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
from nengo_dl.neuron_builders import SimNeuronsBuilder
from nengo_dl.neuron_builders.rates import lif_rate
from nengo_dl.neuron_builders.spiking import MAX_SERIES_STEP, log_overshoot, relaxed

# Pairs of neurons of one type, which are merged, with different parameters.
PAIRS = [
    (nengo.RectifiedLinear(), nengo.RectifiedLinear(amplitude=0.5)),
    (nengo.SpikingRectifiedLinear(), nengo.SpikingRectifiedLinear(amplitude=0.5)),
    (nengo.Sigmoid(), nengo.Sigmoid(tau_ref=0.01)),
    (nengo.Tanh(), nengo.Tanh(tau_ref=0.01)),
    (nengo.LIFRate(), nengo.LIFRate(0.05, 0.001, amplitude=0.1)),
    (nengo.LIF(), nengo.LIF(0.05, 0.005, min_voltage=-np.inf, amplitude=0.1)),
    (nengo.LIF(tau_ref=0), nengo.LIF(tau_rc=0.004, min_voltage=-1)),
    (nengo.LIF(initial_state={"voltage": Choice([1.02])}), nengo.LIF()),
    (nengo.LIF(initial_state={"refractory_time": Choice([0.0035])}), nengo.LIF()),
    (nengo.AdaptiveLIFRate(), nengo.AdaptiveLIFRate(tau_n=0.1, inc_n=0.02)),
    (nengo.AdaptiveLIF(), nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.02, amplitude=0.5)),
    (nengo.Izhikevich(), nengo.Izhikevich(0.1, 0.26, -50, 2)),
    (nengo_dl.SoftLIFRate(), nengo_dl.SoftLIFRate(sigma=0.02, amplitude=0.1)),
    (nengo_dl.LeakyReLU(), nengo_dl.LeakyReLU(negative_slope=0.1, amplitude=0.5)),
    (nengo_dl.SpikingLeakyReLU(), nengo_dl.SpikingLeakyReLU(0.1, amplitude=0.5)),
    (
        nengo.RegularSpiking(nengo.Tanh()),
        nengo.RegularSpiking(nengo.LIFRate(), amplitude=0.5),
    ),
]
IDS = [f"{type(x).__name__}{i}" for i, (x, _) in enumerate(PAIRS)]
N_STEPS = 300


def pair_network(pairs):
    """Returns a network with pairs of neurons, its input, and the probes of each."""
    with nengo.Network(seed=0) as net:
        stim = nengo.Node(size_in=0, size_out=1, output=np.zeros(1))
        probes = {}
        for i, pair in enumerate(pairs):
            for j, neuron_type in enumerate(pair):
                ens = nengo.Ensemble(
                    11,
                    1,
                    neuron_type=neuron_type,
                    gain=Uniform(1, 8),
                    bias=Uniform(-2, 3),
                    seed=100 * i + j,
                )
                nengo.Connection(stim, ens, synapse=None)
                probes[i, j] = [
                    nengo.Probe(ens.neurons, attr) for attr in neuron_type.probeable
                ]
    return net, stim, probes


@pytest.fixture(scope="module", params=["compiled", "plain"])
def runs(request):
    """Returns probed data of both simulators, for a minibatch of three."""
    net, stim, probes = pair_network(PAIRS)
    with net:
        nengo_dl.configure_settings(
            dtype="float64", jit_compile=request.param == "compiled"
        )
    times = np.arange(1, N_STEPS + 1) * 0.001
    inputs = np.stack([np.sin(f * times) for f in (5, 20, -90)])[..., None]
    references = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Nengo's, of these gains and biases
        with nengo_dl.Simulator(net, minibatch_size=3, progress_bar=False) as sim:
            sim.run_steps(N_STEPS, data={stim: inputs})
            plan = sim.tensor_graph.plan
        for item in inputs:
            stim.output = lambda t, item=item: item[int(round(t / 0.001)) - 1]
            with nengo.Simulator(net, progress_bar=False) as ref:
                ref.run_steps(N_STEPS)
            references.append(ref)
    return probes, sim, references, plan


@pytest.mark.parametrize("i", range(len(PAIRS)), ids=IDS)
def test_equals_nengo(runs, i):
    probes, sim, references, _ = runs
    # errors grow in these equations, whoever computes them
    is_unstable = isinstance(PAIRS[i][0], nengo.Izhikevich)
    n_steps, tol = (50, 1e-7) if is_unstable else (N_STEPS, 1e-10)
    for j in range(2):
        for probe in probes[i, j]:
            for item, ref in enumerate(references):
                np.testing.assert_allclose(
                    sim.data[probe][item, :n_steps],
                    ref.data[probe][:n_steps],
                    atol=tol,
                    rtol=tol,
                    err_msg=f"{probe}, item {item}",
                )
    assert np.any(sim.data[probes[i, 0][0]])


def test_pairs_are_merged(runs):
    *_, plan = runs
    types = [type(ops[0].neurons) for ops in plan if isinstance(ops[0], SimNeurons)]
    assert len(types) == len(set(types))


def test_all_native_types_are_tested():
    tested = {type(neuron_type) for pair in PAIRS for neuron_type in pair}
    tested |= {nengo.StochasticSpiking, nengo.PoissonSpiking}
    assert tested == set(SimNeuronsBuilder.TF_NEURON_IMPL)


@pytest.mark.filterwarnings("ignore")  # Nengo's, of these gains and biases
def test_single_precision():
    rate_types = [pair for pair in PAIRS if not pair[0].spiking]
    net, _, _ = pair_network(rate_types)
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
