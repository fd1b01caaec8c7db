"""
Which random numbers the processes of a model get.

In: a built Nengo model and the seed of the simulation. Out: random number generators
for all processes, in the states in which `nengo.Simulator` hands them out.

Nengo draws a seed for every process, in the order in which the operators run. The order
here is that of ``nengo.Simulator(..., optimize=False)``. How Nengo's optimizer merges
operators depends on where they are in memory, so that with it, the numbers of unseeded
processes may differ from one `nengo.Simulator` of a network to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nengo.builder import Model
from nengo.builder.processes import SimProcess
from nengo.processes import Piecewise, PresentInput, Process
from nengo.synapses import Alpha, LinearFilter, Lowpass, Triangle
from nengo.utils.graphs import toposort
from nengo.utils.numpy import maxint
from nengo.utils.simulator import operator_dependency_graph

# The steps of processes that make no use of random numbers.
DETERMINISTIC = {
    process.make_step
    for process in (Alpha, LinearFilter, Lowpass, Piecewise, PresentInput, Triangle)
}


def is_random(process: Process) -> bool:
    """Return whether a process may make use of random numbers."""
    return type(process).make_step not in DETERMINISTIC


def seed_processes(
    order: Sequence[SimProcess], rng: np.random.RandomState, minibatch_size: int
) -> dict[SimProcess, list[Any]]:
    """
    Make the random number generators of all processes.

    The first item of the minibatch gets the numbers that `nengo.Simulator` draws. A
    process with a seed of its own has the same numbers in every item.

    Parameters
    ----------
    order : list of SimProcess
        All processes, in the order in which `nengo.Simulator` makes their steps.
    rng : numpy.random.RandomState
        Draws the seeds; of the seed of the simulation.
    minibatch_size : int
        Number of items.

    Returns
    -------
    rngs : dict of {SimProcess: list of (numpy.random.RandomState or None)}
        One generator for each item; None if the process makes no use of it.
    """
    rngs: dict[SimProcess, list] = {op: [] for op in order}
    for _ in range(minibatch_size):
        for op in order:
            if is_random(op.process):
                rngs[op].append(op.process.get_rng(rng))
            else:
                rngs[op].append(None)
                if op.process.seed is None:
                    rng.randint(maxint)  # Nengo's draw
    return rngs


def process_order(model: Model) -> list[SimProcess]:
    """
    Return the processes of a model in the order in which Nengo seeds them.

    It takes time to find out that order, which is only spent if there are random
    numbers to be drawn.
    """
    processes = [op for op in model.operators if isinstance(op, SimProcess)]
    unseeded = [
        op for op in processes if op.process.seed is None and is_random(op.process)
    ]
    if not unseeded or len(processes) == 1:
        return processes
    graph = operator_dependency_graph(model.operators)
    return [op for op in toposort(graph) if isinstance(op, SimProcess)]
