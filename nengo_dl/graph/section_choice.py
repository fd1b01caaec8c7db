"""
Which sections pay (stage 5 of the pipeline).

In: operators, and the settings of the network. Out: their plan, and the `sections` in
which they run where that is faster, by the sizes of products and of what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.exceptions import BuildError

from nengo_dl.builder import Builder, Work
from nengo_dl.config import Settings
from nengo_dl.graph.dependencies import DependencyGraph, dependency_graph
from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.operators import ConvSet, ConvTransposeSet
from nengo_dl.graph.sections import Section, find_sections
from nengo_dl.graph.trainability import is_minibatched

Plan = list[tuple[Operator, ...]]

CONVOLUTIONS = (ConvInc, ConvSet, ConvTransposeInc, ConvTransposeSet)
# A product is worth a batch if it has so many multiplications, for one item ...
MIN_HEAVY = 2**14
# ... and so many for every number of a minibatch that goes in and comes out: in a batch
# these are written to memory for all steps, while the weights are read only once.
MIN_INTENSITY = 16
# Sections are faster than one loop if there are so many multiplications in batches for
# every loop.
MIN_PRODUCTS = 2**16
# So many steps are computed at once, if what batches read and write in them takes up no
# more than so many bytes. For fewer than the last number, sections do not pay.
STEPS_AT_ONCE = 64
MAX_BYTES = 2**28
MIN_STEPS_AT_ONCE = 8


def choose_sections(
    operators: Sequence[Operator],
    planner: Callable[[Sequence[Operator]], Plan],
    settings: Settings,
    resting: Collection[Signal] = (),
) -> tuple[Plan, tuple[Section, ...]]:
    """
    Plan all operators, by sections where that pays.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        All operators of a step.
    planner : callable
        The planner.
    settings : Settings
        Whether sections are wanted.
    resting : collection of nengo.builder.Signal
        See `resting_signals`; none but in training.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        Groups, in an order in which they can run step by step.
    sections : tuple of Section
        The sections; none if all groups should run step by step.
    """
    sections = paying_sections([(op,) for op in operators], settings, resting)
    plan = plan_sections(sections, planner) if sections else None
    return (planner(operators), ()) if plan is None else (plan, tuple(sections))


def paying_sections(
    groups: Sequence[Sequence[Operator]],
    settings: Settings,
    resting: Collection[Signal] = (),
) -> list[Section]:
    """
    Distribute groups over sections, where that pays.

    Parameters
    ----------
    groups : sequence of sequence of nengo.builder.Operator
        All operators of a step, by what has to stay together.
    settings : Settings
        Whether sections are wanted.
    resting : collection of nengo.builder.Signal
        See `resting_signals`; none but in training.

    Returns
    -------
    sections : list of Section
        The sections; none if all groups should run step by step.
    """
    if not (settings.layerwise and settings.use_loop):
        return []
    if settings.layerwise != "auto":
        return find_sections(groups, None, resting)
    operators = [op for group in groups for op in group]
    heavy = {op for op in operators if is_heavy(op, settings.minibatch_size)}
    if sum(map(n_products, heavy)) < MIN_PRODUCTS:
        return []
    sections = find_sections(groups, heavy, resting)
    return sections if pays(sections, heavy, settings) else []


def is_heavy(op: Operator, minibatch_size: int) -> bool:
    """Return whether an operator is worth a batch."""
    n = n_products(op)
    if n < MIN_HEAVY:
        return False
    if isinstance(op, CONVOLUTIONS):
        # (one product for each number is cheap beside keeping it: biases of channels)
        return n > op.Y.size
    if _hidden_work(op).n_convolved:
        return True
    moved = sum(s.size for s in op.all_signals if is_minibatched(s))
    return n >= MIN_INTENSITY * minibatch_size * moved


def pays(
    sections: Sequence[Section], heavy: Collection[Operator], settings: Settings
) -> bool:
    """Return whether sections are faster than a single loop."""
    if steps_at_once(sections, settings) < MIN_STEPS_AT_ONCE:
        return False
    n_loops = sum(not section.is_batch for section in sections)
    batches = [section for section in sections if section.is_batch]
    in_batches = [op for section in batches for op in section.operators if op in heavy]
    return sum(map(n_products, in_batches)) >= MIN_PRODUCTS * max(1, n_loops)


def steps_at_once(sections: Sequence[Section], settings: Settings) -> int:
    """Return how many steps a section computes before the next one starts."""
    batches = [op for s in sections if s.is_batch for op in s.operators]
    arrays = {s.base for op in batches for s in op.all_signals if is_minibatched(s)}
    n_values = sum(signal.size for signal in arrays)
    n_values += sum(_hidden_work(op).n_values for op in batches)
    n_bytes = 8 * settings.minibatch_size * n_values
    n_fitting = max(1, MAX_BYTES // max(1, n_bytes))
    return min(STEPS_AT_ONCE, 2 ** (n_fitting.bit_length() - 1))


def loops_are_light(sections: Sequence[Section]) -> bool:
    """Return whether loops write no more values of an item than batches do."""
    written = {True: 0, False: 0}
    for section in sections:
        signals = [s for op in section.operators for s in (*op.sets, *op.updates)]
        bases = {s.base for s in signals if is_minibatched(s)}
        written[section.is_batch] += sum(base.size for base in bases)
    return written[False] <= written[True]


def n_products(op: Operator) -> int:
    """Return how many multiplications with constant weights an operator takes."""
    if isinstance(op, CONVOLUTIONS):
        return op.W.size * op.Y.size // op.conv.n_filters
    weights = [s for s in op.reads if s.base.ndim > 1 and not is_minibatched(s)]
    n_visible = sum(len(dense_values(s)) if s.sparse else s.size for s in weights)
    return n_visible + _hidden_work(op).n_products


def _hidden_work(op: Operator) -> Work:
    return Builder.builder_of(op).hidden_work(op)


def plan_sections(
    sections: Sequence[Section], planner: Callable[[Sequence[Operator]], Plan]
) -> Plan | None:
    """
    Plan every section on its own.

    Parameters
    ----------
    sections : sequence of Section
        The sections.
    planner : callable
        The planner.

    Returns
    -------
    plan : list of tuple of nengo.builder.Operator
        Groups that are in one section each, in an order in which they can also run step
        by step. None if there is no such order.
    """
    groups = [tuple(g) for section in sections for g in planner(section.operators)]
    group_of = {op: i for i, group in enumerate(groups) for op in group}
    graph = dependency_graph([op for section in sections for op in section.operators])
    n_nodes = len(graph.operators)
    # barriers are nodes of their own behind the groups
    node_of = [
        group_of[graph.operators[node]] if node < n_nodes else len(groups) + node
        for node in range(len(graph.successors))
    ]
    successors: list[list[int]] = [[] for _ in range(len(groups) + len(node_of))]
    n_predecessors = [0] * len(successors)
    for node, after in zip(node_of, graph.successors):
        for other in (node_of[other] for other in after):
            if other != node:
                successors[node].append(other)
                n_predecessors[other] += 1
    try:
        order = DependencyGraph((), successors, n_predecessors).topological_order()
    except BuildError:  # there is a cycle
        return None
    return [groups[node] for node in order if node < len(groups)]
