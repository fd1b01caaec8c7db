"""
Which random numbers the processes of a model get, and operators that NumPy runs.

In: a built Nengo model and the seed of the simulation. Out: random number generators
for all of them, in the states in which `nengo.Simulator` hands them out.

Nengo draws a seed for every process, and hands its generator to every other operator
that asks for it, in the order in which the operators run. The order
here is that of ``nengo.Simulator(..., optimize=False)``. How Nengo's optimizer merges
operators depends on where they are in memory, so that with it, the numbers of unseeded
processes may differ from one `nengo.Simulator` of a network to the next.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.processes import Piecewise, PresentInput, Process
from nengo.synapses import Alpha, LinearFilter, Lowpass, Triangle
from nengo.utils.graphs import toposort
from nengo.utils.numpy import maxint
from nengo.utils.simulator import operator_dependency_graph

from nengo_dl.builder import Builder

# The steps of processes that make no use of random numbers.
DETERMINISTIC = {
    process.make_step
    for process in (Alpha, LinearFilter, Lowpass, Piecewise, PresentInput, Triangle)
}


def is_random(process: Process) -> bool:
    """Return whether a process may make use of random numbers."""
    return type(process).make_step not in DETERMINISTIC


def seed_processes(
    order: Sequence[Operator],
    rng: np.random.RandomState,
    minibatch_size: int,
    make_step: Callable[[Operator, int, np.random.RandomState], None] | None = None,
) -> dict[SimProcess, list[Any]]:
    """
    Make the random number generators of all processes.

    The first item of the minibatch gets the numbers that `nengo.Simulator` draws. A
    process with a seed of its own has the same numbers in every item.

    Parameters
    ----------
    order : list of Operator
        All processes, in the order in which `nengo.Simulator` makes their steps, with
        the operators that NumPy runs among them.
    rng : numpy.random.RandomState
        Draws the seeds; of the seed of the simulation.
    minibatch_size : int
        Number of items.
    make_step : callable, optional
        Called for operators that are no processes, and every item, with the generator
        of the item, from which the operator may draw now and in every step.

    Returns
    -------
    rngs : dict of {SimProcess: list of (numpy.random.RandomState or None)}
        One generator for each item; None if the process makes no use of it.
    """
    rngs: dict[SimProcess, list] = {
        op: [] for op in order if isinstance(op, SimProcess)
    }
    for item in range(minibatch_size):
        if item > 0 and len(rngs) < len(order):
            # the numbers that are still to come belong to the item before
            rng = np.random.RandomState(copy.deepcopy(rng).randint(maxint))
        for op in order:
            if op not in rngs:
                if make_step is not None:
                    make_step(op, item, rng)
            elif is_random(op.process):
                rngs[op].append(op.process.get_rng(rng))
            else:
                rngs[op].append(None)
                if op.process.seed is None:
                    rng.randint(maxint)  # Nengo's draw
    return rngs


def process_order(model: Model) -> list[Operator]:
    """
    Return what draws random numbers, in the order in which Nengo makes the steps.

    It takes time to find out that order, which is only spent if there are random
    numbers to be drawn.

    Returns
    -------
    order : list of Operator
        The processes of a model, and the operators that NumPy runs.
    """
    operators = [op for op in model.operators if _may_draw(op)]
    unseeded = [
        op
        for op in operators
        if not isinstance(op, SimProcess)
        or (op.process.seed is None and is_random(op.process))
    ]
    if not unseeded or len(operators) == 1:
        return operators
    graph = operator_dependency_graph(model.operators)
    return [op for op in toposort(graph) if _may_draw(op)]


def _may_draw(op: Operator) -> bool:
    return isinstance(op, SimProcess) or Builder.runs_in_numpy(op)
