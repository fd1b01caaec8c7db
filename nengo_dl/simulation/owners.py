"""
Which object of a network every part of the state belongs to.

In: a `Program`. Out: the `Owner` of each of its signals.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import nengo
from nengo.builder import Model
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.connection import LearningRule
from nengo.ensemble import Neurons

from nengo_dl.graph.program import Program

# A signal that several objects know belongs to the first of these: the output of
# neurons, say, is the input of Connections and Probes, too.
KINDS = (Neurons, nengo.Ensemble, nengo.Node, LearningRule, nengo.Connection)


class Owner(NamedTuple):
    """
    What a signal is.

    Parameters
    ----------
    obj : object
        The Nengo object that the signal belongs to.
    attr : str
        What it is of the object: the name in ``model.sig``, or else, of what an
        operator keeps for itself, the type of what is computed and the name there, such
        as ``"Lowpass.X"``.
    """

    obj: Any
    attr: str


def signal_owners(program: Program) -> dict[Signal, Owner]:
    """
    Return which object the base signals of a program belong to.

    Signals that Nengo's builders have listed (``model.sig``) belong to the object that
    they are listed for. All others belong to the object for which they are computed, or
    else from which.

    Parameters
    ----------
    program : Program
        The compiled network.

    Returns
    -------
    owners : dict of {nengo.builder.Signal: Owner}
        Without those that belong to no object, as the time.
    """
    model = program.model
    timing = {model.step, model.time, *model.sig["common"].values()}
    owners = dict(reversed(list(_listed(model))))
    built, known = model.operators, set(model.operators)
    planned = [op for op in all_operators(program) if op not in known]
    # what simplifications have found to be kept (factors of what a learning rule adds,
    # say) belongs to what it is made of; synapses of training to what they are for
    updating = [op for op in planned if op.updates and not isinstance(op, SimProcess)]
    for operators, from_reads in (
        (built, False),
        (built, True),
        (updating, True),
        (planned, False),
        (planned, True),
    ):
        while _spread(owners, operators, timing, from_reads):
            pass
    return {signal: owner for signal, owner in owners.items() if signal not in timing}


def all_operators(program: Program) -> Iterable[Operator]:
    """Return the operators that Nengo has built, and those that run."""
    plans = program.plan, program.version(training=True).plan
    planned = (op for plan in plans for group in plan for op in group)
    return dict.fromkeys([*program.model.operators, *planned])


def _listed(model: Model) -> Iterator[tuple[Signal, Owner]]:
    """Yield the signals in ``model.sig``, those first that count."""
    entries = [
        (_rank(obj, attr), signal.base, Owner(_visible(obj), attr))
        for obj, signals in model.sig.items()
        for attr, signal in signals.items()
        if isinstance(obj, (*KINDS, nengo.Probe)) and isinstance(signal, Signal)
    ]
    for _, signal, owner in sorted(entries, key=lambda entry: entry[0]):
        yield signal, owner


def _rank(obj: Any, attr: str) -> int:
    if isinstance(obj, nengo.Connection) and attr == "weights":
        return -1  # which learning rules know as well
    kinds = (i for i, kind in enumerate(KINDS) if isinstance(obj, kind))
    return next(kinds, len(KINDS))


def _visible(obj: Any) -> Any:
    """Return the Probe of which Nengo has made a Connection, or the object itself."""
    if isinstance(obj, nengo.Connection) and isinstance(obj.post_obj, nengo.Probe):
        return obj.post_obj
    return obj


def _spread(
    owners: dict[Signal, Owner],
    operators: Iterable[Operator],
    timing: Container[Signal],
    from_reads: bool,
) -> bool:
    """
    Give signals of operators to the owner of what these write.

    Parameters
    ----------
    owners : dict of {nengo.builder.Signal: Owner}
        What is known, and to be completed.
    operators : iterable of nengo.builder.operator.Operator
        The operators.
    timing : container of nengo.builder.Signal
        Signals that belong to nobody.
    from_reads : bool
        Whether the owner of what is read counts where nobody owns what is written.

    Returns
    -------
    changed : bool
        Whether a signal has got an owner.
    """
    changed = False
    for op in operators:
        bases = [s.base for s in op.all_signals if s.base not in timing]
        unowned = [signal for signal in bases if signal not in owners]
        obj = owner_of(op, owners, from_reads) if unowned else None
        if obj is not None:
            changed = True
            owners.update((s, Owner(obj, _attr(op, s))) for s in unowned)
    return changed


def owner_of(
    op: Operator, owners: Mapping[Signal, Owner], from_reads: bool = False
) -> Any:
    """
    Return the object that an operator computes something for; None if it is unknown.

    Parameters
    ----------
    op : nengo.builder.operator.Operator
        The operator.
    owners : dict of {nengo.builder.Signal: Owner}
        The owners of signals.
    from_reads : bool
        Whether what it reads counts if nobody owns what it writes.
    """
    tells = [*op.sets, *op.incs, *op.updates, *(op.reads if from_reads else ())]
    return next((owners[s.base].obj for s in tells if s.base in owners), None)


def _attr(op: Operator, signal: Signal) -> str:
    """Return a name for a signal that an operator alone knows."""
    if isinstance(op, (SimNeurons, SimProcess)):
        computed = op.neurons if isinstance(op, SimNeurons) else op.process
        for name, state in op.state.items():
            if state.base is signal:
                return f"{type(computed).__name__}.{name}"
    position = [s.base for s in op.all_signals].index(signal)
    return f"{type(op).__name__}[{position}]"
