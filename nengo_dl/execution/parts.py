"""
The sections of a program as steps of their own.

In: a `Step` of a program with sections. Out: a `Part` for every section: its groups as
a step of a smaller program, what it takes, and what it hands on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nengo_dl.execution.step import Step
from nengo_dl.graph.program import Program
from nengo_dl.graph.sections import Section
from nengo_dl.utils import without_warnings


@dataclass(frozen=True)
class Part:
    """
    What a section takes, and what it hands on.

    Parameters
    ----------
    step : Step
        The groups of the section.
    is_batch : bool
        Whether all steps are computed at once.
    state : list of str
        Carried arrays that the section changes.
    inputs : list of str
        Arrays that earlier sections have written.
    outputs : dict of {str: bool}
        Arrays that later sections read, and whether they read what an array holds at
        the end of a step (True), or at its beginning.
    probes : dict of {nengo.Probe: bool}
        Probes of the section, and whether they keep all values.
    feeds : list of int
        Which of the feeds of the program the section takes.
    """

    step: Step
    is_batch: bool
    state: list[str]
    inputs: list[str]
    outputs: dict[str, bool]
    probes: dict
    feeds: list[int]


def make_parts(
    step: Step,
    n_at_once: int,
    is_differentiated: bool,
    jit_compile: bool | str | None = None,
) -> list[Part]:
    """
    Make the parts of a step.

    Parameters
    ----------
    step : Step
        One step of the program.
    n_at_once : int
        The number of steps that a batch computes at once.
    is_differentiated : bool
        Whether gradients are needed.
    jit_compile : bool or "auto", optional
        What is compiled, see `Step`; by default, as the step says.
    """
    program = step.program
    jit_compile = step.jit_compile if jit_compile is None else jit_compile
    step_key = program.layout.places[program.model.step.base][0]
    accesses = [_accesses(program, section) for section in program.sections]
    touched, written, updated = zip(*accesses)
    owner = {key: i for i, keys in enumerate(written) for key in keys}
    last = len(program.sections) - 1
    parts = []
    for i, section in enumerate(program.sections):
        # what is restored is set afresh in every step
        own = [
            key
            for key in program.carried
            if key in written[i] and key not in program.restored
        ]
        earlier = set().union(*written[:i])
        later = set().union(*touched[i + 1 :])
        inputs = [k for k in touched[i] if k in earlier and k not in own]
        outputs = [k for k in written[i] if k in later]
        probes = {
            probe: signal
            for probe, signal in program.probes.items()
            if owner.get(program.layout.places[signal.base][0], last) == i
        }
        operators = set(section.operators)
        batch = program.settings.minibatch_size
        if section.is_batch:
            batch *= n_at_once
        sub_program = replace(
            program,
            plan=tuple(g for g in program.plan if g[0] in operators),
            settings=replace(program.settings, minibatch_size=batch),
            carried=tuple(dict.fromkeys([*own, *inputs, *outputs, step_key])),
            feeds=tuple(feed for feed in program.feeds if feed in operators),
            probes=probes,
            sections=(),
            restored=frozenset(),
        )
        # the same warnings as for the whole step
        with without_warnings():
            own_step = Step(sub_program, step.config, step.errors, None, jit_compile)
            if section.is_batch and is_differentiated and not own_step.compiles:
                # within a program that is compiled, gradients of programs would be
                # compiled again for all values
                own_step = Step(sub_program, step.config, step.errors)
        parts.append(
            Part(
                own_step,
                section.is_batch,
                # (a batch has none but what rests in training)
                [] if section.is_batch else own,
                inputs,
                {key: key not in updated[i] for key in outputs},
                {probe: program.keeps_history(probe) for probe in probes},
                [j for j, f in enumerate(program.feeds) if f in operators],
            )
        )
    return parts


def _accesses(
    program: Program, section: Section
) -> tuple[dict[str, None], dict[str, None], set[str]]:
    """Return which arrays a section accesses, writes, and updates."""
    places = program.layout.places
    touched: dict[str, None] = {}
    written: dict[str, None] = {}
    updated: set[str] = set()
    for op in section.operators:
        for signal in op.all_signals:
            touched[places[signal.base][0]] = None
        for signal in (*op.sets, *op.incs, *op.updates):
            written[places[signal.base][0]] = None
        updated.update(places[s.base][0] for s in op.updates)
    return touched, written, updated
