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

from nengo.builder.operator import Operator, SimPyFunc

from nengo_dl.graph.dependencies import dependency_graph
from nengo_dl.graph.schedule import Candidates, Schedule

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
        nodes, grown = schedule.take(number)
        plan.append(schedule.group(nodes))
        for other in grown:
            heapq.heappush(sizes, (-len(schedule.ready[other]), other))
    schedule.check_finished()
    return plan


def tree_planner(op_list: Sequence[Operator], max_depth: int = 3) -> Plan:
    """
    Run complete groups first; if there is none, the one that holds up most.

    At any time, there is one group for each class of operators that can be merged:
    those that are ready. It may grow when other groups have run. There are two cases:

    1. There is a group that cannot grow any more, however long we wait. It is run: that
       cannot be wrong.
    2. All groups could grow. One of them has to run nevertheless, and what would have
       joined it needs another group later. The group is chosen for which the number of
       operators that wait for it, and could then join others, exceeds the number of
       operators that could still have joined it by most.

    Before (where all ``a`` can be merged)::

        a1, a2, a3        read what is there
        b                 sets x
        a4, a5, a6        read x

    The group of ``b`` is complete, while that of ``a`` can grow. `greedy_planner` would
    make three groups: ``(a1, a2, a3), (b,), (a4, a5, a6)``. After::

        (b,), (a1, a2, a3, a4, a5, a6)

    Python functions without output come last, so that what can be compiled is in one
    piece.

    Parameters
    ----------
    op_list : sequence of nengo.builder.Operator
        The operators.
    max_depth : int
        With 1, there is no looking ahead, and this is `greedy_planner`. There is no
        limit otherwise.

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
    candidates = Candidates(schedule)
    plan: Plan = []
    calls: Plan = []
    perhaps_complete = list(schedule.available)
    while schedule.available:
        number = None
        while perhaps_complete and number is None:
            other = perhaps_complete.pop()
            if other in schedule.available and candidates.is_complete(other):
                number = other
        if number is None:
            number = candidates.best_to_split()
        nodes, grown = schedule.take(number)
        candidates.take(number, nodes)
        group = schedule.group(nodes)
        is_last = not any(schedule.graph.successors[node] for node in nodes)
        (calls if is_last and _writes_nothing(group) else plan).append(group)
        perhaps_complete += [number, *grown]
    return plan + calls


def _writes_nothing(group: Sequence[Operator]) -> bool:
    """Return whether a group consists of Python functions without output."""
    return all(isinstance(op, SimPyFunc) and op.output is None for op in group)
