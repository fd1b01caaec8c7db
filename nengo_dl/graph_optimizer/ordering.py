"""
Sort signals and operators for contiguous memory access (stage 6 of the pipeline).

In: a plan. Out: the base signals in the order in which they are to be stored, and the
plan with the operators inside of each group sorted accordingly.

Each group of ``n`` operators accesses its signals in *columns* of ``n``: the first read
of all its operators is a column, the second read is another one, and so on. A column
is best stored as one piece, in the order of the operators. Sorting goes in two stages:

1. Signals that are in exactly the same columns form a *block*. Blocks that share
   columns are put next to each other (`hamming_sort`).
2. The order of the operators of one group orders the signals in the blocks it uses
   (`sort_signals_by_ops`), and the order of signals in turn orders the operators of
   other groups (`sort_ops_by_signals`). That spreads from group to group.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.graph_optimizer.signal_io import ACCESSES, extent

Group = tuple[Operator, ...]
Block = tuple[int, ...]

#: How many neighbours of a block are compared; bounds the time `hamming_sort` takes.
WINDOW = 64


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
        How important it is that the column is stored in one piece: the number of
        elements that have to be collected if it is not.
    """

    group: int
    access: str
    position: int
    weight: int

    def signal(self, op: Operator) -> Signal:
        """Return the signal that an operator of the group has in this column."""
        return getattr(op, self.access)[self.position]


def noop_order_signals(
    plan: Sequence[Group], **_: object
) -> tuple[list[Signal], list[Group]]:
    """
    Leave everything in the order in which it is.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups.

    Returns
    -------
    signals : list of nengo.builder.Signal
        All base signals in the order of first use.
    plan : list of tuple of nengo.builder.Operator
        The given plan.
    """
    signals = dict.fromkeys(
        signal.base for group in plan for op in group for signal in op.all_signals
    )
    return list(signals), list(plan)


def order_signals(
    plan: Sequence[Group], n_passes: int = 10
) -> tuple[list[Signal], list[Group]]:
    """
    Sort signals and operators such that groups access memory in one piece.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups.
    n_passes : int
        If 0, blocks of signals are sorted, but neither signals in a block nor operators
        in a group. One pass is enough, more change nothing.

    Returns
    -------
    signals : list of nengo.builder.Signal
        All base signals.
    plan : list of tuple of nengo.builder.Operator
        The same groups in the same order, with their operators sorted.
    """
    signals, plan = noop_order_signals(plan)
    columns = find_columns(plan)
    blocks = find_blocks(signals, plan, columns)
    ranks = hamming_sort(blocks, [column.weight for column in columns])
    sorting = _Sorting(plan, columns, {s: ranks[b] for s, b in blocks.items()})
    if n_passes > 0:
        sorting.sort_all()
    signals.sort(key=sorting.place)
    return signals, sorting.plan


def find_columns(plan: Sequence[Group]) -> list[Column]:
    """Return the columns of all groups."""
    columns = []
    for number, group in enumerate(plan):
        for access in ACCESSES:
            for position in range(len(getattr(group[0], access))):
                weight = sum(getattr(op, access)[position].size for op in group)
                # a single operator does not ask for anything to be adjacent
                weight = weight if len(group) > 1 else 0
                columns.append(Column(number, access, position, weight))
    return columns


def find_blocks(
    signals: Sequence[Signal], plan: Sequence[Group], columns: Sequence[Column]
) -> dict[Signal, Block]:
    """
    Find the columns that each base signal is part of.

    Parameters
    ----------
    signals : sequence of nengo.builder.Signal
        Base signals.
    plan : sequence of tuple of nengo.builder.Operator
        The groups.
    columns : sequence of Column
        The columns of the plan.

    Returns
    -------
    blocks : dict of {Signal: tuple of int}
        Indices of columns. Signals with equal ones are a block.
    """
    blocks: dict[Signal, list[int]] = {signal: [] for signal in signals}
    for index, column in enumerate(columns):
        for base in dict.fromkeys(column.signal(op).base for op in plan[column.group]):
            blocks[base].append(index)
    return {signal: tuple(indices) for signal, indices in blocks.items()}


def hamming_sort(
    blocks: Mapping[Signal, Block], weights: Sequence[int]
) -> dict[Block, int]:
    """
    Put blocks that have columns in common next to each other.

    Chains of blocks are grown at both ends, starting with the largest block. The block
    that is added next is the one with the weightiest columns in common with an end; of
    several, the one that differs from it in the fewest other columns.

    Parameters
    ----------
    blocks : dict of {Signal: tuple of int}
        The columns that each signal is part of.
    weights : sequence of int
        How important it is that a column is in one piece.

    Returns
    -------
    ranks : dict of {tuple of int: int}
        The place of each block among all blocks.
    """
    sizes: dict[Block, int] = defaultdict(int)
    for signal, block in blocks.items():
        sizes[block] += signal.size
    left = dict.fromkeys(sorted(sizes, key=lambda block: (-sizes[block], block)))
    in_column: dict[int, dict[Block, None]] = defaultdict(dict)
    for block in left:
        for index in block:
            if weights[index] > 0:
                in_column[index][block] = None

    def place(block: Block) -> Block:
        del left[block]
        for index in block:
            in_column[index].pop(block, None)
        return block

    def similarity(end: Block, block: Block) -> tuple:
        common = set(end).intersection(block)
        n_different = len(end) + len(block) - 2 * len(common)
        weight = sum(weights[index] for index in common)
        return weight, -n_different, sizes[block], tuple(-i for i in block)

    def best_neighbour(end: Block) -> tuple:
        near = (b for index in end for b in islice(in_column[index], WINDOW))
        return max(((similarity(end, b), b) for b in near), default=())

    order: list[Block] = []
    while left:
        chain = deque([place(next(iter(left)))])
        while True:
            at_start, at_end = best_neighbour(chain[0]), best_neighbour(chain[-1])
            if not at_start and not at_end:
                break
            if at_start > at_end:
                chain.appendleft(place(at_start[1]))
            else:
                chain.append(place(at_end[1]))
        order.extend(chain)
    return {block: rank for rank, block in enumerate(order)}


def sort_ops_by_signals(ops: Group, columns: Sequence[Column], place) -> Group:
    """
    Sort operators in the order of their signals.

    Parameters
    ----------
    ops : tuple of nengo.builder.Operator
        One group.
    columns : sequence of Column
        Columns of the group. Signals in the second one decide where those in the first
        one are the same, and so on.
    place : callable
        Function from signals to values that can be compared.

    Returns
    -------
    ops : tuple of nengo.builder.Operator
        The sorted group.
    """
    return tuple(
        sorted(ops, key=lambda op: [place(column.signal(op)) for column in columns])
    )


def sort_signals_by_ops(ops: Group, column: Column) -> list[Signal]:
    """
    Return the base signals of a column in the order in which operators use them.

    Parameters
    ----------
    ops : tuple of nengo.builder.Operator
        One group.
    column : Column
        A column of the group.
    """
    return list(dict.fromkeys(column.signal(op).base for op in ops))


def display_signal_blocks(
    blocks: Mapping[Signal, Block], all_signals: Sequence[Signal]
) -> str:
    """
    Draw a picture of which signals are in which columns.

    Parameters
    ----------
    blocks : dict of {Signal: tuple of int}
        The columns that each signal is part of.
    all_signals : sequence of nengo.builder.Signal
        Base signals in order.

    Returns
    -------
    picture : str
        A line for every column; there is an ``x`` for every signal that is part of it,
        in the given order. Lines without gaps are what we want to see.
    """
    indices = sorted({index for block in blocks.values() for index in block})
    return "\n".join(
        f"{index:4d} "
        + "".join("x" if index in blocks[signal] else "." for signal in all_signals)
        for index in indices
    )


class _Sorting:
    """
    Spreads one order over operators and signals.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups.
    columns : list of Column
        Their columns.
    ranks : dict of {Signal: int}
        The rank of the block of each base signal.
    """

    def __init__(
        self,
        plan: Sequence[Group],
        columns: Sequence[Column],
        ranks: Mapping[Signal, int],
    ):
        self.plan = list(plan)
        self._ranks = ranks
        self._order: dict[Signal, int] = {}
        self._sorted_blocks: set[int] = set()
        self._columns: list[list[Column]] = [[] for _ in plan]
        self._users: dict[int, list[Column]] = defaultdict(list)
        for column in columns:
            self._columns[column.group].append(column)
        for column in columns:
            if column.weight > 0:
                bases = sort_signals_by_ops(self.plan[column.group], column)
                for rank in dict.fromkeys(ranks[base] for base in bases):
                    self._users[rank].append(column)
        self._queue: list[tuple[int, int]] = []

    def place(self, signal: Signal) -> tuple[int, int, int]:
        """Return what signals are to be sorted by."""
        base = signal.base
        return self._ranks[base], self._order.get(base, 0), extent(signal)[0]

    def sort_all(self) -> None:
        """Sort the signals of all blocks, and the operators of all groups."""
        # what is sorted earlier determines the rest: begin with what weighs most, and
        # go on with its neighbours, so that no two neighbours are sorted independently
        weights = [sum(c.weight for c in columns) for columns in self._columns]
        sorted_groups: set[int] = set()
        for root in sorted(range(len(weights)), key=lambda i: (-weights[i], i)):
            self._queue = [(0, root)]
            while self._queue:
                _, number = heapq.heappop(self._queue)
                if number not in sorted_groups:
                    sorted_groups.add(number)
                    self._sort_group(number)

    def _sort_group(self, number: int) -> None:
        if len(self.plan[number]) == 1:
            return
        columns = sorted(
            self._columns[number],
            key=lambda column: (-self._sorted_weight(column), -column.weight),
        )
        ops = sort_ops_by_signals(
            self.plan[number], columns, lambda signal: self._ranks[signal.base]
        )
        for i, column in enumerate(columns):
            self._sort_signals(ops, column)
            if i == 0:
                ops = sort_ops_by_signals(ops, [column], self.place)
        self.plan[number] = ops

    def _sorted_weight(self, column: Column) -> int:
        """Return how many elements of a column have been sorted."""
        signals = (column.signal(op) for op in self.plan[column.group])
        return sum(
            s.size for s in signals if self._ranks[s.base] in self._sorted_blocks
        )

    def _sort_signals(self, ops: Group, column: Column) -> None:
        """Sort the blocks of a column that were not sorted before."""
        ranks: dict[int, None] = {}
        for base in sort_signals_by_ops(ops, column):
            rank = self._ranks[base]
            if rank not in self._sorted_blocks:
                ranks[rank] = None
                self._order[base] = len(self._order)
        for rank in ranks:
            self._sorted_blocks.add(rank)
            for user in self._users[rank]:
                heapq.heappush(self._queue, (-user.weight, user.group))
