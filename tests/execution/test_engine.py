import nengo
import numpy as np
import pytest

from nengo_dl.builder import build_model
from nengo_dl.config import configure_settings
from nengo_dl.execution import engine
from nengo_dl.tensor_graph import TensorGraph


def counter(**settings):
    """Return a network whose probe shows the sum of all inputs up to each step."""
    with nengo.Network() as net:
        configure_settings(**{"dtype": "float64", **settings})
        inp, total = nengo.Node([0]), nengo.Node(size_in=1)
        nengo.Connection(inp, total, synapse=None)
        nengo.Connection(total, total, synapse=0)
        nengo.Probe(total)
    return net


def make_graph(net, unroll=1, minibatch_size=2):
    graph = TensorGraph(build_model(net, 0.001), 0.001, unroll, minibatch_size, None)
    graph.build()
    return graph


def run_block(graph, state, first, n_steps):
    """Simulate a block in which the inputs are the numbers of the steps."""
    capacity = graph.engine.capacity(n_steps)
    feed = np.zeros((graph.minibatch_size, capacity, 1))
    feed[:, :n_steps, 0] = np.arange(first, first + n_steps)
    return graph.engine.run_block(state, [feed], n_steps)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("unroll", [1, 2])
def test_blocks(jit_compile, unroll):
    graph = make_graph(counter(jit_compile=jit_compile), unroll)
    start = graph.values.packed_state()
    state, (output,) = run_block(graph, start, 1, 4)
    assert output.shape == (4, 2, 1)
    assert (output[:, 1, 0] == [1, 3, 6, 10]).all()
    state, (output,) = run_block(graph, state, 5, 2)
    assert (output[:, 1, 0] == [15, 21]).all()

    # a block leaves what it started from as it was
    _, (output,) = run_block(graph, start, 1, 4)
    assert (output[:, 0, 0] == [1, 3, 6, 10]).all()


def test_one_function_for_any_number_of_steps():
    graph = make_graph(counter())
    state = graph.values.packed_state()
    function = graph.engine.function(graph.engine.capacity(1))
    for n_steps in (1, 2, 100, graph.engine.block_steps):
        assert graph.engine.function(graph.engine.capacity(n_steps)) is function
        output = run_block(graph, state, 1, n_steps)[1][0]
        assert (output[:, 0, 0] == np.cumsum(np.arange(1, n_steps + 1))).all()


def test_single_steps_without_xla_need_no_loop():
    graph = make_graph(counter(jit_compile=False))
    assert graph.engine.capacity(1) == 1
    assert graph.engine.capacity(2) == graph.engine.block_steps
    assert "While" not in {
        op.type for op in graph.engine.function(1).graph.get_operations()
    }


def test_functions_are_called_ahead_of_single_steps(Simulator):
    times = []
    with nengo.Network() as net:
        stimulus = nengo.Node(lambda t: times.append(t) or t, size_out=1)
        given = nengo.Node(lambda t: 1 / (t == 0))
        node = nengo.Node(lambda t, x: 2 * x, size_in=2)
        nengo.Connection(stimulus, node[0], synapse=None)
        nengo.Connection(given, node[1], synapse=None)
        probe = nengo.Probe(node)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.step(data={given: np.ones((1, 1, 1))})
        sim.run_steps(1, data={given: np.zeros((1, 1, 1))})
        with pytest.raises(ZeroDivisionError):
            sim.step()
        np.testing.assert_allclose(times[:2], [0.001, 0.002])
        np.testing.assert_allclose(sim.data[probe], [[0.002, 2], [0.004, 0]])
        assert sim.n_steps == 2
        graph = sim.tensor_graph.engine.function(1).graph
    assert [op.type for op in graph.get_operations()].count("PyFunc") == 1


def test_single_steps_of_large_networks_have_small_blocks(monkeypatch):
    monkeypatch.setattr(engine, "SMALL_BLOCK_BYTES", 100)
    graph = make_graph(counter())
    assert graph.engine.capacity(1) == 1
    assert graph.engine.capacity(2) == 2
    assert graph.engine.capacity(10_000) == graph.engine.block_steps
    output = run_block(graph, graph.values.packed_state(), 1, 1)[1][0]
    assert output.shape == (1, 2, 1)


@pytest.mark.parametrize("unroll", [1, 3])
def test_size_of_blocks(unroll, monkeypatch):
    graph = make_graph(counter(), unroll)
    assert graph.engine.bytes_per_step() == 2 * (1 + 1) * 8
    assert graph.engine.block_steps == engine.MAX_BLOCK_STEPS // unroll * unroll

    monkeypatch.setattr(engine, "BLOCK_BYTES", 32 * 100)
    steps = make_graph(counter(), unroll).engine.block_steps
    assert steps == 100 // unroll * unroll
    monkeypatch.setattr(engine, "BLOCK_BYTES", 1)
    assert make_graph(counter(), unroll).engine.block_steps == 2 * unroll


def test_probes_without_history_need_no_buffer():
    graph = make_graph(counter(keep_history=False))
    assert graph.engine.bytes_per_step() == 2 * 8
    output = run_block(graph, graph.values.packed_state(), 1, 4)[1][0]
    assert output.shape == (1, 2, 1) and output[0, 0, 0] == 10


def test_no_loop():
    graph = make_graph(counter(use_loop=False), unroll=4)
    assert graph.engine.block_steps == 4
    function = graph.engine.function(4)
    assert "While" not in {op.type for op in function.graph.get_operations()}
    output = run_block(graph, graph.values.packed_state(), 1, 4)[1][0]
    assert (output[:, 0, 0] == [1, 3, 6, 10]).all()
