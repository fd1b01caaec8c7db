"""
Which operators must run before which.

In: operators. Out: a `DependencyGraph`. The rules are Nengo's: within one step, all
sets of a part of memory come first, then all increments, all reads, and the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator
from nengo.exceptions import BuildError

from nengo_dl.graph.signal_io import ACCESSES, BaseAccess, SignalIO


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
    numbers = {op: i for i, op in enumerate(operators)}
    edges = _Edges(len(operators))
    for access in SignalIO.of(operators).bases.values():
        check_single_writers(access)
        if access.has_order:
            edges.add_base(access, numbers)
    return DependencyGraph(tuple(operators), edges.successors, edges.n_predecessors)


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


def check_single_writers(access: BaseAccess) -> None:
    """
    Make sure that memory has a single operator that sets it, and one that updates it.

    Parameters
    ----------
    access : BaseAccess
        The accesses to one base signal.

    Raises
    ------
    nengo.exceptions.BuildError
        If there are several.
    """
    for kind in ("sets", "updates"):
        if len(access.accesses.get(kind, ())) < 2:
            continue
        for op, signal in access.accesses[kind]:
            writers = [other for other, _ in access.overlapping(signal, (kind,))]
            if len(writers) > 1:
                other = next((other for other in writers if other is not op), op)
                raise BuildError(
                    f"At most one operator {kind} a piece of memory, but `{op}` and "
                    f"`{other}` both do so for {signal}; make all but one of them "
                    "increments"
                )


class _Edges:
    """Collects the edges of a `DependencyGraph`."""

    def __init__(self, n_operators: int) -> None:
        self.successors: list[list[int]] = [[] for _ in range(n_operators)]
        self.n_predecessors = [0] * n_operators

    def add(self, before: int, after: int) -> None:
        """Make one node wait for another."""
        self.successors[before].append(after)
        self.n_predecessors[after] += 1

    def stand_in(self, before: Sequence[int] = (), after: Sequence[int] = ()) -> int:
        """Return a node that comes after some nodes, or before some others."""
        nodes = [*before, *after]
        if len(nodes) == 1:
            return nodes[0]
        barrier = len(self.successors)
        self.successors.append([])
        self.n_predecessors.append(0)
        for node in before:
            self.add(node, barrier)
        for node in after:
            self.add(barrier, node)
        return barrier

    def add_base(self, access: BaseAccess, numbers: dict[Operator, int]) -> None:
        """Add the edges that follow from the accesses to one base signal."""
        phases = _Phases(access, numbers)
        for byte_range in access.ranges.values():
            earlier: list[tuple[int, str]] = []
            for kind in ACCESSES:
                if earlier and (id(byte_range), kind) in phases.members:
                    self._add_phase(phases, (id(byte_range), kind), earlier)
                neighbours = [
                    (id(neighbour), kind) for neighbour in byte_range.neighbours
                ]
                earlier += [phase for phase in neighbours if phase in phases.members]

    def _add_phase(
        self,
        phases: _Phases,
        phase: tuple[int, str],
        earlier: Sequence[tuple[int, str]],
    ) -> None:
        """Make the operators of one phase wait for those of earlier ones."""
        members = phases.members[phase]
        for node in phases.repeated.intersection(members):
            # a barrier would make the operator wait for itself
            for other_phase in earlier:
                for other in phases.members[other_phase]:
                    if other != node:
                        self.add(other, node)
        once = [node for node in members if node not in phases.repeated]
        if once:
            start = self.stand_in(after=once)
            for other_phase in earlier:
                if other_phase not in phases.ends:
                    before = phases.members[other_phase]
                    phases.ends[other_phase] = self.stand_in(before=before)
                self.add(phases.ends[other_phase], start)


class _Phases:
    """
    The phases of the access to one base signal: each kind of access to each byte_range.

    Phases are identified by the byte_range (its id) and the kind of access.

    Parameters
    ----------
    access : BaseAccess
        All accesses to the base signal.
    numbers : dict of {Operator: int}
        The nodes that stand for the operators.

    Attributes
    ----------
    members : dict of {(int, str): list of int}
        The operators of each phase.
    repeated : set of int
        The operators that are in several phases.
    ends : dict of {(int, str): int}
        The node that is reached when all members have run, once there is one.
    """

    def __init__(self, access: BaseAccess, numbers: dict[Operator, int]) -> None:
        self.members: dict[tuple[int, str], list[int]] = {}
        self.repeated: set[int] = set()
        self.ends: dict[tuple[int, str], int] = {}
        first_kind: dict[int, str] = {}
        for byte_range in access.ranges.values():
            for kind, accesses in byte_range.accesses.items():
                # an operator may access a signal twice in the same way
                nodes = list(dict.fromkeys(numbers[op] for op, _ in accesses))
                self.members[id(byte_range), kind] = nodes
                for node in nodes:
                    if first_kind.setdefault(node, kind) != kind:
                        self.repeated.add(node)
