import gc
from contextlib import nullcontext

import nengo
import pytest
from graphs import make_graph
from nengo.exceptions import BuildError

from nengo_dl.config import configure_settings
from nengo_dl.graph_optimizer import tree_planner


def test_training_version_of_an_inference_network():
    with nengo.Network() as net:
        configure_settings(inference_only=True, learning_phase=True)
    with pytest.raises(BuildError, match="inference_only=True"):
        make_graph(net)


def test_facts_for_developers():
    with nengo.Network() as net:
        configure_settings(dtype="float64", use_loop=False, inference_only=True)
        node = nengo.Node([1, 2])
        nengo.Probe(nengo.Ensemble(10, 1))
    graph = make_graph(net, seed=3)
    assert graph.name == "TensorGraph"
    assert graph.dtype == "float64" and graph.seed == 3 and graph.dt == 0.001
    assert graph.use_loop is False and graph.inference_only is True
    assert list(graph.invariant_inputs) == [node]
    assert len(graph.op_builder.op_builds) == len(graph.plan)
    assert graph.trainable_weights == []
    assert graph.supports_jit


def test_python_in_the_step_cannot_be_compiled():
    with nengo.Network() as net:
        nengo.Node(lambda t, x: None, size_in=1)
    assert not make_graph(net).supports_jit


def test_without_optimization():
    with nengo.Network() as net:
        nengo.Connection(nengo.Node([1]), nengo.Ensemble(10, 1), transform=1)
    graph = make_graph(net, optimize=False)
    assert all(len(group) == 1 for group in graph.plan)
    assert len(graph.plan) > len(make_graph(net).plan)


@pytest.mark.parametrize("fails", [False, True])
def test_no_garbage_collection_while_optimizing(fails):
    during = []

    def planner(operators):
        during.append(gc.isenabled())
        return [] if fails else tree_planner(operators)

    with nengo.Network() as net:
        configure_settings(planner=planner)
    with pytest.raises(BuildError) if fails else nullcontext():
        make_graph(net)
    assert during == [False] and gc.isenabled()
