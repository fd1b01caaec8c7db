"""
The oracle: every operator builder, neuron type and synapse against `nengo.Simulator`.

What the rows of the table in ``reference_rows`` probe has to be what Nengo computes, in
double precision, with and without XLA, for minibatches of one and of several items with
different inputs. The rows are simulated together, as that is much faster; those that
call Python in a network of their own, because nothing around them could be compiled as
a whole.
"""

from __future__ import annotations

import warnings
from functools import cache

import nengo
import numpy as np
import pytest
from builder_oracle import check
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from reference_rows import ACTIVATIONS, N_STEPS, OPERATORS, RANDOM_SPIKING, ROWS, SIZE

import nengo_dl
from nengo_dl.builder import Builder
from nengo_dl.graph_optimizer import (
    greedy_planner,
    noop_planner,
    transitive_planner,
    tree_planner,
)
from nengo_dl.neuron_builders import SimNeuronsBuilder
from nengo_dl.process_builders import SimProcessBuilder

N_ITEMS = 3


def network(pure, for_nengo=False):
    """Return a network of rows, its input, and the probes of each row."""
    with nengo.Network(seed=0) as net:
        stim = nengo.Node(np.zeros(SIZE))
        probes = {}
        for row in ROWS:
            if row.pure == pure:
                make = row.reference if for_nengo and row.reference else row.make
                with nengo.Network(seed=1, label=row.name) as part:
                    make(stim)
                probes[row.name] = part.all_probes
    return net, stim, probes


def recorded(sim, probes):
    """Return the data of the probes of each row."""
    return {row: [np.array(sim.data[p]) for p in own] for row, own in probes.items()}


def inputs():
    """Return the input of each item of a minibatch."""
    times = np.arange(1, N_STEPS + 1)[:, None] * 0.001
    return np.stack(
        [np.sin(f * times + np.arange(SIZE)) for f in (5, 20, -90)[:N_ITEMS]]
    )


@cache
def reference(pure, item):
    """Return what `nengo.Simulator` records for the input of one item."""
    net, stim, probes = network(pure, for_nengo=True)
    values = inputs()[item]
    stim.output = lambda t: values[int(round(t / 0.001)) - 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Nengo's, of gains and biases
        with nengo.Simulator(net, progress_bar=False) as sim:
            sim.run_steps(N_STEPS)
            return recorded(sim, probes)


@cache
def simulated(pure, jit_compile, minibatch_size, planner=tree_planner):
    """Return what we record for the inputs of all items, and the plan."""
    net, stim, probes = network(pure)
    with net:
        nengo_dl.configure_settings(
            dtype="float64", jit_compile=jit_compile, planner=planner
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Nengo's, and ours of NumPy neurons
        with nengo_dl.Simulator(
            net, minibatch_size=minibatch_size, progress_bar=False
        ) as sim:
            assert sim.tensor_graph.step.pure == pure
            # in two parts, so that states go from one run to the next
            for part in np.split(inputs()[:minibatch_size], [N_STEPS // 3], axis=1):
                sim.run_steps(part.shape[1], data={stim: part})
            return recorded(sim, probes), sim.tensor_graph.plan


@pytest.mark.parametrize("minibatch_size", [1, N_ITEMS])
@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_equals_nengo(row, jit_compile, minibatch_size):
    data, plan = simulated(row.pure, jit_compile, minibatch_size)
    assert set(row.operators) <= {type(ops[0]) for ops in plan}
    assert any(values.any() for values in data[row.name])
    for item in range(minibatch_size):
        expected = reference(row.pure, item)[row.name]
        for number, values in enumerate(data[row.name]):
            np.testing.assert_allclose(
                values[item, : row.n_steps],
                expected[number][: row.n_steps],
                atol=row.tol,
                rtol=row.tol,
                err_msg=f"probe {number}, item {item}",
            )


@pytest.mark.parametrize("planner", [transitive_planner, greedy_planner, noop_planner])
@pytest.mark.parametrize("pure", [True, False])
def test_planners_change_no_number(pure, planner):
    data, plan = simulated(pure, False, 1, planner)
    expected, _ = simulated(pure, False, 1)
    assert (max(map(len, plan)) > 1) == (planner is not noop_planner)
    for row in (row for row in ROWS if row.pure == pure):
        for values, usual in zip(data[row.name], expected[row.name]):
            np.testing.assert_allclose(values, usual, atol=row.tol, rtol=row.tol)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("op_type", OPERATORS)
def test_operator_equals_its_numpy_step(op_type, jit_compile):
    check(OPERATORS[op_type](), minibatch_sizes=(1, N_ITEMS), jit_compile=jit_compile)


def test_pairs_are_merged():
    """The parameters of merged neurons and synapses are those of each of them."""
    _, plan = simulated(True, True, 1)
    types = [type(ops[0].neurons) for ops in plan if isinstance(ops[0], SimNeurons)]
    assert len(types) == len(set(types))


def test_every_builder_has_a_row():
    tested = {operator for row in ROWS for operator in row.operators} | set(OPERATORS)
    assert set(Builder.builders) <= {
        t if t in Builder.builders else Operator for t in tested
    }


def test_every_native_type_has_a_row():
    tested = {cls for row in ROWS for cls in row.covers} | RANDOM_SPIKING
    tested |= {type(neuron_type) for neuron_type, _ in ACTIVATIONS}
    assert set(SimNeuronsBuilder.TF_NEURON_IMPL) <= tested
    assert set(SimProcessBuilder.TF_PROCESS_IMPL) <= tested
