"""Exceptions of users' functions arrive as they are, with short tracebacks."""

import threading
import traceback

import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

from nengo_dl.config import configure_settings
from nengo_dl.utils.tracebacks import users_traceback


class UserError(Exception):
    pass


class Culprit:
    """Which part of a network raises an exception, and which one."""

    name = error = None

    def check(self, name):
        if name == self.name:
            raise self.error


@pytest.fixture
def culprit():
    return Culprit()


def python_in_steps(culprit):
    """Return a network that calls Python of all kinds in every step."""

    class OwnNeurons(nengo.RectifiedLinear):
        def step(self, dt, J, output):
            culprit.check("neurons")
            output[...] = J

    class OwnProcess(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            def step(t, x):
                culprit.check("process")
                return x

            return step

    def node(t, x):
        culprit.check("node")
        return x

    def sink(t, x):
        culprit.check("sink")

    def direct(x):
        culprit.check("direct")
        return x

    with nengo.Network(seed=0) as net:
        configure_settings(jit_compile=False)
        net.inp = nengo.Node(time_function(culprit))
        ens = nengo.Ensemble(1, 1, neuron_type=nengo.Direct())
        outputs = [
            nengo.Node(node, size_in=1),
            nengo.Node(sink, size_in=1, size_out=0),
            nengo.Node(OwnProcess(), size_in=1, size_out=1),
            nengo.Ensemble(5, 1, neuron_type=OwnNeurons()),
            ens,
        ]
        for output in outputs:
            nengo.Connection(net.inp, output, synapse=None)
        nengo.Connection(ens, nengo.Node(size_in=1), function=direct)
        net.probe = nengo.Probe(outputs[0])
    return net


def python_before_steps(culprit):
    """Return a network that calls Python for what depends on time alone."""

    class OwnProcess(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            def step(t):
                culprit.check("process")
                return 1

            return step

    def sink(t):
        culprit.check("sink")

    with nengo.Network(seed=0) as net:
        configure_settings(jit_compile=False)
        inp = nengo.Node(time_function(culprit))
        nengo.Node(sink)
        process = nengo.Node(OwnProcess(default_size_out=1))
        net.probe = nengo.Probe(inp)
        nengo.Connection(inp, nengo.Ensemble(5, 1, neuron_type=nengo.LIFRate()))
        nengo.Probe(process)
    return net


def time_function(culprit):
    def time(t):
        culprit.check("time")
        return 1

    return time


def names_below(error, function):
    """Return the names of the functions in a traceback that a function has called."""
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    return names[names.index(function) + 1 :]


def fails(call):
    """Return the exception that is raised."""
    try:
        call()
    except BaseException as err:
        return err
    raise AssertionError("there is no exception")


KINDS = [
    (python_in_steps, ["time", "node", "sink", "process", "neurons", "direct"]),
    (python_before_steps, ["time", "sink", "process"]),
]


@pytest.mark.filterwarnings("ignore:Python is called")
@pytest.mark.parametrize("build, kinds", KINDS)
def test_simulations(build, kinds, culprit, Simulator):
    with Simulator(build(culprit), unroll_simulation=1) as sim:

        def step():
            sim.step()

        def run():
            sim.run(0.002)

        def run_steps():
            sim.run_steps(2)

        def predict():
            sim.predict(n_steps=2, verbose=0)

        check_calls(culprit, kinds, [step, run, run_steps, predict])
        step()


@pytest.mark.training
@pytest.mark.filterwarnings("ignore:Python is called", "ignore:No gradient")
@pytest.mark.parametrize("build, kinds", KINDS)
def test_training(build, kinds, culprit, Simulator):
    net = build(culprit)
    y = np.ones((1, 2, 1))
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss={net.probe: "mse"})

        def fit():
            sim.fit(n_steps=2, y={net.probe: y}, verbose=0)

        def evaluate():
            sim.evaluate(n_steps=2, y={net.probe: y}, verbose=0)

        check_calls(culprit, kinds[:2], [fit, evaluate])
        fit()


def check_calls(culprit, kinds, calls):
    for culprit.name in kinds:
        for call in calls:
            others = (StopIteration(), KeyboardInterrupt())
            for error in (UserError("oops"), *others[: 2 * (culprit.name == "time")]):
                culprit.error = error
                raised = fails(call)
                assert raised is error
                is_step = culprit.name in ("process", "neurons")
                assert names_below(raised, call.__name__) == [
                    "short_method",
                    "step" if is_step else culprit.name,
                    "check",
                ]
                assert raised.__cause__ is None and raised.__context__ is None
    culprit.name = None


@pytest.mark.filterwarnings("ignore:Python is called")
@pytest.mark.parametrize("has_input", [True, False])
def test_causes_stay(has_input, Simulator):
    """Also where functions of the user fail while they handle errors of their own."""

    def function(*args):
        try:
            if args[0] > 0:
                {}["key"]
            return 1
        except KeyError as err:
            if cause:
                raise UserError("oops") from err
            raise UserError("oops")  # noqa: B904

    with nengo.Network() as net:
        node = nengo.Node(function, size_in=1 if has_input else None, size_out=1)
        nengo.Probe(node)
    with Simulator(net) as sim:
        for cause in (True, False):
            error = fails(sim.step)
            assert isinstance(error, UserError)
            assert isinstance(error.__context__, KeyError)
            assert isinstance(error.__cause__, KeyError) is cause
            assert error.__suppress_context__ is cause


def test_all_lines_on_demand(culprit, Simulator):
    culprit.error = UserError()
    before = nengo.rc["exceptions"]["simplified"]
    with Simulator(python_before_steps(culprit)) as sim:
        culprit.name = "time"
        nengo.rc["exceptions"]["simplified"] = "False"
        try:
            names = names_below(fails(sim.step), "fails")
        finally:
            nengo.rc["exceptions"]["simplified"] = before
    assert "run_steps" in names and names[-1] == "check"


def test_errors_of_ours(Simulator):
    """What is wrong with what a function returns is said in a few lines, too."""
    with nengo.Network() as net:
        nengo.Node(lambda t: None if t > 0 else 1)
    with Simulator(net) as sim:
        error = fails(lambda: sim.run_steps(5))
        assert isinstance(error, SimulationError) and "None" in str(error)
        assert names_below(error, "<lambda>") == ["short_method", "aligned_func"]
        error = fails(lambda: sim.run_steps(-1))
        assert "whole_iterations" in names_below(error, "<lambda>")


def test_line_in_a_thread(Simulator):
    """What shows the line where a program failed finds it, as that of Nengo's does."""
    program = "\n".join(
        [
            "import nengo",
            "with nengo.Network() as model:",
            "    def function(t):",
            "        return 1 / (0.002 - t)",
            "    node = nengo.Node(function)",
        ]
    )
    scope = {}
    exec(compile(program, "<program>", "exec"), scope)
    failed = []
    with Simulator(scope["model"], unroll_simulation=1) as sim:
        thread = threading.Thread(
            target=lambda: failed.append(fails(lambda: (sim.step(), sim.step())))
        )
        thread.start()
        thread.join(timeout=300)
    (error,) = failed
    assert isinstance(error, (ZeroDivisionError, SimulationError))
    frames = traceback.extract_tb(error.__traceback__)
    assert ("<program>", 4) in [(frame.filename, frame.lineno) for frame in frames]


def test_other_errors():
    assert users_traceback(fails(lambda: {}["key"])) is None
