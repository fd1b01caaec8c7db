"""
Operators that set what others add, and what the passes know of those that add.

In: an operator that increments a signal. Out: one that sets the signal to the same;
whether it multiplies; which factors change nothing.

Whoever writes an operator that increments writes a `SettingOperator` beside it, or puts
`IncrementFacts` into `INCREMENTS` if there is more to making one. Nobody else has to be
told: the passes in `nengo_dl.graph.simplify` ask `facts_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from nengo.builder.operator import Copy, Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal, SignalDict


@dataclass(frozen=True)
class IncrementFacts:
    """
    What the passes know of a type of operators that add something to one signal.

    Parameters
    ----------
    set_instead : callable
        Returns a new operator that sets what the given one adds, or None if the given
        one must stay as it is.
    is_product : bool
        Whether what is added is zero as soon as one of ``reads`` is.
    units : tuple of callable
        For each of the two signals in ``reads``: tells from its value whether
        multiplying the other one by it changes nothing. Empty if no value does that.
    """

    set_instead: Callable[[Operator], Operator | None]
    is_product: bool = False
    units: tuple[Callable[[np.ndarray], bool], ...] = ()


#: What is known, by type of incrementing operator. Types are looked up exactly: what
#: holds for a type need not hold for a subclass, which may change its maths.
INCREMENTS: dict[type[Operator], IncrementFacts] = {}


class SettingOperator(Operator):
    """
    Set a signal to what an operator of another type would add to it.

    Abstract. A subclass says with its bases which type that is, and what is known of it
    (see ``IncrementFacts``; nothing is inherited)::

        class DotSet(SettingOperator, increment=DotInc, is_product=True):
            ...

    It has the parameters and the attributes of that type, but is no subclass of it:
    setting is not incrementing.

    Parameters
    ----------
    *args, **kwargs
        The parameters of the incrementing operator, which checks them.
    in_place_of : nengo.builder.Operator, optional
        The incrementing operator itself, instead of its parameters. It is not changed.

    Attributes
    ----------
    increment : nengo.builder.Operator
        The incrementing operator; it is part of no plan.

    Notes
    -----
    1. sets ``increment.sets + increment.incs``
    2. incs ``[]``
    3. reads ``increment.reads``
    4. updates ``increment.updates``
    """

    _increment_type: ClassVar[type[Operator]]

    def __init_subclass__(
        cls,
        *,
        increment: type[Operator],
        is_product: bool = False,
        units: tuple[Callable[[np.ndarray], bool], ...] = (),
    ) -> None:
        super().__init_subclass__()
        cls._increment_type = increment
        INCREMENTS[increment] = IncrementFacts(
            lambda op: cls(in_place_of=op), is_product, units
        )

    def __init__(
        self, *args: Any, in_place_of: Operator | None = None, **kwargs: Any
    ) -> None:
        if in_place_of is None:
            in_place_of = self._increment_type(*args, **kwargs)
        super().__init__(tag=in_place_of.tag)
        self.increment = in_place_of
        self.sets = in_place_of.sets + in_place_of.incs
        self.incs: list[Signal] = []
        self.reads = list(in_place_of.reads)
        self.updates = list(in_place_of.updates)

    def __getattr__(self, name: str) -> Any:
        # Python asks for some private names before there is an `increment`
        if name.startswith("_"):
            raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`")
        return getattr(self.increment, name)

    @property
    def _descstr(self) -> str:
        return self.increment._descstr

    def init_signals(self, signals: SignalDict) -> None:
        """Initialise the signals, and what else the incrementing operator needs."""
        self.increment.init_signals(signals)

    def make_step(
        self, signals: SignalDict, dt: float, rng: np.random.RandomState
    ) -> Callable[[], None]:
        """Return a function that adds to zero."""
        add = self.increment.make_step(signals, dt, rng)
        targets = [signals[signal] for signal in self.increment.incs]

        def step_set() -> None:
            for target in targets:
                target[...] = 0
            add()

        return step_set


def facts_of(op: Operator) -> IncrementFacts | None:
    """
    Return what is known of an operator that adds something, or that sets the same.

    Parameters
    ----------
    op : nengo.builder.Operator
        Any operator.

    Returns
    -------
    facts : IncrementFacts or None
        None if nothing is known.
    """
    increment = op.increment if isinstance(op, SettingOperator) else op
    return INCREMENTS.get(type(increment))


def is_exactly(op: Operator, *types: type[Operator]) -> bool:
    """
    Return whether an operator is of one of some types, and not of a subclass.

    Passes that know what an operator of Nengo computes ask for that: a subclass may
    compute something else.
    """
    return type(op) in types


def stays(op: Operator) -> None:
    """Return None: something outside of the step belongs to this very operator."""


def copy_that_sets(op: Copy) -> Copy | None:
    """Return a copy that sets what ``op`` adds; None if it adds to some rows only."""
    if op.dst_slice is not None:
        return None
    return Copy(op.src, op.dst, src_slice=op.src_slice, tag=op.tag)


INCREMENTS[Copy] = IncrementFacts(copy_that_sets)
INCREMENTS[SimProcess] = IncrementFacts(stays)  # has a random number generator


def is_all_ones(value: np.ndarray) -> bool:
    """Return whether multiplying elements with ``value`` changes nothing."""
    return bool(np.all(value == 1))


def is_one(value: np.ndarray) -> bool:
    """Return whether ``value`` is a single one, in any number of dimensions."""
    return value.size == 1 and is_all_ones(value)


def is_unit_matrix(value: np.ndarray) -> bool:
    """Return whether a matrix product with ``value`` changes nothing."""
    if value.size == 1:
        return is_all_ones(value)
    return (
        value.ndim == 2
        and value.shape[0] == value.shape[1]
        and np.count_nonzero(value) == len(value)
        and is_all_ones(np.diagonal(value))
    )
