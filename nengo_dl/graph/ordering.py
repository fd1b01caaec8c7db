"""
Sort signals and operators for contiguous memory access (stage 6 of the pipeline).

In: a plan. Out: the base signals in the order in which they are to be stored, and the
plan with the operators inside of each group sorted accordingly.

Each group of ``n`` operators accesses its signals in *columns* of ``n``: the first read
of all its operators is a column, the second read is another one, and so on. A column
is best stored as one piece, in the order of the operators. Sorting goes in two stages:

1. Signals that are in exactly the same columns form a *block*. Blocks that share
   columns are put next to each other (`hamming_sort`).
2. The order of the operators of one group orders the signals in the blocks it uses,
   and the order of signals in turn orders the operators of other groups. That spreads
   from group to group (`nengo_dl.graph.spreading`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import islice

from nengo.builder.signal import Signal

from nengo_dl.graph.spreading import (
    Column,
    Group,
    Spreading,
    divide_blocks,
    find_columns,
)

Block = tuple[int, ...]

#: How many neighbours of a block are compared; bounds the time `hamming_sort` takes.
WINDOW = 64


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
        How far to look around. With one pass, signals of a block are kept together if
        the blocks they are used together with are the same. Each further pass takes
        the neighbours of these neighbours into account.

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
    block_ranks = hamming_sort(blocks, [column.weight for column in columns])
    ranks = {signal: block_ranks[block] for signal, block in blocks.items()}
    spreading = Spreading(plan, columns, ranks, divide_blocks(plan, ranks, n_passes))
    plan = spreading.sort_all()
    signals.sort(key=spreading.place)
    return signals, plan


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
