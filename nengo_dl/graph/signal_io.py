"""
Who accesses which memory: the view of a list of operators that all passes share.

In: operators. Out: maps from base signals to the operators that set, increment, read,
or update them, or parts of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

#: The kinds of access, in the order in which they happen within one step.
ACCESSES = ("sets", "incs", "reads", "updates")
WRITES = ("sets", "incs", "updates")

Access = tuple[Operator, Signal]
SignalDicts = dict[Signal, list[Operator]]


def signal_io_dicts(
    operators: Iterable[Operator],
) -> tuple[SignalDicts, SignalDicts, SignalDicts, SignalDicts]:
    """
    Collect the operators that access each base signal.

    Parameters
    ----------
    operators : iterable of nengo.builder.Operator
        The operators.

    Returns
    -------
    sets, incs, reads, updates : defaultdict of {Signal: list of Operator}
        For every base signal the operators that access it or a view of it. Operators
        are in the given order; one that accesses a base several times (through
        different views, say) is listed as often.
    """
    by_access: dict[str, SignalDicts] = {kind: defaultdict(list) for kind in ACCESSES}
    for op in operators:
        for access, by_base in by_access.items():
            for signal in getattr(op, access):
                by_base[signal.base].append(op)
    sets, incs, reads, updates = by_access.values()
    return sets, incs, reads, updates


def extent(signal: Signal) -> tuple[int, int]:
    """
    Return the range of bytes of its base that a signal spans.

    Strided views do not use all of that range; like Nengo, we treat signals with
    overlapping ranges as sharing memory.
    """
    if not signal.is_view:
        # sparse matrices have no size in bytes, and no views
        return 0, getattr(signal.initial_value, "nbytes", 0) or 1
    start = stop = signal.offset
    for length, stride in zip(signal.shape, signal.strides):
        span = (length - 1) * stride
        start += min(span, 0)
        stop += max(span, 0)
    return start, stop + signal.itemsize


def covers(signal: Signal, part: Signal) -> bool:
    """
    Return whether ``signal`` surely includes all elements of ``part``.

    Two views with gaps count only if they are made in the same way.
    """
    if signal is part:
        return True
    if signal.base is not part.base or signal.sparse:
        return False
    if (signal.offset, signal.shape, signal.strides) == (
        part.offset,
        part.shape,
        part.strides,
    ):
        return True
    start, stop = extent(signal)
    part_start, part_stop = extent(part)
    is_solid = signal.initial_value.flags.c_contiguous
    return is_solid and start <= part_start and part_stop <= stop


def overlapping_pairs(
    extents: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, int]]:
    """
    Yield the indices ``(i, j)``, ``i != j``, of all ranges that overlap.

    The time it takes grows with the number of pairs, not with all combinations. Every
    pair is yielded once, in one of both orders.
    """
    active: list[int] = []
    for i in sorted(range(len(extents)), key=lambda i: extents[i]):
        start = extents[i][0]
        active = [j for j in active if extents[j][1] > start]
        for j in active:
            yield j, i
        active.append(i)


class ByteRange:
    """
    The accesses to one range of bytes of a base signal.

    Attributes
    ----------
    accesses : dict of {str: list of (Operator, Signal)}
        The operators that access exactly this range, for each kind of access that
        there is.
    neighbours : list of ByteRange
        All ranges that overlap with this one, itself included.
    """

    def __init__(self) -> None:
        self.accesses: dict[str, list[Access]] = {}
        self.neighbours: list[ByteRange] = [self]


class BaseAccess:
    """
    The accesses to one base signal.

    Attributes
    ----------
    accesses : dict of {str: list of (Operator, Signal)}
        The operators that access the base or a view of it, for each kind of access
        that there is.
    has_views : bool
        Whether any of these signals is a view.
    """

    def __init__(self) -> None:
        self.accesses: dict[str, list[Access]] = {}
        self.has_views = False
        self._ranges: dict[tuple[int, int], ByteRange] = {}

    @property
    def has_order(self) -> bool:
        """Whether some accesses have to come after others, of another kind."""
        return len(self.accesses) > 1

    @property
    def ranges(self) -> dict[tuple[int, int], ByteRange]:
        """The accesses by the ranges of bytes they span."""
        if not self._ranges:
            for kind, accesses in self.accesses.items():
                for op, signal in accesses:
                    byte_range = self._ranges.setdefault(extent(signal), ByteRange())
                    byte_range.accesses.setdefault(kind, []).append((op, signal))
            extents = list(self._ranges)
            for i, j in overlapping_pairs(extents):
                x, y = self._ranges[extents[i]], self._ranges[extents[j]]
                x.neighbours.append(y)
                y.neighbours.append(x)
        return self._ranges

    def overlapping(self, signal: Signal, kinds: Sequence[str]) -> Iterator[Access]:
        """Yield the accesses of the given kinds that overlap with ``signal``."""
        ranges = self.ranges[extent(signal)].neighbours if self.has_views else [self]
        for byte_range in ranges:
            for kind in kinds:
                yield from byte_range.accesses.get(kind, ())


class SignalIO:
    """
    The accesses to all signals of a list of operators.

    Parameters
    ----------
    operators : iterable of nengo.builder.Operator
        The operators.

    Attributes
    ----------
    bases : dict of {Signal: BaseAccess}
        The accesses by base signal, in the order of first use.
    """

    def __init__(self, operators: Iterable[Operator]) -> None:
        self.bases: dict[Signal, BaseAccess] = {}
        for op in operators:
            for kind in ACCESSES:
                for signal in getattr(op, kind):
                    base = signal.base
                    access = self.bases.get(base)
                    if access is None:
                        access = self.bases[base] = BaseAccess()
                    access.accesses.setdefault(kind, []).append((op, signal))
                    if signal is not base:
                        access.has_views = True

    @staticmethod
    def of(operators: Iterable[Operator]) -> SignalIO:
        """Return the accesses of some operators, which an `OperatorList` knows."""
        if isinstance(operators, OperatorList):
            return operators.io
        return SignalIO(operators)

    def writers(self, signal: Signal) -> Iterator[Access]:
        """
        Yield ``(operator, target)`` for all writes to the memory of ``signal``.

        ``signal`` must be one that an operator uses.
        """
        return self.bases[signal.base].overlapping(signal, WRITES)

    def readers(self, signal: Signal) -> Iterator[Access]:
        """Yield ``(operator, source)`` for all reads of the memory of ``signal``."""
        return self.bases[signal.base].overlapping(signal, ("reads",))


class OperatorList(list[Operator]):
    """
    Operators that do not change, and the accesses to their signals.

    Passes that are applied to the same operators need not collect them each.
    """

    @cached_property
    def io(self) -> SignalIO:
        """The accesses to the signals."""
        return SignalIO(self)
