"""
Planners: which operators run together, and in which order (stage 5 of the pipeline).

In: operators. Out: a plan, that is a list of groups (tuples) of operators. Each group
is built as one operator; it consists of operators that can be merged and do not depend
on each other, and comes after everything it depends on. The fewer groups the better.

A planner is a function from a list of operators to a plan. All of them give the same
plan for the same list in every process.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from nengo.builder.operator import Operator

from nengo_dl.graph_optimizer.dependencies import dependency_graph
from nengo_dl.graph_optimizer.schedule import Potential, Schedule

Plan = list[tuple[Operator, ...]]


def noop_planner(op_list: Sequence[Operator]) -> Plan:
    """
    Put every operator into a group of its own, in an order that respects dependencies.

    Parameters
    ----------
    op_list : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        The groups.

    Raises
    ------
    nengo.exceptions.BuildError
        If the operators depend on each other in a cycle.
    """
    graph = dependency_graph(op_list)
    return [
        (graph.operators[node],)
        for node in graph.topological_order()
        if not graph.is_barrier(node)
    ]


def greedy_planner(op_list: Sequence[Operator]) -> Plan:
    """
    Run the largest group that could run next, always.

    Parameters
    ----------
    op_list : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        The groups.

    Raises
    ------
    nengo.exceptions.BuildError
        If the operators depend on each other in a cycle, or the type of one of them
        has no registered builder.
    """
    schedule = Schedule(op_list)
    plan: Plan = []
    sizes = [(-len(ready), number) for number, ready in enumerate(schedule.ready)]
    heapq.heapify(sizes)
    while sizes:
        size, number = heapq.heappop(sizes)
        # entries are not removed when a class grows or is taken, but skipped here
        if size == 0 or -size != len(schedule.ready[number]):
            continue
        step = schedule.take(number)
        plan.append(schedule.group(step))
        for grown in dict.fromkeys(schedule.class_of[node] for node in step.released):
            heapq.heappush(sizes, (-len(schedule.ready[grown]), grown))
    schedule.check_finished()
    return plan


def tree_planner(op_list: Sequence[Operator], max_depth: int = 3) -> Plan:
    """
    Look several groups ahead before deciding which group to run next.

    As long as there is a class of mergeable operators whose next group cannot grow any
    more, that group is run: waiting would gain nothing. Otherwise the planner tries out
    sequences of groups, and runs the first group of the sequence that gets most
    operators done.

    Parameters
    ----------
    op_list : sequence of nengo.builder.Operator
        The operators.
    max_depth : int
        Length of the sequences that are tried out. With 1 this is `greedy_planner`.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        The groups.

    Raises
    ------
    nengo.exceptions.BuildError
        If the operators depend on each other in a cycle, or the type of one of them
        has no registered builder.
    """
    if max_depth <= 1:
        return greedy_planner(op_list)

    schedule = Schedule(op_list)
    potential = Potential(schedule)
    plan: Plan = []
    complete = list(schedule.available)
    while schedule.available:
        while complete:
            number = complete.pop()
            if number in schedule.available and potential.is_complete(number):
                break
        else:
            _, number = _best_sequence(schedule, max_depth)
        step = schedule.take(number)
        potential.take(step)
        plan.append(schedule.group(step))
        complete.append(number)
        complete.extend(dict.fromkeys(schedule.class_of[n] for n in step.released))
    schedule.check_finished()
    return plan


#: How many groups `_best_sequence` tries out at each point.
BREADTH = 4


def _best_sequence(schedule: Schedule, max_depth: int) -> tuple[int, int]:
    """
    Find the sequence of groups that gets most operators done.

    Returns
    -------
    n_done : int
        Number of operators in the sequence.
    number : int
        The class of its first group; -1 if no operator is ready.
    """
    candidates = sorted(
        schedule.available, key=lambda number: (-len(schedule.ready[number]), number)
    )
    best = (0, -1)
    for number in candidates[:BREADTH]:
        step = schedule.take(number)
        n_done = len(step.nodes)
        if max_depth > 1:
            n_done += _best_sequence(schedule, max_depth - 1)[0]
        schedule.undo(step)
        if n_done > best[0]:
            best = (n_done, number)
    return best
