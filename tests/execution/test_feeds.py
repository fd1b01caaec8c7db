import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError
from nengo.processes import (
    BrownNoise,
    FilteredNoise,
    Piecewise,
    PresentInput,
    WhiteNoise,
    WhiteSignal,
)

from nengo_dl.builder import build_model
from nengo_dl.config import Settings, configure_settings
from nengo_dl.execution.feeds import FeedGenerator
from nengo_dl.graph.program import compile_model

DT = 0.001


def make_generator(net, minibatch_size=2, seed=0, dtype="float64"):
    with net:
        configure_settings(dtype=dtype)
    model = build_model(net, DT)
    settings = Settings.of(model, minibatch_size=minibatch_size, seed=seed)
    return FeedGenerator(compile_model(model, settings))


def generate(generator, n_steps=5, start=0, capacity=None, data=None, offset=0):
    """Return the values of all Nodes, in order."""
    values = generator.block(start, n_steps, capacity or n_steps, data or {}, offset)
    by_source = dict(zip([feed.source for feed in generator.program.feeds], values))
    return [by_source[node] for node in generator.program.nodes if node in by_source]


def test_constants():
    with nengo.Network() as net:
        nengo.Node([1, 2])
    (values,) = generate(make_generator(net, dtype="float32"), n_steps=3, capacity=5)
    assert values.shape == (2, 5, 2)
    assert values.dtype == np.float32
    assert (values == [1, 2]).all()


def test_functions_are_called_once_per_step():
    times = []

    def func(t):
        times.append(t)
        return t

    with nengo.Network() as net:
        nengo.Node(func, size_out=1)
    generator = make_generator(net, minibatch_size=3)
    (values,) = generate(generator, n_steps=4, start=10, capacity=6)
    assert times == [11 * DT, 12 * DT, 13 * DT, 14 * DT]
    assert values.shape == (3, 6, 1)
    assert (values[:, :4, 0] == times).all()
    assert (values[:, 4:] == 0).all()


def test_functions_may_change_what_they_returned():
    state = np.zeros(2)

    def func(t):
        state[...] += 1
        return state

    with nengo.Network() as net:
        nengo.Node(func, size_out=2)
    (values,) = generate(make_generator(net))
    assert (values[0, :, 0] == [1, 2, 3, 4, 5]).all()


def test_functions_take_turns():
    """Functions that share something see each other's effects as in Nengo."""
    with nengo.Network() as net:
        calls = []
        nengo.Node(lambda t: calls.append(("first", round(t / DT))) or 0)
        nengo.Node(lambda t: calls.append(("silent", round(t / DT))), size_out=0)
        nengo.Node(lambda t: calls.append(("last", round(t / DT))) or 0)
    generator = make_generator(net)
    del calls[:]
    generate(generator, n_steps=2)
    assert sorted(calls[:3]) == [("first", 1), ("last", 1), ("silent", 1)]
    assert sorted(calls[3:]) == [("first", 2), ("last", 2), ("silent", 2)]


def test_functions_of_interactive_programs():
    """They are called when their step comes, and not before."""
    calls = []
    with nengo.Network() as net:
        node = nengo.Node(lambda t: calls.append(t) or [t, 2 * t])
        other = nengo.Node(lambda t: calls.append(t) or t)
        nengo.Node(lambda t: calls.append(t), size_out=0)
        nengo.Node(lambda t, x: None, size_in=1, size_out=0)
    generator = make_generator(net)
    assert generator.program.is_interactive
    del calls[:]
    given = np.random.uniform(size=(2, 9, 1))
    data = {other: given}
    _, fed = generate(generator, start=10, n_steps=4, data=data, offset=3)
    assert calls == []

    called = generator.called(data)
    assert called.tolist() == [True, False]
    values = generator.call_functions(12, called)
    t = 12 * DT
    assert calls == [t, t]
    assert [feed.source for feed in generator.program.function_feeds] == [node, other]
    assert (values[:, :2] == [t, 2 * t]).all()
    assert (values[:, 2] == 0).all()
    assert (fed[:, 12 - 11, 0] == given[:, 4, 0]).all()


def test_given_data_replace_the_output():
    calls = []
    with nengo.Network() as net:
        constant = nengo.Node([1])
        function = nengo.Node(lambda t: calls.append(t) or 0)
        process = nengo.Node(WhiteNoise(), size_out=1)
    nodes = (constant, function, process)
    generator = make_generator(net)
    del calls[:]
    data = {node: np.random.uniform(size=(2, 9, 1)) for node in nodes}
    blocks = generate(generator, n_steps=4, capacity=6, data=data, offset=3)
    for node, values in zip(nodes, blocks):
        assert np.allclose(values[:, :4], data[node][:, 3:7])
        assert (values[:, 4:] == 0).all()
    assert calls == []


def test_outputs_are_those_at_construction():
    with nengo.Network() as net:
        constant, function = nengo.Node([1]), nengo.Node(lambda t: 2)
        process = nengo.Node(Piecewise({0: [3]}))
    generator = make_generator(net)
    constant.output = [10]
    function.output = lambda t: 10
    process.output = Piecewise({0: [10]})
    assert [values.max() for values in generate(generator)] == [1, 2, 3]
    generator.reset(seed=1)
    assert [values.max() for values in generate(generator)] == [1, 2, 3]


@pytest.mark.parametrize(
    "process",
    [
        WhiteNoise(seed=3),
        WhiteSignal(0.05, high=100, seed=3),
        FilteredNoise(seed=3),
        BrownNoise(seed=3),
        PresentInput([[1], [2]], presentation_time=2 * DT),
        Piecewise({0: [1], 0.003: [2]}),
    ],
    ids=lambda process: type(process).__name__,
)
def test_processes(process):
    """Every item has the numbers of Nengo, also in several blocks and after a reset."""
    with nengo.Network() as net:
        nengo.Node(process, size_out=1)
    generator = make_generator(net, minibatch_size=3)
    expected = process.run_steps(7, dt=DT)
    for _ in range(2):
        blocks = [generate(generator, 4)[0], generate(generator, 3, start=4)[0]]
        values = np.concatenate(blocks, axis=1)
        assert values.shape == (3, 7, 1)
        assert np.allclose(values, expected, rtol=1e-14, atol=1e-14)
        generator.reset(seed=1)


def test_unseeded_processes():
    with nengo.Network() as net:
        nengo.Node(WhiteNoise(), size_out=2)
        nengo.Node(WhiteNoise(), size_out=2)
    generator = make_generator(net, seed=5)
    first, second = generate(generator)
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first, second)

    generator.reset(seed=5)
    assert (generate(generator)[0] == first).all()
    generator.reset(seed=6)
    assert not np.allclose(generate(generator)[0], first)


def test_large_minibatches_start_like_small_ones():
    with nengo.Network() as net:
        nengo.Node(WhiteNoise(), size_out=2)
        nengo.Connection(nengo.Node(FilteredNoise(), size_out=1), nengo.Node(size_in=1))
    small = generate(make_generator(net, minibatch_size=1))
    large = generate(make_generator(net, minibatch_size=4))
    for a, b in zip(small, large):
        assert (a[0] == b[0]).all()


def test_state():
    """What comes after a certain state is always the same."""
    with nengo.Network() as net:
        for process in (WhiteNoise(), WhiteSignal(1, high=10), FilteredNoise()):
            nengo.Node(process, size_out=1)
    generator = make_generator(net)
    generate(generator)
    state = generator.get_state()
    expected = generate(generator, start=5)

    generate(generator, start=10)
    generator.set_state(state)
    again = generate(generator, start=5)

    # the state also fits another generator that has started from the same seed
    other = make_generator(net)
    other.set_state(state)
    for values in (again, generate(other, start=5)):
        assert all((a == b).all() for a, b in zip(values, expected))


@pytest.mark.parametrize(
    "output, message",
    [
        (None, "`func` returned None"),
        (np.nan, "`func` returned non-finite values"),
        ("x", "`func` returned a value of type `str`"),
        ([1, 2, 3], r"`func` returned 3 values \(shape \(3,\)\); it must return 2"),
        (np.ones((2, 2)), "`func` returned 4 values"),
    ],
)
def test_bad_outputs(output, message):
    def func(t):
        return [0, 0] if t < 2 * DT else output

    with nengo.Network() as net:
        nengo.Node(func, size_out=2, label="the node")
    generator = make_generator(net)
    generate(generator, n_steps=1)
    with pytest.raises(SimulationError, match=message) as error:
        generate(generator, start=1)
    assert any("the node" in note for note in error.value.__notes__)


def test_single_numbers_are_repeated():
    with nengo.Network() as net:
        nengo.Node(lambda t: 1.0, size_out=3)
    assert (generate(make_generator(net))[0] == np.ones((2, 5, 3))).all()


@pytest.mark.parametrize("size_out", [0, 1])
def test_errors_of_functions_name_the_node(size_out):
    def func(t):
        if t > 2 * DT:
            raise LookupError("mine")
        return 0 if size_out else None

    with nengo.Network() as net:
        nengo.Node(func, size_out=size_out, label="the node")
    with pytest.raises(LookupError, match="mine") as error:
        generate(make_generator(net))
    assert error.value.args == ("mine",)
    assert any("LookupError" in n and "the node" in n for n in error.value.__notes__)


def test_errors_of_processes_name_the_process():
    class BadProcess(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            def step(t):
                raise LookupError("mine")

            return step

    with nengo.Network() as net:
        nengo.Node(BadProcess(), size_out=1)
    with pytest.raises(LookupError, match="mine") as error:
        generate(make_generator(net))
    assert any("BadProcess" in note for note in error.value.__notes__)
