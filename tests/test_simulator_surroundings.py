"""What simulators do to their surroundings: Keras, the screen, the log."""

import logging
import warnings

import keras
import nengo
import numpy as np
import pytest

import nengo_dl
from nengo_dl.config import configure_settings


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        net.inp = nengo.Node(lambda t: np.sin(10 * t))
        net.probe = nengo.Probe(net.inp)
    return net


def test_float_type_of_keras(Simulator):
    """It is that of the simulation while Nodes run, and in a `with` block."""
    before = keras.config.floatx()
    other = {"float32": "float64", "float64": "float32"}[before]
    seen = []

    def func(t):
        seen.append(keras.config.floatx())
        if t > 0.0015:
            raise AssertionError("from the function")
        return 0

    with nengo.Network() as net:
        configure_settings(dtype=other)
        nengo.Node(func)
    sim = Simulator(net, unroll_simulation=1)
    assert keras.config.floatx() == before
    del seen[:]
    sim.step()
    assert keras.config.floatx() == before
    with pytest.raises(AssertionError, match="from the function"):
        sim.step()
    assert keras.config.floatx() == before
    assert seen == [other] * 2

    with pytest.raises(ZeroDivisionError), sim:
        assert keras.config.floatx() == other
        1 / 0  # noqa: B018
    assert keras.config.floatx() == before


def test_progress_bars(net, capsys):
    sim = nengo_dl.Simulator(net, progress_bar=True, device="/cpu:0")
    output = capsys.readouterr().out
    for text in ("Build", "Optimization", "Construction"):
        assert text in output
    sim.run_steps(10)
    assert "Simulation" in capsys.readouterr().out
    sim.run_steps(10, progress_bar=False)
    sim.step()
    assert capsys.readouterr().out == ""
    sim.close()


def test_no_progress_bars(net, capsys):
    with nengo_dl.Simulator(net, progress_bar=False, device="/cpu:0") as sim:
        sim.run_steps(10)
        assert capsys.readouterr().out == ""
        sim.run_steps(10, progress_bar=True)
        assert "Simulation" in capsys.readouterr().out


def test_progress_bars_of_nengo(net):
    class Bar(nengo.utils.progress.ProgressBar):
        def __init__(self):
            self.seen = []
            self.closed = 0

        def update(self, progress):
            self.seen.append((progress.name_after, progress.n_steps))

        def close(self):
            self.closed += 1

    bar = Bar()
    with nengo_dl.Simulator(net, progress_bar=bar, device="/cpu:0") as sim:
        assert list(dict(bar.seen)) == ["Build", "Optimization", "Construction"]
        assert bar.closed == 1
        own = Bar()
        sim.run_steps(10, progress_bar=own)
        assert own.seen[-1] == ("Simulation", 10)


def test_logging(net, Simulator, caplog):
    with caplog.at_level(logging.DEBUG), Simulator(net, device="/cpu:0") as sim:
        sim.run(0.01)
    messages = [record.getMessage() for record in caplog.records]
    assert all(messages)
    assert "Running on CPU" in messages
    assert any("Running" in m and "10 steps" in m for m in messages)


class OwnNeurons(nengo.RectifiedLinear):
    def step(self, dt, J, output):
        output[...] = J**2


class OwnProcess(nengo.Process):
    default_size_in = default_size_out = 1

    def make_step(self, shape_in, shape_out, dt, rng, state):
        return lambda t, x: x + 1


def double(t, x):
    return 2 * x


def python_warnings(func):
    """Return the warnings of a function that are about Python."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        func()
    messages = [str(w.message) for w in caught]
    return [message for message in messages if "Python is called" in message]


@pytest.mark.training
def test_python_warns_once(Simulator):
    """All that is called in every step is named, and nothing else."""
    with nengo.Network(seed=0) as net:
        time = nengo.Node(np.sin, label="time")
        node = nengo.Node(double, size_in=1, label="node")
        process = nengo.Node(OwnProcess(), size_in=1, label="process")
        nengo.Node(lambda t, x: None, size_in=1, label="without output")
        own = nengo.Ensemble(5, 1, neuron_type=OwnNeurons(), label="own")
        native = nengo.Ensemble(5, 1, label="native")
        tensor_node = nengo_dl.TensorNode(lambda t, x: x, shape_in=(1,), label="tensor")
        for post in (node, process, own, native, tensor_node):
            nengo.Connection(time, post)
        probe = nengo.Probe(native)

    def train():
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(2)
            sim.compile("sgd", loss={probe: "mse"})
            sim.fit(n_steps=2, y={probe: np.ones((1, 2, 1))}, verbose=0)

    (message,) = python_warnings(train)
    for text in ("native TensorFlow", "slower", "no gradient", "TensorNodes", "1 more"):
        assert text in message
    names = [
        "the function `double` (<Node 'node'>.out)",
        "the process OwnProcess() (<Node 'process'>.out)",
        "the neurons OwnNeurons() (<Ensemble 'own'>.neuron_out)",
        "the function `<lambda>` (<Node 'without output'>.in)",
    ]
    assert sum(name in message for name in names) == 3  # and one more
    for text in ("'time'", "<Ensemble 'native'>", "'tensor'"):
        assert text not in message


def test_python_that_is_not_called_in_every_step(Simulator):
    """What depends on time alone is called before, and TensorNodes are native."""
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.RegularSpiking(nengo.Sigmoid())
        ens = nengo.Ensemble(5, 1, noise=nengo.processes.WhiteSignal(1, 10))
        nengo.Connection(nengo.Node(np.sin), ens, synapse=nengo.Alpha(0.01))
        nengo_dl.Layer(tf_square)(ens)

    def run():
        with Simulator(net, unroll_simulation=1) as sim:
            sim.run_steps(2)

    assert python_warnings(run) == []


def tf_square(x):
    return x**2
