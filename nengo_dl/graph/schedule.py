"""
The bookkeeping of planners that run one group after the other.

In: operators. Out: at any time, which operators could run next, and which could join
them later.

In this file, operators are numbered in the order in which they are given, and classes
are those of `.merge_classes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from nengo.builder.operator import Operator

from nengo_dl.graph.dependencies import dependency_graph
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

    Parameters
    ----------
    schedule : Schedule
        A schedule from which nothing was taken yet.

    Notes
    -----
    An operator *depends on a class* as long as it depends on one of its operators that
    has not run. Of the nodes between two operators of the same class, it is counted how
    many of those right before them are of the class, or depend on it, so that all
    bookkeeping of a class takes a single pass over these nodes.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._order = schedule.graph.topological_order()
        # for each class the nodes that depend on it, and are of the class or have it
        # depend on them; and on how many of their predecessors that depends
        self._counts: list[dict[int, int]] = [{} for _ in schedule.ready]
        self._candidates: list[dict[int, None]] = [{} for _ in schedule.ready]
        self._count()

    def _count(self) -> None:
        successors, class_of = self._schedule.graph.successors, self._schedule.class_of
        # classes are bits of integers; one with a single operator needs none
        sizes = Counter(class_of)
        own = [1 << n if sizes[n] > 1 else 0 for n in class_of]
        own += [0] * (len(successors) - len(own))  # barriers have no class
        before = [0] * len(successors)
        after = [0] * len(successors)
        for node in self._order:
            bits = before[node] | own[node]
            for successor in successors[node]:
                before[successor] |= bits
        for node in reversed(self._order):
            for successor in successors[node]:
                after[node] |= after[successor] | own[successor]
        for node in self._order:
            bits = before[node] | own[node]
            for successor in successors[node]:
                between = bits & (after[successor] | own[successor])
                for number in _positions(between):
                    counts = self._counts[number]
                    counts[successor] = counts.get(successor, 0) + 1
        for node, number in enumerate(class_of):
            if not before[node] & own[node]:
                self._candidates[number][node] = None

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
        class_of, counts = self._schedule.class_of, self._counts[number]
        candidates = self._candidates[number]
        independent = list(nodes)
        for node in nodes:
            del candidates[node]
        for node in independent:  # grows while we go through it
            for successor in self._schedule.graph.successors[node]:
                if successor in counts:
                    counts[successor] -= 1
                    if counts[successor] > 0:
                        continue
                    if successor < len(class_of) and class_of[successor] == number:
                        candidates[successor] = None
                    else:
                        independent.append(successor)

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
        held_up = self._held_up(available)
        gains = dict.fromkeys(available, 0)
        for number in available:
            for node in self._waiting(number):
                gains[number] -= 1
                for i in _positions(held_up.get(node, 0)):
                    gains[available[i]] += 1
        return max(available, key=lambda number: (gains[number], -number))

    def _held_up(self, available: Sequence[int]) -> dict[int, int]:
        """
        Find out which nodes wait for operators that are ready.

        Returns
        -------
        held_up : dict of {int: int}
            For every node a set of classes: bit ``i`` stands for ``available[i]``.
        """
        held_up = {
            node: 1 << i
            for i, number in enumerate(available)
            for node in self._schedule.ready[number]
        }
        for node in self._order:
            bits = held_up.get(node)
            if bits:
                for successor in self._schedule.graph.successors[node]:
                    held_up[successor] = held_up.get(successor, 0) | bits
        return held_up

    def _waiting(self, number: int) -> Iterator[int]:
        """Yield the candidates of a class that are not ready."""
        ready = set(self._schedule.ready[number])
        return (node for node in self._candidates[number] if node not in ready)


def _positions(bits: int) -> Iterator[int]:
    """Yield the positions of the bits of an integer that are set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
