"""
Spread one order over all signals and operators (second half of stage 6).

In: a plan, and the blocks of signals; see `nengo_dl.graph.ordering`. Out: an
order of the signals inside of blocks, and of the operators inside of groups.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.signal_io import ACCESSES, extent

Group = tuple[Operator, ...]


@dataclass(frozen=True)
class Column:
    """
    The signals that the operators of a group access at one position.

    Parameters
    ----------
    group : int
        Index of the group in the plan.
    access : "sets" or "incs" or "reads" or "updates"
        How the signals are accessed.
    position : int
        Index in the operator's list of signals.
    weight : int
        How important it is that the column is stored in one piece: the number of its
        elements, or 0 if it consists of a single signal.
    """

    group: int
    access: str
    position: int
    weight: int

    def signal(self, op: Operator) -> Signal:
        """Return the signal that an operator of the group has in this column."""
        return getattr(op, self.access)[self.position]


def find_columns(plan: Sequence[Group]) -> list[Column]:
    """Return the columns of all groups."""
    columns = []
    for number, group in enumerate(plan):
        for access in ACCESSES:
            for position in range(len(getattr(group[0], access))):
                signals = {getattr(op, access)[position] for op in group}
                weight = sum(s.size for s in signals) if len(signals) > 1 else 0
                columns.append(Column(number, access, position, weight))
    return columns


def divide_blocks(
    plan: Sequence[Group], ranks: Mapping[Signal, int], n_passes: int
) -> dict[Signal, int]:
    """
    Divide blocks into parts whose signals are used in the same way.

    If some operators of a group read from block A and write to block C, and others read
    from A and write to D, then block A has to be divided for both to find their signals
    in one piece.

    Parameters
    ----------
    plan : sequence of tuple of nengo.builder.Operator
        The groups.
    ranks : dict of {Signal: int}
        The block of each base signal.
    n_passes : int
        How often blocks are divided at most. Each pass divides them by the parts that
        came out of the one before.

    Returns
    -------
    parts : dict of {Signal: int}
        A number for each base signal. Signals in different blocks have different ones.
    """
    parts = dict(ranks)
    n_parts = len(set(parts.values()))
    for _ in range(n_passes):
        uses: dict[Signal, list[tuple]] = defaultdict(list)
        for number, group in enumerate(plan):
            for op in group if len(group) > 1 else ():
                signals = op.all_signals
                together = tuple(parts[signal.base] for signal in signals)
                for position, signal in enumerate(signals):
                    uses[signal.base].append((number, position, together))
        numbers: dict[Hashable, int] = {}
        for signal, part in parts.items():
            key = part, tuple(sorted(uses[signal]))
            parts[signal] = numbers.setdefault(key, len(numbers))
        if len(numbers) == n_parts:
            break
        n_parts = len(numbers)
    return parts


def sort_ops_by_signals(
    ops: Group, columns: Sequence[Column], ranks: Mapping[Signal, int], place
) -> Group:
    """
    Sort operators in the order of their signals.

    Operators that use the same blocks are kept together. Among these, the signals in
    the first column decide. If operators have the same signal there, the first ones of
    all signals come before all second ones, so that each of these series is in one
    piece.

    Parameters
    ----------
    ops : tuple of nengo.builder.Operator
        One group.
    columns : sequence of Column
        Columns of the group in the order of their importance.
    ranks : dict of {Signal: int}
        The rank of the block of each base signal.
    place : callable
        Function from signals to values to sort by.

    Returns
    -------
    ops : tuple of nengo.builder.Operator
        The sorted group.
    """
    blocks = {
        op: tuple(ranks[column.signal(op).base] for column in columns) for op in ops
    }
    places = {op: [place(column.signal(op)) for column in columns] for op in ops}
    n_before: Counter[Hashable] = Counter()
    wanted: dict[Operator, tuple] = {}
    for i, op in enumerate(sorted(ops, key=lambda op: places[op][1:])):
        same = blocks[op], places[op][0]
        wanted[op] = n_before[same], places[op][0], i
        n_before[same] += 1

    # where the operators that have the same blocks in the first columns begin
    starts: dict[tuple[int, ...], tuple] = {}
    for op in ops:
        for n in range(1, len(columns) + 1):
            key = blocks[op][:n]
            starts[key] = min(starts.get(key, wanted[op]), wanted[op])

    def sort_key(op: Operator) -> list[tuple]:
        keys = [starts[blocks[op][:n]] for n in range(1, len(columns) + 1)]
        return [*keys, wanted[op]]

    return tuple(sorted(ops, key=sort_key))


def sort_signals_by_ops(
    ops: Group, column: Column, parts: Mapping[Signal, int]
) -> list[Signal]:
    """
    Sort the base signals of a column in the order in which operators use them.

    Parameters
    ----------
    ops : tuple of nengo.builder.Operator
        One group.
    column : Column
        A column of the group.
    parts : dict of {Signal: int}
        Which signals are to be kept together.
    """
    signals = dict.fromkeys(column.signal(op).base for op in ops)
    first_use: dict[int, int] = {}
    for i, signal in enumerate(signals):
        first_use.setdefault(parts[signal], i)
    return sorted(signals, key=lambda signal: first_use[parts[signal]])


class Spreading:
    """
    Spreads one order over signals and operators.

    Parameters
    ----------
    plan : sequence of tuple of nengo.builder.Operator
        The groups.
    columns : sequence of Column
        Their columns.
    ranks : dict of {Signal: int}
        The rank of the block of each base signal.
    parts : dict of {Signal: int}
        The part of its block that it belongs to.
    """

    def __init__(
        self,
        plan: Sequence[Group],
        columns: Sequence[Column],
        ranks: Mapping[Signal, int],
        parts: Mapping[Signal, int],
    ):
        self._plan = list(plan)
        self._ranks = ranks
        self._parts = parts
        self._order: dict[Signal, int] = {}
        self._sorted_blocks: set[int] = set()
        self._queue: list[tuple[int, int]] = []
        self._columns: list[list[Column]] = [[] for _ in plan]
        self._users: dict[int, list[Column]] = defaultdict(list)
        for column in columns:
            if column.weight > 0:
                self._columns[column.group].append(column)
                bases = (column.signal(op).base for op in plan[column.group])
                for rank in dict.fromkeys(ranks[base] for base in bases):
                    self._users[rank].append(column)

    def place(self, signal: Signal) -> tuple[int, int, int]:
        """Return what signals are to be sorted by."""
        base = signal.base
        return self._ranks[base], self._order.get(base, 0), extent(signal)[0]

    def sort_all(self) -> list[Group]:
        """
        Sort the signals of all blocks and the operators of all groups.

        What is sorted earlier determines what comes later. So we begin with the group
        that weighs most, and go on with the weightiest neighbour of what is sorted:
        sorting two neighbours independently of each other would lead to a conflict.

        Returns
        -------
        plan : list of tuple of nengo.builder.Operator
            The plan with sorted groups.
        """
        weights = [sum(c.weight for c in columns) for columns in self._columns]
        done: set[int] = set()
        for root in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
            self._queue = [(0, root)]
            while self._queue:
                _, number = heapq.heappop(self._queue)
                if number not in done:
                    done.add(number)
                    self._sort_group(number)
        return self._plan

    def _sort_group(self, number: int) -> None:
        """Sort a group by the blocks that are sorted, then sort its other blocks."""
        columns = sorted(
            self._columns[number],
            key=lambda column: (-self._sorted_weight(column), -column.weight),
        )
        if not columns:
            return
        # as far as nothing is sorted yet, operators follow the order of the blocks
        ops = tuple(
            sorted(
                self._plan[number],
                key=lambda op: [self._ranks[c.signal(op).base] for c in columns],
            )
        )
        self._sort_blocks(ops, columns[0])
        ops = sort_ops_by_signals(ops, columns, self._ranks, self.place)
        for column in columns[1:]:
            self._sort_blocks(ops, column)
        self._plan[number] = ops

    def _sorted_weight(self, column: Column) -> int:
        """Return how many elements of a column have been sorted."""
        signals = (column.signal(op) for op in self._plan[column.group])
        return sum(
            s.size for s in signals if self._ranks[s.base] in self._sorted_blocks
        )

    def _sort_blocks(self, ops: Group, column: Column) -> None:
        """Sort the blocks of a column that were not sorted before."""
        ranks: dict[int, None] = {}
        for base in sort_signals_by_ops(ops, column, self._parts):
            rank = self._ranks[base]
            if rank not in self._sorted_blocks:
                ranks[rank] = None
                self._order[base] = len(self._order)
        for rank in ranks:
            self._sorted_blocks.add(rank)
            for user in self._users[rank]:
                heapq.heappush(self._queue, (-user.weight, user.group))
