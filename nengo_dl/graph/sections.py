"""
Sections: which parts of a step run over many steps at once (stage 5 of the pipeline).

In: operators. Out: a list of sections in an order in which every section can run over
a whole block of steps before the next one starts. It is loop distribution (Allen and
Kennedy, "Automatic translation of FORTRAN programs to vector form", 1987) over the
strongly connected components of the step.

Two operators are connected if one needs what the other writes, in the same step or in
the next one. An operator that is in no cycle, and computes every item of a minibatch
from what it reads of that item, can compute many steps at once, as more items: its
section is a *batch*. All others run step by step, in a section that is a *loop*:
neurons, synapses, recurrent connections, learning rules.

What a signal holds that is *updated* (at the end of a step, for the next one) is, for
all other operators, what it held before: a later section reads the values from before
the update of each step.

In training, there are more batches: the rates of spiking neurons, whose state rests,
are functions of their current.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from nengo_dl.builder import Builder
from nengo_dl.graph.signal_io import signal_io_dicts
from nengo_dl.graph.trainability import is_minibatched


@dataclass(frozen=True)
class Section:
    """
    A part of the step that runs over a block of steps before the next part does.

    Parameters
    ----------
    is_batch : bool
        Whether all steps are computed at once, and not one after the other.
    operators : tuple of nengo.builder.Operator
        What it consists of.
    """

    is_batch: bool
    operators: tuple[Operator, ...]


def find_sections(
    groups: Sequence[Sequence[Operator]],
    heavy: Collection[Operator] | None = None,
    resting: Collection[Signal] = (),
) -> list[Section]:
    """
    Distribute operators over as few sections as possible.

    Parameters
    ----------
    groups : sequence of sequence of nengo.builder.Operator
        All operators of a step, by what has to stay together.
    heavy : collection of nengo.builder.Operator, optional
        The operators that have to be in a batch if they can be; others may be in loops,
        so that there are fewer sections. By default, all that can be are in batches.
    resting : collection of nengo.builder.Signal
        Base signals that nobody reads or changes.

    Returns
    -------
    sections : list of Section
        Batches and loops in turn. Every operator is in the last section that it can be
        in, so that little has to be kept between sections.
    """
    n = len(groups)
    edges = _edges(groups, resting)
    timeless = _timeless([op for group in groups for op in group], resting)
    components = strong_components(edges)
    number = {node: i for i, nodes in enumerate(components) for node in nodes}
    successors: list[set[int]] = [set() for _ in components]
    for node, after in enumerate(edges):
        successors[number[node]].update(number[other] for other in after)
    for i, after_component in enumerate(successors):
        after_component.discard(i)
    # None for what can be in sections of both kinds
    kinds: list[bool | None] = []
    for nodes in components:
        ops = [op for node in nodes if node < n for op in groups[node]]
        is_batch = len(nodes) == 1 and all(op in timeless for op in ops)
        is_heavy_batch = heavy is None or any(op in heavy for op in ops)
        is_light = not (ops and is_heavy_batch)
        kinds.append(None if is_batch and is_light else is_batch)
    schedules = [_latest(successors, kinds, kind) for kind in (False, True)]
    return [
        Section(kind, tuple(op for node in sorted(nodes) for op in groups[node]))
        for kind, chosen in min(schedules, key=len)
        if (nodes := [node for c in chosen for node in components[c] if node < n])
    ]


def resting_signals(
    operators: Sequence[Operator], probed: Collection[Signal]
) -> set[Signal]:
    """
    Return the base signals that training leaves as they are, and nobody reads.

    Parameters
    ----------
    operators : sequence of nengo.builder.Operator
        What runs in training.
    probed : collection of nengo.builder.Signal
        What is read by others than operators.
    """
    bases = (signal.base for op in operators for signal in op.all_signals)
    n_uses = Counter([*bases, *(signal.base for signal in probed)])
    return {
        signal.base
        for op in operators
        for signal in Builder.builder_of(op).resting_in_training(op)
        if n_uses[signal.base] == 1
    }


def verify_sections(
    sections: Sequence[Section],
    plan: Sequence[Sequence[Operator]],
    resting: Collection[Signal] = (),
) -> None:
    """
    Make sure that sections can run one after the other.

    Parameters
    ----------
    sections : sequence of Section
        The sections, in the order in which they run.
    plan : sequence of sequence of nengo.builder.Operator
        The groups.
    resting : collection of nengo.builder.Signal
        Base signals that nobody reads or changes.

    Raises
    ------
    nengo.exceptions.BuildError
        If a group is in two sections; if an operator needs what a later section writes;
        or if a batch has operators that have to run step by step.
    """
    section_of = {op: i for i, s in enumerate(sections) for op in s.operators}
    for group in plan:
        if len({section_of[op] for op in group}) != 1:
            raise BuildError(
                f"A group must be in one section, but this one is in several: {group}"
            )
    operators = list(section_of)
    for before, after in _order(operators, resting):
        if before and after:
            last = max(before, key=section_of.__getitem__)
            first = min(after, key=section_of.__getitem__)
            if section_of[last] > section_of[first]:
                raise BuildError(
                    f"`{first}` in section {section_of[first]} needs what `{last}` "
                    f"writes in section {section_of[last]}"
                )
    timeless = _timeless(operators, resting)
    for op in operators:
        if sections[section_of[op]].is_batch and op not in timeless:
            raise BuildError(f"`{op}` has to run step by step, but is in a batch")


def _order(
    operators: Sequence[Operator], resting: Collection[Signal]
) -> Iterator[tuple[list[Operator], list[Operator]]]:
    """
    Yield which operators have to be in the section of others, or in earlier ones.

    Pairs of lists: all of the first before, or together with, all of the second.
    """
    sets, incs, reads, updates = by_access = signal_io_dicts(operators)
    carried = {
        signal.base for op in operators for signal in Builder.builder_of(op).carried(op)
    }
    bases = dict.fromkeys(base for accesses in by_access for base in accesses)
    for base in (base for base in bases if base not in resting):
        setters, incers, readers, updaters = (a.get(base, []) for a in by_access)
        writers = [*setters, *incers, *updaters]
        elements = {
            (op, s): s.size for op in setters for s in op.sets if s.base is base
        }
        # the matrices of learning rules are too large to be kept for all steps
        is_small = base.ndim <= 1 or not is_minibatched(base)
        is_set = base not in carried and sum(elements.values()) >= base.size
        if is_small and is_set and not updaters:
            yield setters, [*incers, *readers]
            yield incers, readers
        elif is_small and len(updaters) == 1 == len(writers):
            yield updaters, readers
        elif writers:
            yield [*writers, *readers], [*writers, *readers]


def _edges(
    groups: Sequence[Sequence[Operator]], resting: Collection[Signal]
) -> list[list[int]]:
    """
    Return which nodes have to wait for which.

    Nodes from ``len(groups)`` on stand for "all of these have run".
    """
    numbers = {op: i for i, group in enumerate(groups) for op in group}
    edges: list[list[int]] = [[] for _ in groups]
    for before, after in _order(list(numbers), resting):
        for op in before:
            edges[numbers[op]].append(len(edges))
        edges.append([numbers[op] for op in after])
    return edges


def _timeless(
    operators: Sequence[Operator], resting: Collection[Signal]
) -> set[Operator]:
    """Return the operators that can compute many steps at once, as more items."""
    written = {s.base for op in operators for s in (*op.sets, *op.incs, *op.updates)}

    def rests(op: Operator) -> bool:
        signals = Builder.builder_of(op).resting_in_training(op)
        return bool(signals) and all(signal.base in resting for signal in signals)

    return {
        op
        for op in operators
        if not op.updates
        and (Builder.builder_of(op).timeless(op) or rests(op))
        # what has no minibatch axis must be the same in every step
        and all(
            bool(is_minibatched(signal)) == (signal.base in written)
            for signal in op.all_signals
        )
    }


def strong_components(edges: Sequence[Sequence[int]]) -> list[list[int]]:
    """
    Find the strongly connected components of a graph (Tarjan's algorithm).

    Parameters
    ----------
    edges : sequence of sequence of int
        For every node the nodes that it is connected to.

    Returns
    -------
    components : list of list of int
        The nodes of every component; a component comes before those that it is
        connected to.
    """
    indices: dict[int, int] = {}
    lowest: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    components: list[list[int]] = []
    for root in range(len(edges)):
        if root in indices:
            continue
        work = [(root, iter(edges[root]))]
        indices[root] = lowest[root] = len(indices)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, others = work[-1]
            for other in others:
                if other not in indices:
                    indices[other] = lowest[other] = len(indices)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    lowest[node] = min(lowest[node], indices[other])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[node])
                if lowest[node] == indices[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    components.append(component)
    return components[::-1]


def _latest(
    successors: Sequence[set[int]], kinds: Sequence[bool | None], last_kind: bool
) -> list[tuple[bool, list[int]]]:
    """
    Put every component into the last section that it can be in.

    Returns
    -------
    sections : list of (bool, list of int)
        The kind of each section, and its components.
    """
    waiting = [len(after) for after in successors]
    predecessors: list[list[int]] = [[] for _ in successors]
    for node, after in enumerate(successors):
        for other in after:
            predecessors[other].append(node)
    ready: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for node, n in enumerate(waiting):
        if n == 0:
            ready[kinds[node]].append(node)
    kind, sections = last_kind, []
    while any(ready.values()):
        chosen = []
        while ready[None] or ready[kind]:
            node = (ready[None] or ready[kind]).pop()
            chosen.append(node)
            for other in predecessors[node]:
                waiting[other] -= 1
                if waiting[other] == 0:
                    ready[kinds[other]].append(other)
        if chosen:
            sections.append((kind, chosen))
        kind = not kind
    return sections[::-1]
