"""
Every native neuron type gives the numbers of `nengo.Simulator`, in double precision.

Random spiking types agree in their statistics.
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

import nengo_dl
from nengo_dl.builder import BuildConfig, Builder
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.neuron_builders import (
    GenericNeuronBuilder,
    LIFBuilder,
    LIFRateBuilder,
    SimNeuronsBuilder,
    SpikingRectifiedLinearBuilder,
    TFNeuronBuilder,
)
from nengo_dl.neuron_builders.random_numbers import poisson, threefry, uniform
from nengo_dl.neuron_builders.rates import lif_rate
from nengo_dl.neuron_builders.spiking import log_overshoot, relaxed
from nengo_dl.signals import SignalDict

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


def test_membrane_series():
    rng = np.random.RandomState(0)
    J = rng.uniform(-50, 100, size=10000)
    v = rng.uniform(-2, 1, size=10000)
    x = rng.uniform(0, 0.1, size=10000)
    expected = v + (v - J) * np.expm1(-x)
    for use_series in (True, False):
        actual = relaxed(tf.constant(v), tf.constant(J), tf.constant(x), use_series)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)

    spiked = expected > 1
    expected, J = expected[spiked], J[spiked]
    for use_series in (True, False):
        actual = log_overshoot(tf.constant(expected), tf.constant(J), use_series)
        np.testing.assert_allclose(
            actual, np.log1p(-(expected - 1) / (J - 1)), rtol=1e-12, atol=0
        )


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


def sim_neurons(neuron_type, n=4, dtype="float64"):
    """Returns a `SimNeurons` operator."""
    rng = np.random.RandomState(0)
    state, extra = {}, {}
    for name, value in neuron_type.make_state(n, rng=rng, dtype=dtype).items():
        if isinstance(value, np.random.RandomState):
            extra[name] = value
        else:
            state[name] = Signal(value, name=name)
    J, output = (Signal(np.zeros(n, dtype), name=name) for name in ("J", "output"))
    return SimNeurons(neuron_type, J, output, {**state, **extra})


def make_builder(
    neuron_type, dtype="float64", minibatch_size=2, training=False, lif_smoothing=None
):
    """Returns a builder of one operator after `build_pre`, and its signals."""
    op = sim_neurons(neuron_type, dtype=dtype)
    signals = SignalDict(dtype, minibatch_size)
    signals.dt, signals.dt_val = tf.constant(0.001, dtype), 0.001
    signals.step = tf.constant(1)
    for i, signal in enumerate(op.all_signals):
        key, n = str(i), signal.shape[0]
        signal.minibatched = True
        signals.get_tensor_signal([(0, n)], key, dtype, (n,), True, signal)
        value = np.broadcast_to(signal.initial_value, (minibatch_size, n))
        signals.bases[key] = tf.constant(value, dtype)
        signals.base_shapes[key] = (minibatch_size, n)
    builder = SimNeuronsBuilder([op])
    rng = np.random.RandomState(0)
    builder.build_pre(signals, BuildConfig(False, lif_smoothing, True, rng, training))
    builder.build_post(signals)
    return builder, signals


def run_builder(J, *args, **kwargs):
    """Returns output and state of one step."""
    builder, signals = make_builder(*args, **kwargs)
    op = builder.ops[0]
    signals.scatter(op.J, tf.broadcast_to(J, (signals.minibatch_size, 4)))
    builder.build_step(signals)
    state = {name: signals.gather(sig) for name, sig in op.state.items()}
    return signals.gather(op.output), state


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


# -- random spiking -------------------------------------------------------------------


def test_threefry():
    # from the known-answer tests of Random123, the implementation of the authors
    zero, ones = tf.constant(0, tf.uint32), tf.constant(0xFFFFFFFF, tf.uint32)
    for word, n_rounds, answer in [
        (zero, 13, (0x9D1C5EC6, 0x8BD50731)),
        (ones, 13, (0xFD36D048, 0x2D17272C)),
        (zero, 20, (0x6B200159, 0x99BA4EFE)),
        (ones, 20, (0x1CB996FC, 0xBB002BE7)),
    ]:
        bits = threefry((word, word), (word, word), n_rounds)
        assert tuple(int(b) for b in bits) == answer


@pytest.mark.parametrize("dtype", [tf.float16, tf.float32, tf.float64])
def test_uniform(dtype):
    def draw(step, seed=5, stream=0):
        return uniform((100, 1000), dtype, seed, tf.constant(step), stream)

    values = draw(7).numpy().astype(float)
    assert values.min() >= 0 and values.max() < 1
    counts, _ = np.histogram(values, bins=16, range=(0, 1))
    assert np.sum((counts - 6250) ** 2 / 6250) < 40  # chi-squared, p = 0.0005
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.01
    for other in (draw(8), draw(7, seed=6), draw(7, stream=1)):
        other = other.numpy().astype(float)
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 0.01
    compiled = tf.function(draw, jit_compile=True)(7)
    np.testing.assert_array_equal(values, compiled)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mean", [0.01, 0.3, 4, 60])
def test_poisson(mean, dtype):
    n = 200000
    draw = tf.function(
        lambda x: poisson(x, seed=3, step_number=tf.constant(2)), jit_compile=True
    )
    sample = draw(tf.fill((n,), tf.constant(mean, dtype))).numpy()
    assert np.all(sample == np.floor(sample)) and np.all(sample >= 0)
    k = np.arange(int(mean + 12 * np.sqrt(mean)) + 10)
    log_factorial = np.concatenate([[0], np.cumsum(np.log(k[1:]))])
    expected = n * np.exp(k * np.log(mean) - mean - log_factorial)
    counts = np.bincount(sample.astype(int), minlength=len(k))
    assert len(counts) == len(k)  # nothing far out
    often = expected > 10
    chi2 = np.sum((counts - expected)[often] ** 2 / expected[often])
    dof = often.sum()
    assert chi2 < dof + 4 * np.sqrt(2 * dof)


def test_poisson_of_extreme_means():
    means = tf.constant([0, np.nan, 1e-30, 2048.0, 1e6, np.inf], tf.float32)
    draw = tf.function(poisson, jit_compile=True)
    sample = draw(means, 0, tf.constant(0)).numpy()
    assert sample[0] == 0 and np.isnan(sample[1]) and sample[2] == 0
    assert abs(sample[3] - 2048) < 300
    assert abs(sample[4] - 1e6) < 300
    assert not np.isfinite(sample[5])


@pytest.mark.parametrize("cls", [nengo.StochasticSpiking, nengo.PoissonSpiking])
@pytest.mark.parametrize("inference_only", [False, True])
def test_random_spiking(Simulator, cls, inference_only):
    n_steps = 1500
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(inference_only=inference_only)
        ens = nengo.Ensemble(
            10,
            1,
            neuron_type=cls(nengo.Tanh(), amplitude=2),
            max_rates=Uniform(100, 380),
        )
        spikes = nengo.Probe(ens.neurons)
        rates = nengo.Probe(ens.neurons, "rate_out")

    with Simulator(net, minibatch_size=8) as sim:
        sim.run_steps(n_steps)
        data = sim.data[spikes].copy()
        expected = 2 * sim.data[rates][0, 0]
        sim.reset()
        sim.run_steps(n_steps // 2)
        sim.run_steps(n_steps - n_steps // 2)
        np.testing.assert_array_equal(sim.data[spikes], data)

    np.testing.assert_array_equal(data / 2000, np.rint(data / 2000))
    mean = data.mean(axis=(0, 1))
    np.testing.assert_allclose(mean, expected, rtol=0.1, atol=8)
    # spikes per step: Bernoulli (or Poisson) variance, different in every item
    p = np.abs(expected) / 2 * 0.001
    variance = p * (1 - p) if cls is nengo.StochasticSpiking else p
    np.testing.assert_allclose(
        (data * 0.001 / 2).var(axis=(0, 1)), variance, rtol=0.15, atol=0.005
    )
    assert np.any(data[0] != data[1]) and np.any(data[:, :700] != data[:, 700:1400])


# -- which builder --------------------------------------------------------------------


class SquareRoot(nengo.RectifiedLinear):
    """A type that only NumPy can run; keeps its last output."""

    state = {"last": Choice([0]), "count": Choice([0])}

    def step(self, dt, J, output, last, count):
        output[...] = np.sqrt(np.maximum(J, 0)) + 0.5 * last
        last[...] = output
        count += 1


class NoisyRate(nengo.RectifiedLinear):
    """A type that draws random numbers in NumPy."""

    def make_state(self, n_neurons, rng=np.random, dtype=None):
        return {"rng": np.random.RandomState(rng.randint(2**31 - 1))}

    def step(self, dt, J, output, rng):
        output[...] = J + rng.uniform(size=J.shape)


class LIFWithOtherDefaults(nengo.LIF):
    def __init__(self, tau_rc=0.05, **kwargs):
        super().__init__(tau_rc=tau_rc, **kwargs)


class DoubledLIF(nengo.LIF):
    def step(self, dt, J, output, voltage, refractory_time):
        super().step(dt, 2 * J, output, voltage, refractory_time)


class BackToLIF(DoubledLIF):
    step = nengo.LIF.step


def builder_of(neuron_type):
    return SimNeuronsBuilder.builder_class(sim_neurons(neuron_type))


def test_subclasses():
    assert builder_of(LIFWithOtherDefaults()) is LIFBuilder
    assert builder_of(BackToLIF()) is LIFBuilder
    assert builder_of(DoubledLIF()) is None
    assert builder_of(SquareRoot()) is None
    changed = nengo.LIF()
    vars(changed)["step"] = lambda *args, **kwargs: None
    state = sim_neurons(nengo.LIF()).state
    op = SimNeurons(changed, Signal(shape=4), Signal(shape=4), state)
    assert SimNeuronsBuilder.builder_class(op) is LIFBuilder  # its exact type counts


@pytest.mark.parametrize("neuron_type", [LIFWithOtherDefaults(), DoubledLIF()])
def test_subclasses_equal_nengo(Simulator, neuron_type):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        ens = nengo.Ensemble(20, 1, neuron_type=neuron_type)
        nengo.Connection(nengo.Node([0.5]), ens)
        probes = [nengo.Probe(ens.neurons, attr) for attr in ("output", "voltage")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sim = Simulator(net)
    with sim, nengo.Simulator(net, progress_bar=False) as ref:
        sim.run_steps(100)
        ref.run_steps(100)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe], ref.data[probe], atol=1e-12)


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


@pytest.mark.filterwarnings("ignore:.*native TensorFlow implementation")
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


@pytest.mark.filterwarnings("ignore:.*native TensorFlow implementation")
def test_error_of_python_neurons(Simulator):
    with nengo.Network() as net:
        nengo.Probe(nengo.Ensemble(2, 1, neuron_type=FailingNeurons()).neurons)
    with Simulator(net) as sim, pytest.raises(ZeroDivisionError, match="on purpose"):
        sim.run_steps(2)


# -- builders of others ---------------------------------------------------------------


class Counting(nengo.RectifiedLinear):
    """Counts steps in one state variable, and sums its input up in the other."""

    state = {"count": Choice([0]), "total": Choice([0])}

    def step(self, dt, J, output, count, total):
        count += 1
        total += J
        output[...] = total + count


class CountingBuilder(TFNeuronBuilder):
    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        self.increment = signals.one

    def step(self, J, dt, count, total):
        count, total = count + self.increment, total + J
        return total + count, count, total


@pytest.fixture
def registered():
    """Restores the registry of neuron builders."""
    before = dict(SimNeuronsBuilder.TF_NEURON_IMPL)
    yield SimNeuronsBuilder.TF_NEURON_IMPL
    SimNeuronsBuilder.TF_NEURON_IMPL.clear()
    SimNeuronsBuilder.TF_NEURON_IMPL.update(before)


def counting_network(neuron_type):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        ens = [nengo.Ensemble(n, 1, neuron_type=neuron_type) for n in (3, 4)]
        probes = [nengo.Probe(e.neurons, a) for e in ens for a in neuron_type.probeable]
    return net, probes


def test_registered_builder(Simulator, registered):
    net, probes = counting_network(Counting())
    registered[Counting] = CountingBuilder
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(20)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(20)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe][1], ref.data[probe], atol=1e-12)


@pytest.mark.parametrize(
    "step, received",
    [
        (lambda self, J, dt, count, total: (J, count), "received: 2"),
        (lambda self, J, dt, count, total: J, "received: no tuple"),
    ],
)
def test_wrong_number_of_values(Simulator, registered, step, received):
    registered[Counting] = type("BadBuilder", (TFNeuronBuilder,), {"step": step})
    net, _ = counting_network(Counting())
    with pytest.raises(
        ValueError, match="must return a tuple with the neuron output.*" + received
    ):
        with Simulator(net) as sim:
            sim.run_steps(1)


def test_unregistered_builder_is_not_cached(registered):
    assert builder_of(Counting()) is None
    registered[Counting] = CountingBuilder
    assert builder_of(Counting()) is CountingBuilder
    registered[Counting] = LIFRateBuilder
    assert builder_of(Counting()) is LIFRateBuilder
    del registered[nengo.LIF]
    assert builder_of(nengo.LIF()) is None


class QuantisedLIF(nengo.LIF):
    """Spikes at the end of steps only, like neurons on digital hardware."""

    def step(self, dt, J, output, voltage, refractory_time):
        delta = np.clip(dt - (refractory_time - dt), 0, dt)
        voltage -= (J - voltage) * np.expm1(-delta / self.tau_rc)
        spiked = voltage > 1
        output[...] = spiked * (self.amplitude / dt)
        voltage[voltage < self.min_voltage] = self.min_voltage
        voltage[spiked] = 0
        refractory_time -= dt
        refractory_time[spiked] = self.tau_ref + dt


class QuantisedLIFBuilder(LIFBuilder):
    """Does what the builders of NengoLoihi's neurons do with their parent."""

    def __init__(self, ops):
        super().__init__(ops)
        self.n_ops = len(ops)

    def build_pre(self, signals, config):
        super().build_pre(signals, config)
        n = sum(op.J.shape[0] for op in self.ops)
        assert isinstance(self.J_data.shape, tuple) and self.J_data.shape == (n,)
        assert self.zeros.shape == (signals.minibatch_size, n)
        for name in ("tau_rc", "tau_ref", "min_voltage", "zero", "one", "epsilon"):
            assert isinstance(getattr(self, name), tf.Tensor)
            assert getattr(self, name).shape in ((), (1, n))
            assert getattr(self, name).dtype == signals.dtype
        assert isinstance(signals.dtype, tf.DType)
        assert (self.amplitude is None) == all(
            op.neurons.amplitude == 1 for op in self.ops
        )
        assert hasattr(self, "sigma") == (config.lif_smoothing is not None)
        self.two_steps = 2 * signals.dt
        self.rate_scale = tf.constant(
            np.ones((1, n), dtype=signals.dtype.as_numpy_dtype)
        )

    def step(self, J, dt, voltage, refractory_time):
        delta = tf.clip_by_value(self.two_steps - refractory_time, self.zero, dt)
        voltage += (voltage - J) * tf.math.expm1(-delta / self.tau_rc)
        spiked = voltage > self.one
        voltage = tf.where(spiked, self.zeros, tf.maximum(voltage, self.min_voltage))
        refractory_time = tf.where(spiked, self.tau_ref + dt, refractory_time - dt)
        return tf.where(spiked, self.alpha, self.zero), voltage, refractory_time

    def training_step(self, J, dt, **state):
        return self.rate_scale * super().training_step(J, dt, **state)


@pytest.mark.parametrize("amplitude", [1, 0.3])
def test_subclass_of_lif_builder(Simulator, registered, amplitude):
    registered[QuantisedLIF] = QuantisedLIFBuilder
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", lif_smoothing=0.2)
        probes = []
        for tau_rc in (0.02, 0.03):
            neuron_type = QuantisedLIF(tau_rc=tau_rc, amplitude=amplitude)
            ens = nengo.Ensemble(6, 1, neuron_type=neuron_type)
            nengo.Connection(nengo.Node([0.7]), ens)
            probes += [nengo.Probe(ens.neurons, a) for a in neuron_type.probeable]
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(100)
    with nengo.Simulator(net, progress_bar=False) as ref:
        ref.run_steps(100)
    for probe in probes:
        np.testing.assert_allclose(sim.data[probe][1], ref.data[probe], atol=1e-12)

    # the training version, including that of the parent
    J = tf.constant([-1.0, 1.0, 1.5, 6.0], tf.float64)
    kwargs = {"training": True, "lif_smoothing": 0.2}
    actual, _ = run_builder(J, QuantisedLIF(amplitude=amplitude), **kwargs)
    soft = nengo_dl.SoftLIFRate(sigma=0.2, amplitude=amplitude)
    np.testing.assert_allclose(actual, run_builder(J, soft)[0])


def test_subclass_of_spiking_relu_builder(Simulator, registered):
    class NegatedReLU(nengo.SpikingRectifiedLinear):
        def step(self, dt, J, output, voltage):
            super().step(dt, -J, output, voltage)

    class NegatedReLUBuilder(SpikingRectifiedLinearBuilder):
        def step(self, J, dt, voltage):
            return super().step(-J, dt, voltage)

        def training_step(self, J, dt, **state):
            return super().training_step(-J, dt, **state)

    registered[NegatedReLU] = NegatedReLUBuilder
    J = tf.constant([-1000.0, 1.0, -500, 6.0], tf.float64)
    output, _ = run_builder(J, NegatedReLU())
    np.testing.assert_array_equal(output.numpy()[:, [0, 1, 3]], [[1000, 0, 0]] * 2)
    output, _ = run_builder(J, NegatedReLU(), training=True)
    np.testing.assert_array_equal(output[0], [1000, 0, 500, 0])


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


def test_mergeable():
    lif = dummy_op(nengo.LIF())
    assert mergeable(dummy_op(nengo.LIF(amplitude=2)), [lif])
    assert mergeable(dummy_op(nengo.LIF(), n=3), [lif])
    assert not mergeable(dummy_op(nengo.LIFRate()), [lif])
    assert not mergeable(dummy_op(nengo.Izhikevich()), [lif])
    assert not mergeable(dummy_op(LIFWithOtherDefaults()), [lif])
    generic = dummy_op(SquareRoot())
    assert mergeable(dummy_op(SquareRoot()), [generic])
    assert not mergeable(dummy_op(NoisyRate()), [generic])
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
