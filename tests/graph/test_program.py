import os
import subprocess
import sys

import nengo
import numpy as np
import pytest
from nengo.builder.operator import Copy, Operator, Reset, SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import build_model
from nengo_dl.config import Settings, configure_settings
from nengo_dl.graph.layout import lay_out
from nengo_dl.graph.operators import Feed
from nengo_dl.graph.program import (
    chosen_stages,
    classify_arrays,
    compile_model,
    feed_inputs,
)
from nengo_dl.graph_optimizer import noop_planner, tree_planner


def compile_network(net):
    model = build_model(net, dt=0.001)
    return compile_model(model, Settings.of(model))


def operators(program, op_type):
    return [op for group in program.plan for op in group if isinstance(op, op_type)]


def signals(n):
    result = [Signal(shape=(2,), name=f"x{i}") for i in range(n)]
    for signal in result:
        signal.trainable, signal.minibatched = None, True
    return result


def test_default_settings():
    with nengo.Network() as net:
        pass
    settings = Settings.of(net)
    assert settings == Settings()
    assert chosen_stages(settings)[0] is tree_planner
    assert settings.dtype == "float32" and settings.jit_compile == "auto"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"planner": lambda ops: None}, "plan must be a list.*correct the planner"),
        ({"planner": lambda ops: [tuple(ops[1:])]}, "correct the planner"),
        ({"sorter": lambda plan: None}, "sorter `<lambda>` must return signals"),
        ({"simplifications": [lambda ops: None]}, "simplification `<lambda>` must"),
        ({"simplifications": [lambda ops: ops[:1]]}, "simplification `<lambda>` must"),
    ],
)
def test_functions_that_return_something_else(settings, message):
    with nengo.Network() as net:
        configure_settings(**settings)
        nengo.Probe(nengo.Node([1]))
    with pytest.raises(BuildError, match=message):
        compile_network(net)


def test_configured_settings():
    with nengo.Network() as net:
        configure_settings(planner=noop_planner, use_loop=False, simplifications=[])
        configure_settings(learning_phase=False, lif_smoothing=None)
    settings = Settings.of(net)
    assert settings.planner is noop_planner
    assert settings.use_loop is False and settings.learning_phase is False
    assert settings.simplifications == ()
    assert settings.lif_smoothing is None


def test_what_becomes_an_input():
    with nengo.Network() as net:
        constant = nengo.Node([1])
        function = nengo.Node(lambda t: t)
        process = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
        silent = nengo.Node(lambda t: None, size_out=0)
        nothing = nengo.Node(size_in=0)
        nengo.Node(lambda t, x: x, size_in=1)
        with nengo.Network():
            inner = nengo.Node([2])
            ens = nengo.Ensemble(5, 1, noise=nengo.processes.WhiteNoise())
    model = build_model(net, dt=0.001)
    inputs = feed_inputs(model)

    nodes = (constant, function, process, silent, nothing, inner)
    assert inputs.nodes == nodes
    feeds = [op for op in inputs.operators if isinstance(op, Feed)]
    assert [feed.source for feed in feeds[:4]] == [constant, function, process, inner]
    assert [feed.mode for feed in feeds] == ["set"] * 4 + ["inc"]
    noise = feeds[4]
    assert noise.signal is model.sig[ens.neurons]["in"]
    assert isinstance(noise.source, SimProcess)

    producers = [type(inputs.producers.get(feed)) for feed in feeds]
    assert producers == [type(None), SimPyFunc, SimProcess, type(None), SimProcess]
    assert [op.fn for op in inputs.silent] == [silent.output]
    remaining = [op for op in inputs.operators if isinstance(op, SimPyFunc)]
    assert len(remaining) == 1 and remaining[0].x is not None


def test_model_is_not_changed():
    with nengo.Network() as net:
        node = nengo.Node(lambda t: t)
        nengo.Probe(nengo.Connection(node, nengo.Ensemble(5, 1)))
    model = build_model(net, dt=0.001)
    before = list(model.operators)
    accesses = [
        [list(s) for s in (op.sets, op.incs, op.reads, op.updates)] for op in before
    ]
    compile_model(model, Settings())
    assert model.operators == before
    assert accesses == [
        [list(s) for s in (op.sets, op.incs, op.reads, op.updates)] for op in before
    ]


def test_unknown_operator():
    class Op(Reset):
        make_step = Operator.make_step

    model = build_model(nengo.Network(), dt=0.001)
    model.add_op(Op(Signal(shape=(1,))))
    with pytest.raises(BuildError, match="No registered builder.*`Op`"):
        compile_model(model, Settings())


def test_plans_are_verified():
    with nengo.Network() as net:
        configure_settings(planner=lambda ops: [(op,) for op in ops[1:]])
        nengo.Probe(nengo.Ensemble(5, 1))
    with pytest.raises(BuildError, match="plan"):
        compile_network(net)


def test_planner_setting():
    with nengo.Network(seed=0) as net:
        inp = nengo.Node([0])
        for i in range(2):
            ens = nengo.Ensemble(5, 1, label=str(i))
            nengo.Connection(inp, ens, synapse=None)
            nengo.Probe(ens)
    merged = compile_network(net)
    with net:
        configure_settings(planner=noop_planner)
    unmerged = compile_network(net)
    assert all(len(group) == 1 for group in unmerged.plan)
    assert len(merged.plan) < len(unmerged.plan)


def test_history():
    with nengo.Network() as net:
        configure_settings(keep_history=True)
        node = nengo.Node([0])
        kept, not_kept = nengo.Probe(node), nengo.Probe(node)
    net.config[not_kept].keep_history = False
    program = compile_network(net)
    assert program.keeps_history(kept) and not program.keeps_history(not_kept)
    # what counts is the setting at the time of the compilation
    net.config[kept].keep_history = False
    assert program.keeps_history(kept)


def test_carried_arrays():
    """What is set in every step need not be carried from step to step."""
    a, b, c, unwritten = signals(4)
    plan = [(Reset(a),), (Copy(a, b, inc=True),), (Copy(unwritten, c),)]
    layout = lay_out([a, b, c, unwritten], plan)
    carried, constant = classify_arrays(layout, plan)
    assert carried == (layout.places[b][0],)
    assert constant == (layout.places[unwritten][0],)


def test_partly_set_arrays_are_carried():
    (a,) = signals(1)
    plan = [(Reset(a[:1]),)]
    layout = lay_out([a], plan)
    assert classify_arrays(layout, plan)[0] == (layout.places[a][0],)

    plan = [(Reset(a[:1]), Reset(a[1:]))]
    layout = lay_out([a], plan)
    assert classify_arrays(layout, plan) == ((), ())


def test_state_of_synapses_and_neurons_is_carried():
    with nengo.Network() as net:
        ens = nengo.Ensemble(5, 1)
        nengo.Probe(ens, synapse=nengo.Alpha(0.1))
    program = compile_network(net)
    places = program.layout.places
    (synapse,) = operators(program, SimProcess)
    voltage = program.model.sig[ens.neurons]["voltage"]
    for signal in (synapse.state["X"], synapse.output, voltage):
        assert places[signal.base][0] in program.carried
    output = program.model.sig[ens.neurons]["out"]
    assert places[output.base][0] not in program.carried


def test_description():
    with nengo.Network(label="My network") as net:
        nengo.Probe(nengo.Ensemble(5, 1, neuron_type=nengo.LIF()))
    text = str(compile_network(net))
    assert "My network" in text
    assert "SimNeurons x 1: sets" in text
    for role in ("constant", "carried", "computed in every step"):
        assert role in text
    assert "float32 minibatch x (5,), carried" in text


COMPILE = """
import nengo
from nengo_dl import graph_optimizer
from nengo_dl.builder import build_model
from nengo_dl.config import Settings, configure_settings
from nengo_dl.graph.program import compile_model

nengo.rc.set("decoder_cache", "enabled", "False")
with nengo.Network(seed=0) as net:
    inp = nengo.Node([0, 0])
    for i in range(4):
        neurons = [nengo.LIF(), nengo.Tanh()][i % 2]
        ens = nengo.Ensemble(10 + i % 2, 2, neuron_type=neurons)
        nengo.Connection(inp, ens)
        conn = nengo.Connection(ens, ens, learning_rule_type=nengo.PES())
        nengo.Probe(ens, synapse=0.01)
for planner in ("noop", "greedy", "tree", "transitive"):
    with net:
        configure_settings(planner=getattr(graph_optimizer, planner + "_planner"))
    model = build_model(net, dt=0.001)
    program = compile_model(model, Settings.of(model))
    numbers = {op: i for i, op in enumerate(model.operators)}
    for group in program.plan:
        print(type(group[0]).__name__, [numbers.get(op) for op in group])
    for array in program.layout.arrays.values():
        print(array.key, array.shape, [s.size for s in array.signals])
        print(program.layout.initial_values(array.key).ravel()[:5])
"""


def test_compilation_is_deterministic():
    outputs = [
        subprocess.run(
            [sys.executable, "-c", COMPILE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("TimeUpdate") == 4


def test_equal_networks_have_equal_arrays():
    with nengo.Network(seed=0) as net:
        a, b = nengo.Ensemble(10, 1), nengo.Ensemble(20, 2)
        nengo.Connection(a, b[0])
    first, second = (compile_network(net).layout for _ in range(2))
    assert list(first.arrays) == list(second.arrays)
    for key in first.arrays:
        assert np.array_equal(first.initial_values(key), second.initial_values(key))
