"""
A planner that forms groups type by type rather than step by step.

In: operators. Out: a plan. See `nengo_dl.graph.planners`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from nengo.builder.operator import Operator

from nengo_dl.builder import Builder
from nengo_dl.graph.dependencies import (
    dependency_graph,
    transitive_closure_recurse,
)
from nengo_dl.graph.merge import merge_classes


def transitive_planner(
    op_list: Sequence[Operator],
) -> list[tuple[Operator, ...]]:
    """
    Merge the operators of one type after those of another.

    Types of operators are gone through in the order of the ``planner_priority`` of
    their builders. Operators of the first type end up in as few groups as possible;
    those of the second type in as few as possible given the first ones; and so on.

    Takes more time and memory than the other planners, as it needs to know all
    indirect dependencies.

    Parameters
    ----------
    op_list : sequence of nengo.builder.Operator
        The operators.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        The groups.

    Raises
    ------
    nengo.exceptions.BuildError
        If the operators depend on each other in a cycle, or the type of one of them
        has no registered builder.
    """
    graph = dependency_graph(op_list)
    order, ancestors = transitive_closure_recurse(graph)
    bits = [0] * len(order)
    for rank, node in enumerate(order):
        bits[node] = 1 << rank

    groups: list[list[int]] = []
    for members in _classes_by_priority(graph.operators):
        levels = _levels(members, bits, ancestors)
        for level in levels:
            _merge(level, bits, ancestors)
        groups += levels

    # everything a group depends on depends on less than the group itself
    groups.sort(key=lambda group: (ancestors[group[0]].bit_count(), group))
    return [tuple(graph.operators[node] for node in group) for group in groups]


def _classes_by_priority(operators: Sequence[Operator]) -> list[list[int]]:
    """Return the numbers of the operators of each class, by ascending priority."""
    classes: dict[int, list[int]] = {}
    for node, number in enumerate(merge_classes(operators)):
        classes.setdefault(number, []).append(node)
    return sorted(
        classes.values(),
        key=lambda members: Builder.builder_of(operators[members[0]]).planner_priority,
    )


def _levels(
    members: Sequence[int], bits: Sequence[int], ancestors: Sequence[int]
) -> list[list[int]]:
    """
    Divide a class into the smallest possible number of groups.

    The first group consists of the operators that do not depend on any other member of
    the class; the second one of those that depend on members of the first group only;
    and so on. Merging one of these groups does not change the others. Their number is
    the length of the longest chain of members that depend on each other.

    Parameters
    ----------
    members : sequence of int
        The operators of the class.
    bits : sequence of int
        The bit that stands for each operator.
    ancestors : sequence of int
        The set of operators that each operator depends on.
    """
    levels: list[list[int]] = []
    sets: list[int] = []
    # an operator depends on more operators than any of those it depends on
    for node in sorted(members, key=lambda node: (ancestors[node].bit_count(), node)):
        # it depends on some operator of all levels up to the last one it depends on
        n = bisect_left(sets, True, key=lambda level: not ancestors[node] & level)
        if n == len(levels):
            levels.append([])
            sets.append(0)
        levels[n].append(node)
        sets[n] |= bits[node]
    return [sorted(level) for level in levels]


def _merge(group: Sequence[int], bits: Sequence[int], ancestors: list[int]) -> None:
    """Let all operators in a group, and all that depend on one, depend on the same."""
    if len(group) == 1:
        return
    merged = 0
    inherited = 0
    for node in group:
        merged |= bits[node]
        inherited |= ancestors[node]
    for node, its_ancestors in enumerate(ancestors):
        if its_ancestors & merged:
            ancestors[node] |= merged | inherited
    for node in group:
        ancestors[node] = inherited
