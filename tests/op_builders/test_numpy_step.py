"""Operators that run by their own NumPy step."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from builder_oracle import check, signal, view
from nengo.builder import Builder as NengoBuilder
from nengo.builder import Signal
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix
from numpy_operators import ManyChannels, PlainOperator, other_packages

import nengo_dl
from nengo_dl.builder import Builder
from nengo_dl.op_builders import GenericOperatorBuilder


class Gadget(PlainOperator):
    """Calls ``function`` on all arrays in the order of the accesses."""

    def make_step(self, signals, dt, rng):
        arrays = [signals[s] for s in self.sets + self.incs + self.reads + self.updates]
        return lambda: self.function(*arrays)


def overwrite(y, x):
    y[...] = 2 * x


def overwrite_first(y, x):
    y[0] = x[0]


def increment_twice(y, x):
    y += x
    y += y[0] * x


def count(x, n):
    n += 1
    if n[()] % 2:
        n += 1


def matrix_product(y, A, x):
    y[...] = A.dot(x)


def count_in_place(y, x, state):
    y[...] = state + x
    state *= 0.5
    state[1:] += x[1:]


SPARSE = SparseMatrix([(2, 0), (0, 2), (1, 1)], np.array([1.0, -2.0, 3.0]), (3, 3))
MAKE = {
    "sets": lambda: [
        Gadget([signal(n)], reads=[signal(n)], function=overwrite) for n in (2, 3)
    ],
    "sets a part": lambda: [
        Gadget([signal(3)], reads=[signal(3)], function=overwrite_first)
    ],
    "incs": lambda: [
        Gadget(incs=[signal(2)], reads=[signal(2)], function=increment_twice)
    ],
    "counts": lambda: [
        Gadget(reads=[signal(2)], updates=[Signal(np.array(5))], function=count)
        for _ in range(2)
    ],
    "sparse": lambda: [
        Gadget([signal(3)], reads=[Signal(SPARSE), signal(3)], function=matrix_product)
        for _ in range(2)
    ],
    "shared": lambda: [
        Gadget(
            [signal(2)],
            reads=[signal(2, 2, shared=True), signal(2)],
            function=matrix_product,
        )
    ],
    "views": lambda: [
        Gadget(
            [view((6,), slice(1, None, 2))],
            reads=[view((3, 4), (slice(None, None, -1), 1))],
            updates=[view((3, 4), (slice(None), 2))],
            function=count_in_place,
        )
    ],
    "overlapping views": lambda: overlapping(),
}


def overlapping():
    """Reads a part of what it updates."""
    base = signal(4)
    return [
        Gadget(
            [signal(3)], reads=[base[1:]], updates=[base[:3]], function=count_in_place
        )
    ]


@pytest.mark.parametrize("name", MAKE)
def test_equals_its_own_step(name):
    ops = MAKE[name]()
    assert Builder.builder_of(ops[0]) is GenericOperatorBuilder
    step = check(ops, n_steps=3)
    assert not step.pure


def test_what_is_merged():
    x, y, z = signal(2), signal(2), signal(2)
    merges = GenericOperatorBuilder.mergeable
    assert merges(Gadget([x]), Gadget([y]))
    assert not merges(Gadget([x]), PlainOperator([y]))
    # the second one has to see what the first one added
    assert not merges(Gadget(incs=[z], reads=[x]), Gadget(incs=[z], reads=[y]))


def test_sparse_signals_are_not_written():
    with pytest.raises(BuildError, match="must not write sparse.*Gadget.*register an"):
        GenericOperatorBuilder([Gadget(updates=[Signal(SPARSE)])])


# -- in networks ----------------------------------------------------------------------


class Noisy(nengo.neurons.NeuronType):
    """Draws random numbers when its step is made, and in every step."""

    def gain_bias(self, max_rates, intercepts):
        return np.ones_like(max_rates), np.zeros_like(max_rates)

    def max_rates_intercepts(self, gain, bias):
        return gain, bias


class SimNoisy(PlainOperator):
    def make_step(self, signals, dt, rng):
        offset = rng.uniform(size=self.sets[0].shape)
        x, y = signals[self.reads[0]], signals[self.sets[0]]

        def step():
            if x[0] > self.fails_at:
                raise ZeroDivisionError("on purpose")
            y[...] = x + offset + rng.normal(size=x.shape)

        return step


@NengoBuilder.register(Noisy)
def build_noisy(model, neuron_type, neurons):
    sig = model.sig[neurons]
    model.add_op(SimNoisy([sig["out"]], reads=[sig["in"]], fails_at=50))


def noisy_network():
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        net.stim = nengo.Node([1.0])
        noise = nengo.Node(nengo.processes.WhiteSignal(1, 100), size_out=1)
        ens = nengo.Ensemble(3, 1, neuron_type=Noisy(), encoders=np.ones((3, 1)))
        nengo.Connection(net.stim, ens, synapse=None)
        nengo.Connection(ens.neurons, ens.neurons, transform=0.1, synapse=0.01)
        net.recorded = [nengo.Probe(ens.neurons), nengo.Probe(noise)]
    return net


@pytest.fixture(scope="module")
def noisy_data():
    """What Nengo records, in the order of operators that its optimizer would change."""
    net = noisy_network()
    with nengo.Simulator(net, optimize=False, progress_bar=False) as ref:
        ref.run_steps(20)
        return [ref.data[probe] for probe in net.recorded]


def test_random_numbers_are_those_of_nengo(Simulator, noisy_data):
    net = noisy_network()
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(5)
        sim.run_steps(5, stateful=False)
        with pytest.raises(ZeroDivisionError, match="on purpose") as err:
            sim.run_steps(5, data={net.stim: np.full((2, 5, 1), 99.0)})
        assert "the step of the operator `SimNoisy`" in err.value.__notes__[0]
        sim.run_steps(15)
        data = [sim.data[probe][:, np.r_[:5, 10:25]] for probe in net.recorded]
        sim.reset()
        sim.run_steps(20)
    for probe, values, expected in zip(net.recorded, data, noisy_data):
        np.testing.assert_allclose(values[0], expected, atol=1e-12)
        assert (values[0] != values[1]).all()
        np.testing.assert_array_equal(sim.data[probe], values)


def test_warning(Simulator):
    with nengo.Network(seed=0) as net:
        other_packages(nengo.Node([0.5, -0.5]))
    with pytest.warns(UserWarning, match="Python is called in every step") as record:
        Simulator(net).close()
    (message,) = (str(w.message) for w in record if "Python" in str(w.message))
    assert "the operator `Sim" in message and "Builder.register" in message
    assert "and 2 more" in message


@pytest.mark.parametrize("n_items", [1, 4])
def test_predict(Simulator, n_items):
    """Through Keras, in several minibatches."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", stateful=False)
        stim = nengo.Node([1.0])
        ens = nengo.Ensemble(3, 1, neuron_type=ManyChannels(), encoders=np.ones((3, 1)))
        nengo.Connection(stim, ens, synapse=0.01)
        probe = nengo.Probe(ens.neurons)
    x = np.tile(np.linspace(0, 1, n_items)[:, None, None], (1, 10, 1))
    with Simulator(net, minibatch_size=n_items) as sim:
        output = sim.predict({stim: x})[probe]
    for values, item in zip(output, x):
        stim.output = item[0]
        with nengo.Simulator(net, progress_bar=False) as ref:
            ref.run_steps(10)
        np.testing.assert_allclose(values, ref.data[probe], atol=1e-12)
    assert output.any()


@pytest.mark.training
def test_training(Simulator):
    """What comes after such an operator is trained, what comes before is not."""
    with nengo.Network(seed=0) as net:
        stim = nengo.Node([1.0])
        ens = nengo.Ensemble(3, 1, neuron_type=Noisy())
        first = nengo.Connection(
            stim, ens.neurons, transform=np.ones((3, 1)), synapse=None
        )
        out = nengo.Node(size_in=1)
        last = nengo.Connection(
            ens.neurons, out, transform=np.ones((1, 3)), synapse=None
        )
        nengo.Probe(out)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        before = sim.get_nengo_params([first, last])
        with pytest.warns(UserWarning, match="No gradient.*the operator `SimNoisy`"):
            sim.fit(np.ones((1, 1, 1)), np.zeros((1, 1, 1)), verbose=0)
        after = sim.get_nengo_params([first, last])
    changed = [(a["transform"] != b["transform"]).any() for a, b in zip(before, after)]
    assert changed == [False, True]


class SimBias(PlainOperator):
    def make_step(self, signals, dt, rng):
        bias = signals[self.incs[0]]

        def step():
            bias[...] += 1

        return step


def test_changed_parameters(Simulator):
    """Parameters that an operator changes are those of each item, and not trained."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        ens = nengo.Ensemble(
            2, 1, neuron_type=nengo.RectifiedLinear(), gain=[1, 1], bias=[0, 1]
        )
        probe = nengo.Probe(ens.neurons)
    model = nengo.builder.Model()
    model.build(net)
    bias = model.sig[ens.neurons]["bias"]
    bias.readonly = False
    model.add_op(SimBias(incs=[bias]))
    with Simulator(None, model=model, minibatch_size=2) as sim:
        sim.run_steps(5)
        assert not sim.keras_model.trainable_weights[1:]
        np.testing.assert_array_equal(
            sim.data[probe], np.arange(1, 6)[:, None] + [[[0, 1]]] * 2
        )
