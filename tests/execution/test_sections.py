"""Sections against the steps that they stand for, which Nengo's simulator runs."""

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.builder.neurons import SimNeurons

import nengo_dl
from nengo_dl import transform_builders
from nengo_dl.builder import build_model
from nengo_dl.config import Settings
from nengo_dl.execution import engine
from nengo_dl.graph.program import compile_model
from nengo_dl.graph_optimizer import default_simplifications, scale_convolutions
from nengo_dl.neuron_builders import LIFBuilder, SimNeuronsBuilder

N_STEPS = 150  # more than two blocks, and not a multiple of any


def settings(**kwargs):
    nengo_dl.configure_settings(dtype="float64", layerwise=True, **kwargs)


def feedforward(net):
    inp = nengo.Node(lambda t: [np.sin(40 * t), t])
    a, b = nengo.Ensemble(20, 2), nengo.Ensemble(30, 1)
    a.noise = nengo.processes.WhiteNoise(seed=1)
    nengo.Connection(inp, a, synapse=None)
    weights = np.random.RandomState(0).uniform(-0.01, 0.01, (30, 20))
    nengo.Connection(a.neurons, b.neurons, transform=weights, synapse=nengo.Alpha(0.01))
    return [
        (inp, {}),
        (a, {"synapse": 0.01}),
        (a.neurons, {}),
        (a.neurons, {"attr": "voltage"}),
        (b.neurons, {"attr": "input", "sample_every": 0.003}),
        (b.neurons[:3], {}),
        (b, {}),
    ]


def recurrent(net):
    inp = nengo.Node([0.5])
    a, b = nengo.Ensemble(20, 1, neuron_type=nengo.AdaptiveLIF()), nengo.Ensemble(20, 1)
    relu = nengo.Ensemble(20, 1, neuron_type=nengo.RectifiedLinear())
    nengo.Connection(inp, a)
    nengo.Connection(a, b, synapse=None)
    nengo.Connection(a, b, synapse=0)
    nengo.Connection(b, b, function=np.square, synapse=0.02)
    nengo.Connection(b, relu, function=lambda x: x**2)
    nengo.Connection(relu, a, transform=-0.1)
    return [(a, {}), (b, {"synapse": 0.01}), (relu.neurons, {}), (relu, {})]


def learning(net):
    inp = nengo.Node(lambda t: np.cos(30 * t))
    a, b, error = nengo.Ensemble(20, 1), nengo.Ensemble(20, 1), nengo.Node(size_in=1)
    conn = nengo.Connection(inp, a, learning_rule_type=nengo.Voja(), synapse=None)
    pes = nengo.Connection(a, b, learning_rule_type=nengo.PES())
    nengo.Connection(b, error)
    nengo.Connection(inp, error, transform=-1)
    nengo.Connection(error, pes.learning_rule)
    return [
        (a.neurons, {}),
        (b, {}),
        (pes, {"attr": "weights"}),
        (conn.learning_rule, {"attr": "scaled_encoders", "sample_every": 0.01}),
    ]


def add_channel_biases(neurons, shape):
    """Like a converter; here, they are multiplied with a function of time."""
    number = nengo.Node(lambda t: np.sin(20 * t))
    image = nengo.Node(size_in=shape.size // shape.n_channels)
    nengo.Connection(number, image, transform=np.ones((image.size_in, 1)), synapse=None)
    biases = nengo.Convolution(
        shape.n_channels,
        (image.size_in, 1),
        kernel_size=(1,),
        strides=(1,),
        init=np.linspace(-1, 1, shape.n_channels).reshape((1, 1, -1)),
    )
    nengo.Connection(image, neurons, transform=biases, synapse=None)


def convolutional(net):
    inp = nengo.Node(np.linspace(-1, 1, 36))
    conv = nengo.Convolution(3, (6, 6, 1), strides=(2, 2))
    a = nengo.Ensemble(conv.output_shape.size, 1, neuron_type=nengo.LIFRate())
    nengo.Connection(inp, a.neurons, transform=conv, synapse=None)
    add_channel_biases(a.neurons, conv.output_shape)
    sparse = nengo.Sparse((4, a.n_neurons), indices=[(0, 1), (3, 2)], init=[1, 2])
    out = nengo.Node(size_in=4)
    nengo.Connection(a.neurons, out, transform=sparse)
    return [(a.neurons, {}), (out, {})]


def spiking(net, neuron_type=None):
    """Layers of neurons whose rates are trained, one of them with its state probed."""
    inp = nengo.Node(np.linspace(-1, 1, 36))
    first = nengo.Convolution(3, (6, 6, 1))
    second = nengo.Convolution(2, first.output_shape, kernel_size=(2, 2))
    kinds = neuron_type or nengo.LIF(), neuron_type or nengo.SpikingRectifiedLinear()
    a, b, c = (
        nengo.Ensemble(size, 1, neuron_type=kind, gain=[2] * size, bias=[1.5] * size)
        for size, kind in [
            (first.output_shape.size, kinds[0]),
            (second.output_shape.size, kinds[1]),
            (4, nengo.AdaptiveLIF()),
        ]
    )
    out = nengo.Node(size_in=2)
    nengo.Connection(inp, a.neurons, transform=first, synapse=None)
    nengo.Connection(a.neurons, b.neurons, transform=second, synapse=0.01)
    nengo.Connection(b.neurons, c.neurons, transform=np.full((4, b.n_neurons), 0.01))
    last = nengo.Connection(
        c.neurons, out, transform=np.full((2, 4), 0.1), synapse=0.02
    )
    nengo_dl.configure_settings(training_synapse=None)
    net.config[nengo.Connection].training_synapse = None
    net.config[last].training_synapse = 0.01
    return [(b.neurons[:2], {"attr": "voltage"}), (a.neurons, {}), (out, {})]


def large(net):
    """So large that it is chosen, with a synapse that is not trained in a loop."""
    nengo_dl.configure_settings(layerwise="auto", training_synapse=None)
    inp, out = nengo.Node(np.linspace(-1, 1, 400)), nengo.Node(size_in=288)
    conv = nengo.Convolution(32, (20, 20, 1))
    pooled = nengo.Convolution(8, conv.output_shape, strides=(3, 3))
    a, b = (
        nengo.Ensemble(size, 1, neuron_type=kind, gain=[2] * size, bias=[1.5] * size)
        for size, kind in [
            (conv.output_shape.size, nengo.LIF()),
            (pooled.output_shape.size, nengo.AdaptiveLIF(amplitude=0.01)),
        ]
    )
    nengo.Connection(inp, a.neurons, transform=conv, synapse=None)
    nengo.Connection(a.neurons, b.neurons, transform=pooled)
    filtered = nengo.Connection(b.neurons, out[: b.n_neurons], synapse=0.01)
    net.config[filtered].training_synapse = None
    return [(b.neurons, {}), (out, {"synapse": 0.01})]


@tf.custom_gradient
def step_function(x):
    return tf.cast(x > 0, x.dtype), lambda dy: dy / (1 + x**2)


class Surrogate(nengo.LIF):
    pass


class SurrogateBuilder(LIFBuilder):
    trained_by_step = True

    def spikes(self, voltage):
        return self.alpha * step_function(voltage - 1)


def surrogates(net):
    """Neurons that train as they run, in loops."""
    return spiking(net, Surrogate())


class Halved(keras.layers.Layer):
    """A layer with a variable, which has to be asked in every step."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return inputs * self.factor / 2


def layer_in_a_loop(net):
    inp = nengo.Node(np.linspace(-1, 1, 36))
    conv = nengo.Convolution(2, (6, 6, 1))
    pre = nengo.Node(size_in=conv.output_shape.size)
    nengo.Connection(inp, pre, transform=conv, synapse=None)
    x = nengo_dl.Layer(Halved(dtype="float64"))(pre, synapse=0.01)
    return [(x, {}), (x, {"synapse": 0.01})]


def build(make, **kwargs):
    with nengo.Network(seed=0) as net:
        settings(**kwargs)
        net.all = [nengo.Probe(target, **options) for target, options in make(net)]
    return net


@pytest.mark.parametrize(
    "make, jit_compile",
    [
        (feedforward, "auto"),
        (recurrent, False),
        (recurrent, "auto"),
        (learning, False),
        (convolutional, "auto"),
        (convolutional, False),
    ],
)
def test_same_as_nengo(make, jit_compile):
    net = build(make, jit_compile=jit_compile)
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(N_STEPS)
    with nengo_dl.Simulator(
        net, minibatch_size=2, unroll_simulation=1, progress_bar=False
    ) as sim:
        kinds = [section.is_batch for section in sim.tensor_graph.program.sections]
        assert {True, False} == set(kinds)
        # long and short pieces: section by section, and step by step
        for n_steps in (70, 3, N_STEPS - 73):
            sim.run_steps(n_steps)
        for probe in net.all:
            for item in sim.data[probe]:
                np.testing.assert_allclose(item, reference.data[probe], atol=1e-8)


@pytest.mark.parametrize("inference_only", [True, False])
def test_constants_in_a_batch(inference_only):
    with nengo.Network(seed=0) as net:
        settings(inference_only=inference_only, jit_compile=False)
        constant, filtered = nengo.Node(size_in=2), nengo.Node(size_in=1)
        nengo.Connection(nengo.Ensemble(10, 1), filtered, synapse=0.1)
        probe = nengo.Probe(constant)
    with nengo_dl.Simulator(
        net, minibatch_size=3, unroll_simulation=1, progress_bar=False
    ) as sim:
        assert sim.tensor_graph.program.sections[-1].is_batch
        sim.run_steps(40)
        np.testing.assert_array_equal(sim.data[probe], np.zeros((3, 40, 2)))


def test_outputs_of_the_last_step():
    net = build(feedforward, keep_history=False, jit_compile=False)
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(N_STEPS)
    with nengo_dl.Simulator(net, unroll_simulation=1, progress_bar=False) as sim:
        sim.run_steps(N_STEPS)
        for probe in net.all:
            if probe.sample_every is None:
                np.testing.assert_allclose(
                    sim.data[probe][-1], reference.data[probe][-1], atol=1e-8
                )


def test_given_values_and_prediction():
    net = build(feedforward, jit_compile=False)
    node = net.all_nodes[0]
    x = np.random.RandomState(0).uniform(-1, 1, (3, N_STEPS, 2))
    with nengo_dl.Simulator(
        net, minibatch_size=3, unroll_simulation=1, progress_bar=False, seed=1
    ) as sim:
        sim.run_steps(N_STEPS, data={node: x})
        predicted = sim.predict({node: x}, stateful=False, verbose=0)
        ran = [sim.data[probe] for probe in net.all]
        sim.reset()
        for start in range(0, N_STEPS, 10):  # step by step
            sim.run_steps(10, data={node: x[:, start : start + 10]})
        for probe, values in zip(net.all, ran):
            np.testing.assert_allclose(sim.data[probe], values, atol=1e-8)
        assert predicted[net.all[0]].shape == (3, N_STEPS, 2)
        np.testing.assert_array_equal(predicted[net.all[0]], x)


@pytest.mark.training
@pytest.mark.parametrize(
    "make, jit_compile",
    [
        (feedforward, False),
        (recurrent, False),
        (convolutional, "auto"),
        (spiking, "auto"),
        (surrogates, "auto"),
        (layer_in_a_loop, "auto"),
        (large, "auto"),
    ],
)
def test_same_training(make, jit_compile, monkeypatch):
    monkeypatch.setitem(SimNeuronsBuilder.TF_NEURON_IMPL, Surrogate, SurrogateBuilder)
    # a convolution that XLA does not compile, between neurons that it could compile
    monkeypatch.setattr(transform_builders, "MAX_XLA_ELEMENTS", 0)
    results = []
    for layerwise in (True, False):
        net = build(make)
        with net:
            nengo_dl.configure_settings(jit_compile=jit_compile)
            if not layerwise:  # (and the biases of channels as Nengo has them)
                passes = [f for f in default_simplifications if f != scale_convolutions]
                nengo_dl.configure_settings(layerwise=False, simplifications=passes)
        target = net.all[-1]
        targets = (2, 20, target.size_in)
        rng = np.random.RandomState(0)
        inputs = rng.uniform(-1, 1, (2, 20, net.all_nodes[0].size_out))
        with nengo_dl.Simulator(
            net, minibatch_size=2, unroll_simulation=1, progress_bar=False, seed=0
        ) as sim:
            program = sim.tensor_graph.program.version(training=True)
            assert bool(program.sections) == layerwise
            sim.compile("sgd", loss={target: "mse"})
            history = sim.fit(
                {net.all_nodes[0]: inputs},
                {target: rng.uniform(-1, 1, targets)},
                epochs=2,
                stateful=True,
                verbose=0,
            )
            weights = [v.numpy().ravel() for v in sim.keras_model.trainable_weights]
            # from the state on that training has left
            sim.run_steps(5)
            values = [sim.data[probe].ravel() for probe in net.all]
        results.append(
            [history.history["loss"], np.sort(np.concatenate(weights))]
            + [np.concatenate(values)]
        )
    for with_sections, without in zip(*results):
        np.testing.assert_allclose(with_sections, without, rtol=1e-7, atol=1e-9)
    assert results[0][0][0] != results[0][0][1]


def kinds_in_training(net):
    program = compile_model(build_model(net, 0.001), Settings.of(net))
    kinds = {
        op.neurons: section.is_batch
        for section in program.version(training=True).sections
        for op in section.operators
        if isinstance(op, SimNeurons)
    }
    return [kinds[ensemble.neuron_type] for ensemble in net.all_ensembles]


def test_rates_are_batches_in_training():
    net = build(spiking)
    # those whose state is probed, or influences their rates, are not
    assert kinds_in_training(net) == [True, False, False]
    net.probes.remove(net.all[0])
    assert kinds_in_training(net) == [True, True, False]
    program = compile_model(build_model(net, 0.001), Settings.of(net))
    assert "\nSections in training:\n     many steps at once: groups " in str(program)
    with net:
        nengo_dl.configure_settings(inference_only=True)
    program = compile_model(build_model(net, 0.001), Settings.of(net))
    assert program.training is None


def test_python_in_the_step_runs_step_by_step():
    with nengo.Network() as net:
        settings()
        seen = []
        doubled = nengo.Node(lambda t, x: seen.append("a") or 2 * x, size_in=1)
        nengo.Connection(nengo.Node([1]), doubled, synapse=None)
        after = nengo.Node(lambda t, x: seen.append("b"), size_in=1)
        nengo.Connection(doubled, after, synapse=None)
    with pytest.warns(UserWarning, match="Python is called in every step"):
        sim = nengo_dl.Simulator(net, unroll_simulation=1, progress_bar=False)
    with sim:
        seen.clear()
        sim.run_steps(20)
    assert seen == ["a", "b"] * 20


def test_program_shows_sections():
    net = build(feedforward)
    program = compile_model(build_model(net, 0.001), Settings.of(net))
    assert "     many steps at once: groups " in str(program)
    groups = [op for section in program.sections for op in section.operators]
    assert sorted(map(id, groups)) == sorted(id(op) for g in program.plan for op in g)
    loops = [s for s in program.sections if not s.is_batch]
    assert any(isinstance(op, SimNeurons) for s in loops for op in s.operators)


def test_capacities():
    """Short runs compute little that they do not need; long ones share a function."""
    net = build(recurrent)
    with nengo_dl.Simulator(net, progress_bar=False, unroll_simulation=1) as sim:
        run = sim.tensor_graph.engine
        capacities = [run.capacity(n) for n in (1, 16, 17, 33, 50, 64, 65, 100)]
        assert capacities == [1, 16, 20, 40, 56, 64, *[run.block_steps] * 2]
        assert engine.MIN_LAYERWISE_STEPS == 16
        sim.run_steps(50)
        assert list(run.layerwise) == [64, 56]


@pytest.mark.training
def test_reset_starts_all_builders_again(monkeypatch):
    """Those of sections, and of sections in training, as well."""
    started = []

    def build_post(self, signals):
        started.append(self)

    monkeypatch.setattr(SimNeuronsBuilder, "build_post", build_post)
    net = build(recurrent, jit_compile=False)
    with nengo_dl.Simulator(net, progress_bar=False, unroll_simulation=1) as sim:
        sim.run_steps(20)
        sim.compile("sgd", loss={net.all[-1]: "mse"})
        sim.fit(np.ones((1, 20, 1)), {net.all[-1]: np.ones((1, 20, 1))}, verbose=0)
        made = set(started)
        started.clear()
        sim.reset()
    assert len(made) > 4 and set(started) == made
