"""
The bookkeeping of planners that run one group after the other.

In: operators. Out: at any time, which operators could run next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator

from nengo_dl.graph_optimizer.dependencies import DependencyGraph, dependency_graph
from nengo_dl.graph_optimizer.merge import merge_classes


@dataclass(frozen=True)
class Step:
    """
    What happened when a group was taken.

    Parameters
    ----------
    number : int
        The class of the group.
    nodes : list of int
        The operators in the group.
    released : list of int
        The operators that became ready by that.
    passed : list of int
        The barriers that were passed by that.
    """

    number: int
    nodes: list[int]
    released: list[int]
    passed: list[int]


class Schedule:
    """
    Keeps track of the operators that are ready to run.

    Operators are numbered in the order of ``operators``; classes are those of
    `.merge_classes`.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators to plan.

    Attributes
    ----------
    class_of : list of int
        The class of each operator.
    ready : list of list of int
        For each class the operators that could run next.
    available : dict of {int: None}
        The classes with ready operators (an ordered set).
    """

    def __init__(self, operators: Sequence[Operator]):
        self.graph: DependencyGraph = dependency_graph(operators)
        self.class_of = merge_classes(operators)
        self.ready: list[list[int]] = [
            [] for _ in range(max(self.class_of, default=-1) + 1)
        ]
        self.available: dict[int, None] = {}
        self._waiting = list(self.graph.n_predecessors)
        self._n_left = len(self.class_of)
        for node, number in enumerate(self.class_of):
            if self._waiting[node] == 0:
                self.ready[number].append(node)
                self.available[number] = None

    def take(self, number: int) -> Step:
        """Run all operators of a class that are ready."""
        nodes = self.ready[number]
        self.ready[number] = []
        del self.available[number]
        self._n_left -= len(nodes)
        step = Step(number, nodes, [], [])
        for node in nodes:
            self._release_successors(node, step)
        for node in step.passed:  # grows while we go through it
            self._release_successors(node, step)
        for node in step.released:
            self.ready[self.class_of[node]].append(node)
            self.available[self.class_of[node]] = None
        return step

    def _release_successors(self, node: int, step: Step) -> None:
        waiting = self._waiting
        n_operators = len(self.class_of)
        for successor in self.graph.successors[node]:
            waiting[successor] -= 1
            if waiting[successor] == 0:
                if successor < n_operators:
                    step.released.append(successor)
                else:
                    step.passed.append(successor)

    def undo(self, step: Step) -> None:
        """Undo the last `take` that was not undone yet."""
        for node in reversed(step.released):
            ready = self.ready[self.class_of[node]]
            ready.pop()
            if not ready:
                del self.available[self.class_of[node]]
        for nodes in (step.passed, step.nodes):
            for node in nodes:
                for successor in self.graph.successors[node]:
                    self._waiting[successor] += 1
        self.ready[step.number] = step.nodes
        self.available[step.number] = None
        self._n_left += len(step.nodes)

    def group(self, step: Step) -> tuple[Operator, ...]:
        """Return the operators of a group, in their original order."""
        return tuple(self.graph.operators[node] for node in sorted(step.nodes))

    def check_finished(self) -> None:
        """
        Make sure that all operators were taken.

        Raises
        ------
        nengo.exceptions.BuildError
            If some could not be, because they depend on each other in a cycle.
        """
        if self._n_left > 0:
            self.graph.raise_cycle([n for n, w in enumerate(self._waiting) if w > 0])

    def potential(self) -> Potential:
        """Return the account of how far groups could grow (before any `take`)."""
        return Potential(self)


class Potential:
    """
    Keeps track of the operators that could be in the next group of each class.

    These are all operators of the class that do not depend on another one of it that
    has not run yet. Once all of them are ready, the group cannot grow any more.

    Parameters
    ----------
    schedule : Schedule
        A schedule from which nothing was taken yet.
    """

    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        order = schedule.graph.topological_order()
        operators = [n for n in order if not schedule.graph.is_barrier(n)]
        self._rank = {node: rank for rank, node in enumerate(operators)}
        self._node = operators
        self._left = (1 << len(operators)) - 1
        self._blockers = _ancestors_of_same_class(schedule, order, self._rank)
        self._blocked: dict[int, list[int]] = defaultdict(list)
        self._size = [0] * len(schedule.ready)
        for node in operators:
            self._register(node)

    def is_complete(self, number: int) -> bool:
        """Return whether the next group of a class cannot grow by waiting."""
        return len(self._schedule.ready[number]) == self._size[number]

    def take(self, step: Step) -> None:
        """Take notice of a group that was run."""
        for node in step.nodes:
            self._left &= ~(1 << self._rank[node])
        self._size[step.number] -= len(step.nodes)
        for node in step.nodes:
            for blocked in self._blocked.pop(node, ()):
                self._register(blocked)

    def _register(self, node: int) -> None:
        """Count an operator in, or note which other one it has to wait for."""
        blockers = self._blockers[node] & self._left
        if blockers:
            # the last one to run is most likely the last one to block
            self._blocked[self._node[blockers.bit_length() - 1]].append(node)
        else:
            self._size[self._schedule.class_of[node]] += 1


def _ancestors_of_same_class(
    schedule: Schedule, order: Sequence[int], rank: dict[int, int]
) -> dict[int, int]:
    """
    Find the operators of its own class that each operator depends on.

    Returns
    -------
    ancestors : dict of {int: int}
        Sets of operators as bits of an integer, where bit ``rank[op]`` stands for
        ``op``: 10,000 operators make 10,000 sets, too many for Python's own.
    """
    graph = schedule.graph
    members = [0] * len(schedule.ready)
    for node, bit in rank.items():
        members[schedule.class_of[node]] |= 1 << bit
    pending: dict[int, int] = defaultdict(int)
    ancestors: dict[int, int] = {}
    for node in order:
        bits = pending.pop(node, 0)
        if not graph.is_barrier(node):
            ancestors[node] = bits & members[schedule.class_of[node]]
            bits |= 1 << rank[node]
        for successor in graph.successors[node]:
            pending[successor] |= bits
    return ancestors
