"""
Sort signals and operators for contiguous memory access (stage 6 of the pipeline).

In: a plan. Out: the base signals in the order in which they are to be stored, and the
plan with the operators inside of each group sorted accordingly.

Each group of ``n`` operators accesses its signals in *columns* of ``n``: the first read
of all its operators is a column, the second read is another one, and so on. Signals
that are in exactly the same columns form a *bundle*, and `nengo_dl.graph.layout` stores
signals of different bundles in different arrays. What makes a step fast is therefore,
in this order:

1. that operators which use the same bundles are next to each other, so that a column is
   read from each of its arrays once, instead of once for every other operator;
2. that operators are in the order of the signals within each bundle, so that what is
   read or written of an array is contiguous.

The group that accesses most decides first how the signals that it uses are ordered;
each later one, a neighbour of what is ordered if there is any, sorts its operators by
the signals that are ordered already, and then orders the others.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from nengo_dl.graph.signal_io import ACCESSES, extent

Group = tuple[Operator, ...]
Bundle = tuple[int, ...]

#: How many neighbours of a bundle are compared; bounds the time `hamming_sort` takes.
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
        How important it is that the column is contiguous: the number of its
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
    Sort signals and operators such that groups access contiguous memory.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups.
    n_passes : int
        Not used: one pass decides on all places. (Sorters of NengoDL 3 took it.)

    Returns
    -------
    signals : list of nengo.builder.Signal
        All base signals.
    plan : list of tuple of nengo.builder.Operator
        The same groups in the same order, with their operators sorted.
    """
    signals, plan = noop_order_signals(plan)
    columns = find_columns(plan)
    bundles = find_bundles(signals, plan, columns)
    bundle_ranks = hamming_sort(bundles, [column.weight for column in columns])
    places = Places(
        {signal: bundle_ranks[bundle] for signal, bundle in bundles.items()}
    )
    waiting: dict[int, list[Column]] = defaultdict(list)
    for column in columns:
        if column.weight > 0:
            waiting[column.group].append(column)
    weights = {n: sum(c.weight for c in group) for n, group in waiting.items()}

    # Two neighbours that are sorted independently of each other may not fit, so that we
    # go from what is sorted to its weightiest neighbour.
    queue = [(0, -weight, number) for number, weight in weights.items()]
    heapq.heapify(queue)
    while queue:
        number = heapq.heappop(queue)[-1]
        if number in waiting:
            group_columns = waiting.pop(number)
            plan[number], placed = sort_group(plan[number], group_columns, places)
            for bundle in dict.fromkeys(bundles[signal] for signal in placed):
                for column in (columns[i] for i in bundle):
                    if column.group in waiting and column.weight > 0:
                        key = -column.weight, -weights[column.group], column.group
                        heapq.heappush(queue, key)
    signals.sort(key=lambda signal: (places.rank(signal), places.within_bundle(signal)))
    return signals, plan


class Places:
    """
    Where signals are to be stored, which is decided group by group.

    Parameters
    ----------
    ranks : dict of {Signal: int}
        The rank of the bundle of each base signal.
    """

    def __init__(self, ranks: Mapping[Signal, int]):
        self._ranks = ranks
        self._order: dict[Signal, int] = {}

    def __contains__(self, signal: Signal) -> bool:
        return signal.base in self._order

    def rank(self, signal: Signal) -> int:
        """Return the rank of the bundle of a signal."""
        return self._ranks[signal.base]

    def within_bundle(self, signal: Signal) -> tuple[int, int]:
        """Return what signals of one bundle are to be sorted by."""
        return self._order.get(signal.base, 0), extent(signal)[0]

    def add(self, signals: Iterable[Signal]) -> list[Signal]:
        """Put base signals behind the others; return those that had no place yet."""
        new = [signal for signal in signals if signal not in self]
        for signal in new:
            self._order[signal] = len(self._order)
        return new


def sort_group(
    ops: Group, columns: Sequence[Column], places: Places
) -> tuple[Group, list[Signal]]:
    """
    Sort a group by the signals that have a place, and give the others one.

    Parameters
    ----------
    ops : tuple of nengo.builder.Operator
        One group.
    columns : sequence of Column
        Those of its columns that are to be contiguous.
    places : Places
        The places of signals; changed.

    Returns
    -------
    ops : tuple of nengo.builder.Operator
        The sorted group.
    placed : list of nengo.builder.Signal
        The base signals that got their place.
    """

    def importance(column: Column) -> tuple[int, int]:
        signals = (column.signal(op) for op in ops)
        return sum(s.size for s in signals if s in places), column.weight

    first, *others = sorted(columns, key=importance, reverse=True)
    # as far as nothing is sorted yet, operators follow the order of the bundles
    by_bundles = sorted(
        ops, key=lambda op: [places.rank(c.signal(op)) for c in (first, *others)]
    )
    placed = places.add(sort_signals_by_ops(by_bundles, first))
    ops = sort_ops_by_signals(by_bundles, [first, *others], places)
    for column in others:
        placed += places.add(sort_signals_by_ops(ops, column))
    return ops, placed


def find_bundles(
    signals: Sequence[Signal], plan: Sequence[Group], columns: Sequence[Column]
) -> dict[Signal, Bundle]:
    """Return the indices of the columns that each base signal is part of."""
    bundles: dict[Signal, list[int]] = {signal: [] for signal in signals}
    for index, column in enumerate(columns):
        for base in dict.fromkeys(column.signal(op).base for op in plan[column.group]):
            bundles[base].append(index)
    return {signal: tuple(indices) for signal, indices in bundles.items()}


def sort_ops_by_signals(
    ops: Sequence[Operator], columns: Sequence[Column], places: Places
) -> Group:
    """
    Sort operators in the order of their signals.

    Operators that use the same bundles are kept together. Among these, the signals in
    the first column decide. If operators have the same signal there, the first ones of
    all signals come before all second ones, so that each of these series is contiguous.

    Parameters
    ----------
    ops : sequence of nengo.builder.Operator
        One group.
    columns : sequence of Column
        Columns of the group in the order of their importance.
    places : Places
        The places of signals.

    Returns
    -------
    ops : tuple of nengo.builder.Operator
        The sorted group.
    """
    bundles = {op: tuple(places.rank(c.signal(op)) for c in columns) for op in ops}
    keys = {op: [places.within_bundle(c.signal(op)) for c in columns] for op in ops}
    n_before: Counter[Hashable] = Counter()
    turns: dict[Operator, int] = {}
    for op in sorted(ops, key=lambda op: keys[op][1:]):
        same = bundles[op], keys[op][0]
        turns[op] = n_before[same]
        n_before[same] += 1
    ops = sorted(ops, key=lambda op: (turns[op], bundles[op][0], keys[op]))
    # the order in which operators with the same bundles in the first columns begin
    begins: dict[tuple[int, ...], int] = {}
    n_shared = range(1, len(columns) + 1)
    for op in ops:
        for n in n_shared:
            begins.setdefault(bundles[op][:n], len(begins))
    return tuple(
        sorted(ops, key=lambda op: [begins[bundles[op][:n]] for n in n_shared])
    )


def sort_signals_by_ops(ops: Sequence[Operator], column: Column) -> list[Signal]:
    """
    Sort the base signals of a column in the order in which operators use them.

    Parameters
    ----------
    ops : sequence of nengo.builder.Operator
        One group.
    column : Column
        A column of the group.

    Returns
    -------
    signals : list of nengo.builder.Signal
        Each base signal once.
    """
    return list(dict.fromkeys(column.signal(op).base for op in ops))


def hamming_sort(
    bundles: Mapping[Signal, Bundle], weights: Sequence[int]
) -> dict[Bundle, int]:
    """
    Put bundles that have columns in common next to each other.

    Chains of bundles are grown at both ends, starting with the largest bundle. The one
    that is added next is that with the weightiest columns in common with an end; of
    several, the one that differs from it in the fewest other columns.

    Parameters
    ----------
    bundles : dict of {Signal: tuple of int}
        The columns that each signal is part of.
    weights : sequence of int
        How important it is that a column is contiguous.

    Returns
    -------
    ranks : dict of {tuple of int: int}
        The place of each bundle among all bundles.
    """
    sizes: dict[Bundle, int] = defaultdict(int)
    for signal, bundle in bundles.items():
        sizes[bundle] += signal.size
    left = dict.fromkeys(sorted(sizes, key=lambda bundle: (-sizes[bundle], bundle)))
    in_column: dict[int, dict[Bundle, None]] = defaultdict(dict)
    for bundle in left:
        for index in bundle:
            if weights[index] > 0:
                in_column[index][bundle] = None

    def place(bundle: Bundle) -> Bundle:
        del left[bundle]
        for index in bundle:
            in_column[index].pop(bundle, None)
        return bundle

    def similarity(end: Bundle, bundle: Bundle) -> tuple:
        common = set(end).intersection(bundle)
        n_different = len(end) + len(bundle) - 2 * len(common)
        weight = sum(weights[index] for index in common)
        return weight, -n_different, sizes[bundle], tuple(-i for i in bundle)

    def best_neighbour(end: Bundle) -> tuple:
        near = (b for index in end for b in islice(in_column[index], WINDOW))
        return max(((similarity(end, b), b) for b in near), default=())

    order: list[Bundle] = []
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
    return {bundle: rank for rank, bundle in enumerate(order)}


def display_signal_blocks(
    bundles: Mapping[Signal, Bundle], all_signals: Sequence[Signal]
) -> str:
    """
    Draw a picture of which signals are in which columns.

    Parameters
    ----------
    bundles : dict of {Signal: tuple of int}
        The columns that each signal is part of.
    all_signals : sequence of nengo.builder.Signal
        Base signals in order.

    Returns
    -------
    picture : str
        A line for every column; there is an ``x`` for every signal that is part of it,
        in the given order. Lines without gaps are what we want to see.
    """
    indices = sorted({index for bundle in bundles.values() for index in bundle})
    return "\n".join(
        f"{index:4d} "
        + "".join("x" if index in bundles[signal] else "." for signal in all_signals)
        for index in indices
    )
