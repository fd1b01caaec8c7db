"""
The bookkeeping of planners that run one group after the other.

In: operators. Out: at any time, which operators could run next, and which could join
them later.

In this file, operators are numbered in the order in which they are given, and classes
are those of `.merge_classes`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from nengo.builder.operator import Operator

from nengo_dl.graph.dependencies import (
    dependency_graph,
    transitive_closure_recurse,
)
from nengo_dl.graph.merge import merge_classes


class Schedule:
    """
    Keeps track of the operators that are ready to run.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators to plan.

    Attributes
    ----------
    graph : DependencyGraph
        The dependencies.
    class_of : list of int
        The class of each operator.
    ready : list of list of int
        For each class the operators that could run next.
    available : dict of {int: None}
        The classes with ready operators (an ordered set).
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.graph = dependency_graph(operators)
        self.class_of = merge_classes(operators)
        n_classes = max(self.class_of, default=-1) + 1
        self.ready: list[list[int]] = [[] for _ in range(n_classes)]
        self.available: dict[int, None] = {}
        self._waiting = list(self.graph.n_predecessors)
        self._n_left = len(self.class_of)
        for node in range(self._n_left):
            if self._waiting[node] == 0:
                self._make_ready(node)

    def take(self, number: int) -> tuple[list[int], list[int]]:
        """
        Run all operators of a class that are ready.

        Returns
        -------
        nodes : list of int
            These operators.
        grown : list of int
            The classes for which more operators are ready now.
        """
        nodes = sorted(self.ready[number])
        self.ready[number] = []
        del self.available[number]
        self._n_left -= len(nodes)
        grown: dict[int, None] = {}
        passed = list(nodes)
        for node in passed:  # grows while we go through it
            for successor in self.graph.successors[node]:
                self._waiting[successor] -= 1
                if self._waiting[successor] == 0:
                    if self.graph.is_barrier(successor):
                        passed.append(successor)
                    else:
                        grown[self._make_ready(successor)] = None
        return nodes, list(grown)

    def _make_ready(self, node: int) -> int:
        """Note that an operator is ready, and return its class."""
        number = self.class_of[node]
        self.ready[number].append(node)
        self.available[number] = None
        return number

    def group(self, nodes: Sequence[int]) -> tuple[Operator, ...]:
        """Return the operators with the given numbers."""
        return tuple(self.graph.operators[node] for node in nodes)

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


class Candidates:
    """
    Keeps track of the operators that could be in the next group of each class.

    The *candidates* of a class are all its operators that do not depend on another one
    of the class that has not run yet. Some are ready, others wait for operators of
    other classes. Once all are ready, waiting cannot make the group any larger.

    Sets of operators are represented by the bits of integers; see
    `.transitive_closure_recurse`.

    Parameters
    ----------
    schedule : Schedule
        A schedule from which nothing was taken yet.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._order, self._ancestors = transitive_closure_recurse(schedule.graph)
        self._bit = [0] * len(self._order)
        self._left = [0] * len(schedule.ready)  # the operators of each class
        for rank, node in enumerate(self._order):
            self._bit[node] = 1 << rank
            self._left[schedule.class_of[node]] |= 1 << rank
        self._blocked: dict[int, list[int]] = defaultdict(list)
        self._candidates: list[dict[int, None]] = [{} for _ in schedule.ready]
        for node in self._order:
            self._register(node)

    def is_complete(self, number: int) -> bool:
        """Return whether all candidates of a class are ready."""
        n_ready = len(self._schedule.ready[number])
        return n_ready == len(self._candidates[number])

    def take(self, number: int, nodes: Sequence[int]) -> None:
        """
        Take notice of a group that was run.

        Parameters
        ----------
        number : int
            Its class.
        nodes : sequence of int
            Its operators, which all were candidates.
        """
        for node in nodes:
            self._left[number] &= ~self._bit[node]
            del self._candidates[number][node]
        for node in nodes:
            for blocked in self._blocked.pop(node, ()):
                self._register(blocked)

    def _register(self, node: int) -> None:
        """Make an operator a candidate, or note which other one it has to wait for."""
        number = self._schedule.class_of[node]
        blockers = self._ancestors[node] & self._left[number]
        if blockers:
            # the last one to run is most likely the last one to block
            blocker = self._order[blockers.bit_length() - 1]
            self._blocked[blocker].append(node)
        else:
            self._candidates[number][node] = None

    def best_to_split(self) -> int:
        """
        Choose what to run when no class is complete.

        Running an incomplete group leaves behind those of its candidates that wait. It
        pays off if more candidates of other classes wait for what is run.

        Returns
        -------
        number : int
            The available class for which the number of candidates of others that wait
            for it, less the number of candidates that it leaves behind, is largest.
        """
        available = list(self._schedule.available)
        waiting = {number: list(self._waiting(number)) for number in available}

        def gain(number: int) -> tuple[int, int]:
            ready = self._set_of(self._schedule.ready[number])
            held_up = sum(
                1
                for other in available
                if other != number
                for node in waiting[other]
                if self._ancestors[node] & ready
            )
            return held_up - len(waiting[number]), -number

        return max(available, key=gain)

    def _waiting(self, number: int) -> Iterator[int]:
        """Yield the candidates of a class that are not ready."""
        ready = set(self._schedule.ready[number])
        return (node for node in self._candidates[number] if node not in ready)

    def _set_of(self, nodes: Sequence[int]) -> int:
        bits = 0
        for node in nodes:
            bits |= self._bit[node]
        return bits
