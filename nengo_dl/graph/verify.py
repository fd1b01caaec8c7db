"""
Check a plan before anything is built from it.

In: operators and a plan for them. Out: nothing, or an error. Plans can come from
planners that users supply; a wrong one would lead to wrong results without any sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from nengo.builder.operator import Operator
from nengo.exceptions import BuildError

from nengo_dl.graph.dependencies import dependency_graph


def verify_plan(
    operators: Sequence[Operator], plan: Sequence[Sequence[Operator]]
) -> None:
    """
    Make sure that a plan runs all operators, once, after those they depend on.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        The operators that were planned.
    plan : sequence of sequence of nengo.builder.Operator
        The groups in the order of execution.

    Raises
    ------
    nengo.exceptions.BuildError
        If an operator is missing, is planned repeatedly or was not asked for; or if an
        operator runs before, or together with, one that it depends on.
    """
    group_of = _find_groups(operators, plan)
    graph = dependency_graph(operators)
    # the last group that has to run before a node, and the operator in it
    latest = [(-1, -1)] * len(graph.successors)
    for node in graph.topological_order():
        before, dependency = latest[node]
        passed_on = latest[node]
        if not graph.is_barrier(node):
            op = graph.operators[node]
            if before >= group_of[op]:
                raise BuildError(
                    f"An operator must run in a later group than those it depends on, "
                    f"but `{op}` is in group {group_of[op]} and depends on "
                    f"`{graph.operators[dependency]}` in group {before}; correct the "
                    "planner"
                )
            passed_on = (group_of[op], node)
        for successor in graph.successors[node]:
            latest[successor] = max(latest[successor], passed_on)


def _find_groups(
    operators: Sequence[Operator], plan: Sequence[Sequence[Operator]]
) -> dict[Operator, int]:
    """Return the index of the group of each operator."""
    group_of: dict[Operator, int] = {}
    for number, group in enumerate(plan):
        for op in group:
            if op in group_of:
                raise BuildError(
                    f"A plan must run every operator once, but `{op}` is in groups "
                    f"{group_of[op]} and {number}; correct the planner"
                )
            group_of[op] = number
    known = set(operators)
    wrong = [op for op in operators if op not in group_of]
    wrong += [op for op in group_of if op not in known]
    if wrong:
        what = "missing from the plan" if wrong[0] in known else "not to be planned"
        raise BuildError(
            f"A plan must run the operators it is made for, but `{wrong[0]}` is {what}"
            f" ({len(wrong)} operators in total); correct the planner"
        )
    return group_of
