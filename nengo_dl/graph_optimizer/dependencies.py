"""
Which operators must run before which.

In: operators. Out: a `DependencyGraph`. The rules are Nengo's: within one step, all
sets of a piece of memory come first, then all increments, all reads, and the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator
from nengo.exceptions import BuildError

from nengo_dl.graph_optimizer.signal_io import ACCESSES, BaseAccess, SignalIO


@dataclass(frozen=True)
class DependencyGraph:
    """
    The order in which operators have to run.

    A signal with a thousand increments and a thousand reads would need a million edges.
    They are led through *barriers*, nodes that stand for "all increments are done";
    then two thousand do.

    Parameters
    ----------
    operators : tuple of nengo.builder.Operator
        Nodes ``0`` to ``len(operators) - 1``; nodes with higher numbers are barriers.
    successors : list of list of int
        For every node the nodes that have to wait for it. A node may be listed
        repeatedly.
    n_predecessors : list of int
        For every node how often it is listed in ``successors``.
    """

    operators: tuple[Operator, ...]
    successors: list[list[int]]
    n_predecessors: list[int]

    def is_barrier(self, node: int) -> bool:
        """Return whether a node is a barrier rather than an operator."""
        return node >= len(self.operators)

    def topological_order(self) -> list[int]:
        """
        Return all nodes such that each comes after those it has to wait for.

        Raises
        ------
        nengo.exceptions.BuildError
            If there is a cycle.
        """
        waiting = list(self.n_predecessors)
        order = [node for node, n in enumerate(waiting) if n == 0]
        for node in order:  # grows while we go through it
            for successor in self.successors[node]:
                waiting[successor] -= 1
                if waiting[successor] == 0:
                    order.append(successor)
        if len(order) < len(waiting):
            self.raise_cycle([node for node, n in enumerate(waiting) if n > 0])
        return order

    def raise_cycle(self, stuck: Sequence[int]) -> None:
        """
        Raise the error for a graph in which some operators can never run.

        Parameters
        ----------
        stuck : list of int
            The nodes that wait for each other.
        """
        ops = [str(self.operators[node]) for node in stuck if not self.is_barrier(node)]
        listed = ", ".join(f"`{op}`" for op in ops[:5])
        more = f" and {len(ops) - 5} more" if len(ops) > 5 else ""
        raise BuildError(
            "The operators of one time step must not wait for each other in a cycle, "
            f"but these do, or wait for others that do: {listed}{more}; give at least "
            "one connection of every loop in the network a synapse (0 will do)"
        )


def dependency_graph(operators: Sequence[Operator]) -> DependencyGraph:
    """
    Find out which operators have to wait for which.

    An operator that reads what it also writes waits for the other writers, not for
    itself.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    graph : DependencyGraph
        Its size is proportional to the number of accesses, apart from views: each pair
        of different overlapping views of a base adds a few edges.

    Raises
    ------
    nengo.exceptions.BuildError
        If several operators set, or several update, the same memory.
    """
    operators = tuple(operators)
    numbers = {op: i for i, op in enumerate(operators)}
    builder = _GraphBuilder(len(operators))
    for access in SignalIO(operators).bases.values():
        _check_single_writers(access)
        builder.add_base(access, numbers)
    return DependencyGraph(operators, builder.successors, builder.n_predecessors)


def transitive_closure_recurse(graph: DependencyGraph) -> tuple[list[int], list[int]]:
    """
    Find all operators that each operator depends on, directly or indirectly.

    Sets of operators are represented by the bits of integers: Python's own sets would
    take a hundred times the memory.

    Parameters
    ----------
    graph : DependencyGraph
        The direct dependencies.

    Returns
    -------
    order : list of int
        The operators in an order that respects dependencies.
    ancestors : list of int
        For every operator (not in this order, but by number) the set of operators it
        depends on; bit ``i`` stands for operator ``order[i]``.

    Raises
    ------
    nengo.exceptions.BuildError
        If there is a cycle.
    """
    n_operators = len(graph.operators)
    order: list[int] = []
    ancestors = [0] * n_operators
    pending: dict[int, int] = {}
    for node in graph.topological_order():
        bits = pending.pop(node, 0)
        if node < n_operators:
            ancestors[node] = bits
            bits |= 1 << len(order)
            order.append(node)
        for successor in graph.successors[node]:
            pending[successor] = pending.get(successor, 0) | bits
    return order, ancestors


class _GraphBuilder:
    """Collects the edges of a `DependencyGraph`."""

    def __init__(self, n_operators: int):
        self.successors: list[list[int]] = [[] for _ in range(n_operators)]
        self.n_predecessors = [0] * n_operators

    def add_edge(self, before: int, after: int) -> None:
        """Make one node wait for another."""
        self.successors[before].append(after)
        self.n_predecessors[after] += 1

    def add_barrier(self, before: Sequence[int], after: Sequence[int]) -> int:
        """Add a node that comes after some nodes and before others."""
        barrier = len(self.successors)
        self.successors.append([])
        self.n_predecessors.append(0)
        for node in before:
            self.add_edge(node, barrier)
        for node in after:
            self.add_edge(barrier, node)
        return barrier

    def add_base(self, access: BaseAccess, numbers: dict[Operator, int]) -> None:
        """Add the edges that follow from the accesses to one base signal."""
        phases = {
            id(piece): [
                list(dict.fromkeys(numbers[op] for op, _ in piece.accesses[kind]))
                for kind in ACCESSES
            ]
            for piece in access.pieces.values()
        }
        repeated = _in_several_phases(phases.values())
        done: dict[tuple[int, int], int] = {}
        for piece in access.pieces.values():
            for phase, nodes in enumerate(phases[id(piece)]):
                earlier = [
                    (id(neighbour), p)
                    for neighbour in piece.neighbours
                    for p in range(phase)
                    if phases[id(neighbour)][p]
                ]
                if nodes and earlier:
                    before = [phases[key][p] for key, p in earlier]
                    self._wait_for_all(before, [n for n in nodes if n in repeated])
                    for key, group in zip(earlier, before):
                        if key not in done:
                            done[key] = self._single(group, [])
                    after = [n for n in nodes if n not in repeated]
                    if after:
                        start = self._single([], after)
                        for key in earlier:
                            self.add_edge(done[key], start)

    def _wait_for_all(self, before: Sequence[list[int]], after: Sequence[int]) -> None:
        """Add edges from all nodes to all nodes, except from nodes to themselves."""
        for node in after:
            for group in before:
                for other in group:
                    if other != node:
                        self.add_edge(other, node)

    def _single(self, before: list[int], after: list[int]) -> int:
        """Return one node to stand for several."""
        nodes = before + after
        return nodes[0] if len(nodes) == 1 else self.add_barrier(before, after)


def _in_several_phases(pieces: Iterable[list[list[int]]]) -> set[int]:
    """Return the operators that access one base in several ways."""
    first_phase: dict[int, int] = {}
    repeated = set()
    for phases in pieces:
        for phase, nodes in enumerate(phases):
            for node in nodes:
                if first_phase.setdefault(node, phase) != phase:
                    repeated.add(node)
    return repeated


def _check_single_writers(access: BaseAccess) -> None:
    """Raise an error if memory is set, or updated, by several operators."""
    for kind in ("sets", "updates"):
        if len(access.accesses[kind]) < 2:
            continue
        for piece in access.pieces.values():
            if not piece.accesses[kind]:
                continue
            writers = [pair for n in piece.neighbours for pair in n.accesses[kind]]
            if len(writers) > 1:
                (op, signal), (other, _) = writers[:2]
                raise BuildError(
                    f"At most one operator {kind} a piece of memory, but `{op}` and "
                    f"`{other}` both do so for {signal}; make all but one of them "
                    "increments"
                )
