"""
Check what planners and other functions of users return, before anything is built from
it.

In: operators, and what has been made of them. Out: nothing, or an error. A wrong plan
would lead to wrong results without any sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Any

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.graph.dependencies import check_single_writers
from nengo_dl.graph.signal_io import ACCESSES, BaseAccess, SignalIO
from nengo_dl.utils import function_name


def verify_plan(
    operators: Sequence[Operator],
    plan: Sequence[Sequence[Operator]],
    author: str = "planner",
) -> None:
    """
    Make sure that a plan runs all operators, once, after those they depend on.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators that were planned.
    plan : sequence of sequence of nengo.builder.Operator
        The groups in the order of execution.
    author : str
        Who has made the plan, for the error.

    Raises
    ------
    nengo.exceptions.BuildError
        If it is no plan; if an operator is missing, is planned repeatedly or was not
        asked for; if an operator runs before, or together with, one that it depends on;
        or if several operators set, or several update, the same memory.
    """
    if not (_is_list(plan) and all(map(_is_list_of_operators, plan))):
        raise BuildError(
            "A plan must be a list of groups, which are tuples of operators (received "
            f"{_short(plan)}); correct the {author}"
        )
    group_of = _find_groups(operators, plan, author)
    for access in SignalIO.of(operators).bases.values():
        check_single_writers(access)
        if access.has_order:
            _check_order(access, group_of, author)


def _check_order(
    access: BaseAccess, group_of: Mapping[Operator, int], author: str
) -> None:
    """Raise an error if one of the accesses to a base signal comes too early."""

    def last_two(operators: Iterable[Operator]) -> list[Operator]:
        # two, as an operator does not wait for itself
        different = list(dict.fromkeys(operators))
        if len(different) < 3:
            return different
        return nlargest(2, different, key=group_of.__getitem__)

    last = {
        (byte_range, kind): last_two(op for op, _ in accesses)
        for byte_range in access.ranges.values()
        for kind, accesses in byte_range.accesses.items()
    }
    for byte_range in access.ranges.values():
        earlier: list[Operator] = []
        for kind in ACCESSES:
            for op, _ in byte_range.accesses.get(kind, ()):
                for other in earlier:
                    if group_of[other] >= group_of[op] and other is not op:
                        raise BuildError(
                            "An operator must run in a later group than those it "
                            f"depends on, but `{op}` is in group {group_of[op]} and "
                            f"depends on `{other}` in group {group_of[other]}; correct "
                            f"the {author}"
                        )
            for neighbour in byte_range.neighbours:
                earlier += last.get((neighbour, kind), ())
            earlier = last_two(earlier)


def _find_groups(
    operators: Sequence[Operator], plan: Sequence[Sequence[Operator]], author: str
) -> dict[Operator, int]:
    """Return the index of the group of each operator."""
    group_of: dict[Operator, int] = {}
    for number, group in enumerate(plan):
        for op in group:
            if op in group_of:
                raise BuildError(
                    f"A plan must run every operator once, but `{op}` is in groups "
                    f"{group_of[op]} and {number}; correct the {author}"
                )
            group_of[op] = number
    known = set(operators)
    wrong = [op for op in operators if op not in group_of]
    wrong += [op for op in group_of if op not in known]
    if wrong:
        what = "missing from the plan" if wrong[0] in known else "not to be planned"
        raise BuildError(
            f"A plan must run the operators it is made for, but `{wrong[0]}` is {what}"
            f" ({len(wrong)} operators in total); correct the {author}"
        )
    return group_of


def verify_simplified(
    simplification: Callable, operators: Any, signals: Iterable[Signal]
) -> None:
    """
    Make sure that a simplification has returned operators, and not too few.

    Parameters
    ----------
    simplification : callable
        The simplification.
    operators : sequence of nengo.builder.Operator
        What it has returned.
    signals : iterable of nengo.builder.Signal
        Signals that are needed.

    Raises
    ------
    nengo.exceptions.BuildError
        If it has returned anything else, or no operator accesses one of the signals.
    """
    name = function_name(simplification, sanitize=False)
    if not _is_list_of_operators(operators):
        raise BuildError(
            f"The simplification `{name}` must return a list of operators (received "
            f"{_short(operators)})"
        )
    known = {signal.base for op in operators for signal in op.all_signals}
    missing = [signal for signal in signals if signal.base not in known]
    if missing:
        raise BuildError(
            f"The simplification `{name}` must return operators that do the same, but "
            f"none of them accesses {missing[0]} ({len(operators)} operators received)"
        )


def verify_order(sorter: Callable, operators: Sequence[Operator], ordered: Any) -> None:
    """
    Make sure that a sorter has returned all signals, and a valid plan.

    Parameters
    ----------
    sorter : callable
        The sorter.
    operators : sequence of nengo.builder.Operator
        The operators of the plan that it was given.
    ordered : tuple
        What it has returned, signals and a plan.

    Raises
    ------
    nengo.exceptions.BuildError
        If it has returned anything else, or if something is missing.
    """
    name = function_name(sorter, sanitize=False)
    if not (_is_list(ordered) and len(ordered) == 2 and all(map(_is_list, ordered))):
        raise BuildError(
            f"The sorter `{name}` must return signals and a plan (received "
            f"{_short(ordered)})"
        )
    signals, plan = ordered
    verify_plan(operators, plan, author=f"sorter `{name}`")
    known = set(signals)
    needed = {signal.base: None for op in operators for signal in op.all_signals}
    missing = [signal for signal in needed if signal not in known]
    if missing:
        raise BuildError(
            f"The sorter `{name}` must return all signals, but {missing[0]} is missing "
            f"({len(missing)} signals in total)"
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_list_of_operators(value: Any) -> bool:
    return _is_list(value) and all(isinstance(item, Operator) for item in value)


def _short(value: Any) -> str:
    """Return a value as a text that is not too long."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
