"""
The whole compilation on one screen: from a built Nengo model to a `Program`.

In: a `nengo.builder.Model` and the settings of the network. Out: a frozen `Program`,
the only thing that the tensor layer receives. No tensor is created here, and the model
is not changed (but for the marks of `nengo_dl.graph.trainability` on its signals).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import nengo
from nengo.builder import Model
from nengo.builder.operator import Operator, SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal

from nengo_dl.builder import Builder
from nengo_dl.config import Settings, get_setting
from nengo_dl.graph.layout import Layout, lay_out
from nengo_dl.graph.operators import Constant, Feed
from nengo_dl.graph.ordering import order_signals
from nengo_dl.graph.planners import noop_planner, tree_planner
from nengo_dl.graph.section_choice import choose_sections, paying_sections
from nengo_dl.graph.sections import Section, resting_signals, verify_sections
from nengo_dl.graph.signal_io import OperatorList
from nengo_dl.graph.simplify import default_simplifications, simplify
from nengo_dl.graph.trainability import mark_signals
from nengo_dl.graph.training_synapses import (
    Replacement,
    find_replacements,
    sort_groups,
    training_operators,
    training_probes,
)
from nengo_dl.graph.verify import verify_order, verify_plan
from nengo_dl.utils import Stopwatch


@dataclass(frozen=True)
class Program:
    """
    A compiled network.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that was compiled.
    settings : Settings
        How it was compiled.
    plan : tuple of tuple of nengo.builder.Operator
        Groups of merged operators in the order of execution.
    layout : Layout
        The places of the signals.
    nodes : tuple of nengo.Node
        The Nodes without input, in the order of the network.
    feeds : tuple of Feed
        What flows in from outside at every step.
    producers : dict of {Feed: nengo.builder.Operator}
        The operators whose place the feeds have taken. Feeds without one are constant,
        with the initial value of their signal.
    silent : tuple of nengo.builder.operator.SimPyFunc
        Functions without input and output, called for their side effects.
    probes : dict of {nengo.Probe: nengo.builder.Signal}
        What flows out.
    without_history : frozenset of nengo.Probe
        Probes of which only the last value is kept.
    carried : tuple of str
        Base arrays whose values go from one step to the next. Arrays that are not
        among them are constant, or are set afresh in every step.
    unwritten : tuple of str
        Base arrays that no operator writes.
    sections : tuple of Section
        The parts in which blocks of many steps are computed, one after the other; empty
        if all of it is computed step by step.
    restored : frozenset of str
        Carried arrays whose values a step returns as it got them. They are the state of
        synapses that run in the other version only, while this one sets them afresh.
    training : Program, optional
        The training version, if it differs. With other synapses in training, it has
        another plan, and may probe other signals. It may have other sections. All else,
        as the places of signals, is the same.
    """

    model: nengo.builder.Model
    settings: Settings
    plan: tuple[tuple[Operator, ...], ...]
    layout: Layout
    nodes: tuple[nengo.Node, ...]
    feeds: tuple[Feed, ...]
    producers: dict = field(hash=False)
    silent: tuple[SimPyFunc, ...]
    probes: dict = field(hash=False)
    without_history: frozenset = frozenset()
    carried: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    restored: frozenset[str] = frozenset()
    training: Program | None = field(default=None, hash=False)

    def version(self, training: bool) -> Program:
        """Return the program that runs, in training or else."""
        return self.training if training and self.training is not None else self

    @property
    def dt(self) -> float:
        """Length of a simulation step in seconds."""
        return self.model.dt

    @cached_property
    def is_interactive(self) -> bool:
        """
        Whether functions run within the step.

        Functions of time alone may then depend on what those do (when they read the
        sensors of a robot, say), so that they cannot run ahead of the step.
        """
        return any(isinstance(op, SimPyFunc) for group in self.plan for op in group)

    @cached_property
    def function_feeds(self) -> tuple[Feed, ...]:
        """The feeds whose values come from functions."""
        return tuple(
            feed
            for feed in self.feeds
            if isinstance(self.producers.get(feed), SimPyFunc)
        )

    @cached_property
    def calls_functions(self) -> bool:
        """Whether functions of time are called within the step, not ahead of it."""
        return self.is_interactive and bool(self.function_feeds or self.silent)

    def keeps_history(self, probe: nengo.Probe) -> bool:
        """Return whether all values of a probe are kept, or only the last one."""
        return probe not in self.without_history

    def __str__(self) -> str:
        """Print the plan with its reads and writes, and the base arrays."""
        lines = [f"Program of {self.model.label}", "", "Plan:", *self._plan_lines()]
        training = self.version(training=True)
        if training.plan != self.plan:
            lines += ["", "Plan in training:", *training._plan_lines()]
        lines += ["", "Sections:", *self._section_lines()] if self.sections else []
        if training.sections and training.sections != self.sections:
            lines += ["", "Sections in training:", *training._section_lines()]
        lines += ["", "Base arrays:"]
        for key, array in self.layout.arrays.items():
            role = "constant" if key in self.unwritten else "computed in every step"
            role = "carried" if key in self.carried else role
            batch = "minibatch x " if array.minibatched else ""
            lines.append(f"     {key}: {array.dtype} {batch}{array.shape}, {role}")
        return "\n".join(lines)

    def _section_lines(self) -> list[str]:
        numbers = {group[0]: i for i, group in enumerate(self.plan)}
        lines = []
        for section in self.sections:
            own = [str(numbers[op]) for op in section.operators if op in numbers]
            kind = "many steps at once" if section.is_batch else "step by step"
            lines.append(f"     {kind}: groups {', '.join(own)}")
        return lines

    def _plan_lines(self) -> list[str]:
        lines = []
        for i, group in enumerate(self.plan):
            accesses = []
            for access in ("sets", "incs", "reads", "updates"):
                keys = {
                    self.layout.places[s.base][0]: None
                    for op in group
                    for s in getattr(op, access)
                }
                if keys:
                    accesses.append(f"{access} {', '.join(keys)}")
            name = type(group[0]).__name__
            lines.append(f"{i:4d} {name} x {len(group)}: {'; '.join(accesses)}")
        return lines


def compile_model(
    model: Model, settings: Settings, times: Stopwatch | None = None
) -> Program:
    """
    Compile a built model: stages 2 to 8 of the pipeline.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    settings : Settings
        How to compile it.
    times : Stopwatch, optional
        Measures every stage.

    Returns
    -------
    program : Program
        What the tensor layer executes.

    Raises
    ------
    nengo.exceptions.BuildError
        If there is no builder for an operator.
    """
    times = Stopwatch() if times is None else times
    planner, sorter, simplifications = chosen_stages(settings)
    with times.measure("inputs"):
        for op in model.operators:
            Builder.builder_of(op)
        inputs = feed_inputs(model)
    with times.measure("marks"):
        replacements = {} if settings.inference_only else find_replacements(model)
        added = [op for other in replacements.values() for op in other.operators]
        mark_signals(model, [*inputs.operators, *added], settings.inference_only)
    with times.measure("simplify"):
        needed = [model.step, model.time, *(model.sig[p]["in"] for p in model.probes)]
        operators = simplify(inputs.operators, simplifications, needed)
        constants = [op for op in operators if isinstance(op, Constant)]
        operators = OperatorList(op for op in operators if not isinstance(op, Constant))
    with times.measure("plan"):
        plan, sections = choose_sections(operators, planner, settings)
        verify_plan(operators, plan)
        if sections:
            verify_sections(sections, plan)
    with times.measure("order"):
        ordered = sorter(plan)
        if sorter is not order_signals:
            verify_order(sorter, operators, ordered)
        signals, plan = ordered
    probes = training_probes(model, replacements)
    with times.measure("plan"):
        training_plan, training_sections = _plan_training(
            operators,
            replacements,
            planner,
            settings,
            probes.values(),
            plan,
            sections,
        )
        bases = (s.base for op in added for s in op.all_signals)
        signals = list(dict.fromkeys([*signals, *bases]))
    with times.measure("layout"):
        other_plan = training_plan if replacements else []
        layout = lay_out(signals, [*plan, *other_plan], constants, settings.dtype)
        carried, unwritten = classify_arrays(layout, plan, other_plan)
    program = Program(
        model=model,
        settings=settings,
        plan=tuple(tuple(group) for group in plan),
        layout=layout,
        nodes=inputs.nodes,
        feeds=tuple(op for op in operators if isinstance(op, Feed)),
        producers=inputs.producers,
        silent=inputs.silent,
        probes={probe: model.sig[probe]["in"] for probe in model.probes},
        without_history=frozenset(
            probe
            for probe in model.probes
            if not get_setting(model, "keep_history", default=True, obj=probe)
        ),
        carried=carried,
        unwritten=unwritten,
        sections=sections,
    )
    return _with_training(
        program, training_plan, training_sections, probes, replacements
    )


def _plan_training(
    operators: Sequence[Operator],
    replacements: Mapping[SimProcess, Replacement],
    planner: Callable,
    settings: Settings,
    probed: Collection[Signal],
    plan: Sequence[tuple[Operator, ...]],
    sections: tuple[Section, ...],
) -> tuple[Sequence[tuple[Operator, ...]], tuple[Section, ...]]:
    """Return the plan in training, sorted like that in inference, and its sections."""
    if settings.inference_only:
        return plan, sections
    if replacements:
        operators = training_operators(operators, replacements)
    resting = resting_signals(operators, probed)
    if not (replacements or resting):
        return plan, sections
    if replacements:
        training_plan, sections = choose_sections(operators, planner, settings, resting)
        verify_plan(operators, training_plan)
        plan = sort_groups(training_plan, plan, replacements)
    else:
        sections = tuple(paying_sections(plan, settings, resting))
    if sections:
        verify_sections(sections, plan, resting)
    return plan, sections


def _with_training(
    program: Program,
    plan: Sequence[tuple[Operator, ...]],
    sections: tuple[Section, ...],
    probes: dict,
    replacements: Mapping[SimProcess, Replacement],
) -> Program:
    """Return a program with its training version, if that is another one."""
    places = program.layout.places
    training = replace(
        program,
        plan=tuple(tuple(group) for group in plan),
        sections=sections,
        probes=probes,
        restored=frozenset(places[op.output.base][0] for op in replacements),
    )
    return program if training == program else replace(program, training=training)


def chosen_stages(settings: Settings) -> tuple[Callable, Callable, tuple]:
    """Return the planner, the sorter, and the simplifications of some settings."""
    sorter = settings.sorter or order_signals
    if not settings.optimize:
        return noop_planner, sorter, ()
    simplifications = settings.simplifications
    if simplifications is None:
        simplifications = default_simplifications
    return settings.planner or tree_planner, sorter, simplifications


@dataclass(frozen=True)
class Inputs:
    """
    What enters the step from outside; the fields are those of `Program`.

    ``operators`` are the operators of the model, with the feeds in place of those that
    produced the values.
    """

    operators: list[Operator]
    nodes: tuple[nengo.Node, ...]
    producers: dict
    silent: tuple[SimPyFunc, ...]


def feed_inputs(model: Model) -> Inputs:
    """
    Replace what depends on time alone by `Feed` operators (stage 2).

    These are Nodes without input, and processes without input (such as the noise of an
    ensemble): they are run by NumPy ahead of the step, and their values are fed in.
    """
    setters = {signal: op for op in model.operators for signal in op.sets}
    silent = tuple(
        op
        for op in model.operators
        if isinstance(op, SimPyFunc) and op.output is None and op.x is None
    )
    feeds: list[Operator] = []
    nodes: list[nengo.Node] = []
    producers: dict = {}
    all_nodes = () if model.toplevel is None else model.toplevel.all_nodes
    # a network may be listed twice (in nengo.spa)
    for node in dict.fromkeys(all_nodes):
        signal = model.sig[node]["out"] if node in model.sig else None
        producer = setters.get(signal)
        # other operators (those of TensorNodes) have to run inside of the step
        if node.size_in > 0 or not isinstance(
            producer, (SimPyFunc, SimProcess, type(None))
        ):
            continue
        nodes.append(node)
        if signal is not None:
            feeds.append(Feed(signal, node))
            if producer is not None:
                producers[feeds[-1]] = producer
    fed = set(producers.values())
    for op in model.operators:
        if isinstance(op, SimProcess) and op.input is None and op not in fed:
            if op.mode != "update":
                feeds.append(Feed(op.output, op, mode=op.mode))
                producers[feeds[-1]] = op
    replaced = {*producers.values(), *silent}
    operators = feeds + [op for op in model.operators if op not in replaced]
    return Inputs(operators, tuple(nodes), producers, silent)


def classify_arrays(
    layout: Layout, *plans: Sequence[Sequence[Operator]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Find out which base arrays carry values from step to step, and which nobody writes.

    An array is carried unless every element of it is set in every step by operators
    that do not read its previous value. With several plans, an array is carried if one
    of them needs that.

    Returns
    -------
    carried, unwritten : tuple of str
        Keys of the arrays.
    """
    written: set[str] = set()
    carried: set[str] = set()
    for plan in plans:
        written_by_plan, carried_by_plan = _written_arrays(layout, plan)
        written |= written_by_plan
        carried |= carried_by_plan
    return (
        tuple(k for k in layout.arrays if k in carried),
        tuple(k for k in layout.arrays if k not in written),
    )


def _written_arrays(
    layout: Layout, plan: Sequence[Sequence[Operator]]
) -> tuple[set[str], set[str]]:
    """Return the arrays that a plan writes, and those of them that it carries."""
    written: set[str] = set()
    carried: set[str] = set()
    n_set: dict[str, int] = dict.fromkeys(layout.arrays, 0)
    for group in plan:
        builder = Builder.builder_of(group[0])
        for op in group:
            for signal in builder.carried(op) + op.updates:
                carried.add(layout.places[signal.base][0])
            for signal in op.sets:
                n_set[layout.places[signal.base][0]] += signal.size
            for signal in op.sets + op.incs + op.updates:
                written.add(layout.places[signal.base][0])
    for key in written:
        n_elements = sum(s.size for s in layout.arrays[key].signals)
        if n_set[key] < n_elements:
            carried.add(key)
    return written, carried
