"""
The bookkeeping of planners that run one group after the other.

In: operators. Out: at any time, which operators could run next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator

from nengo_dl.graph_optimizer.dependencies import (
    dependency_graph,
    transitive_closure_recurse,
)
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
        self.graph = dependency_graph(operators)
        self.class_of = merge_classes(operators)
        n_classes = max(self.class_of, default=-1) + 1
        self.ready: list[list[int]] = [[] for _ in range(n_classes)]
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
        self._order, self._ancestors = transitive_closure_recurse(schedule.graph)
        self._bits = [0] * len(self._order)
        self._members = [0] * len(schedule.ready)  # of each class, not yet run
        for rank, node in enumerate(self._order):
            self._bits[node] = 1 << rank
            self._members[schedule.class_of[node]] |= 1 << rank
        self._blocked: dict[int, list[int]] = defaultdict(list)
        self._size = [0] * len(schedule.ready)
        for node in self._order:
            self._register(node)

    def is_complete(self, number: int) -> bool:
        """Return whether the next group of a class cannot grow by waiting."""
        return len(self._schedule.ready[number]) == self._size[number]

    def take(self, step: Step) -> None:
        """Take notice of a group that was run."""
        self._size[step.number] -= len(step.nodes)
        for node in step.nodes:
            self._members[step.number] &= ~self._bits[node]
        for node in step.nodes:
            for blocked in self._blocked.pop(node, ()):
                self._register(blocked)

    def _register(self, node: int) -> None:
        """Count an operator in, or note which other one it has to wait for."""
        number = self._schedule.class_of[node]
        blockers = self._ancestors[node] & self._members[number]
        if blockers:
            # the last one to run is most likely the last one to block
            blocker = self._order[blockers.bit_length() - 1]
            self._blocked[blocker].append(node)
        else:
            self._size[number] += 1
