"""
Return a part of the state of a simulation to its beginning, in mid-run.

In: objects of the network, and items of the minibatch. Out: nothing; their state
changes, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import nengo
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.connection import LearningRule
from nengo.ensemble import Neurons
from nengo.exceptions import ValidationError

from nengo_dl.simulation.owners import all_operators, owner_of
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.tensor_node import SimTensorNode
from nengo_dl.tensor_node.layer_states import reset_layer_states
from nengo_dl.utils import is_integer, listed


class Chosen:
    """
    The signals and operators of some objects.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    objects : list of object, optional
        The objects, as `checked_objects` returns them; by default, all there are.

    Attributes
    ----------
    signals : set of nengo.builder.Signal
        The base signals of the objects, among those that the program has.
    operators : set of nengo.builder.operator.Operator
        What computes for the objects.
    """

    def __init__(self, simulation: Simulation, objects: list[Any] | None):
        program = simulation.tensor_graph.program
        operators = all_operators(program)
        self.operators: set[Operator] = set(operators)
        self.signals: set[Signal] = set(program.layout.places)
        self.signals -= {program.model.step, program.model.time}
        if objects is None:
            return
        owners = simulation.owners
        members = {part for obj in objects for part in _parts(obj, program.model)}
        self.operators = {
            op
            for op in operators
            if owner_of(op, owners) in members
            or any(_process(op) is obj for obj in objects)
        }
        self.signals = {
            signal for signal, owner in owners.items() if owner.obj in members
        }
        for op in self.operators:
            if _process(op) is not None:
                own = [*op.sets, *op.updates]
                self.signals.update(signal.base for signal in own)


def reset_parts(
    simulation: Simulation,
    objects: Any,
    items: Any,
    include_trainable: bool,
    include_processes: bool,
) -> None:
    """
    Return a part of the state to its beginning; see `nengo_dl.Simulator.reset`.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    objects : object, or iterable of object, or None
        What the user has chosen of the network; None for all.
    items : sequence of int, or None
        What the user has chosen of the minibatch; None for all.
    include_trainable : bool
        Whether parameters return to their initial values.
    include_processes : bool
        Whether processes start again.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is no such object, or item.
    nengo.exceptions.SimulationError
        If a method of the simulator is running.
    """
    simulation.check_not_during("reset a part of the state")
    graph = simulation.tensor_graph
    known = None if objects is None else checked_objects(simulation, objects)
    rows = None if items is None else checked_items(items, graph.minibatch_size)
    chosen = Chosen(simulation, known)
    with simulation.context():
        graph.values.reset_parts(chosen.signals, rows, include_trainable)
        layers = [
            op.func
            for op in chosen.operators
            if isinstance(op, SimTensorNode) and isinstance(op.func, keras.Layer)
        ]
        reset_layer_states(layers, rows)
        if include_trainable and rows is None:
            graph.values.reset_layers(layers)
    graph.feeds.reset_constants(chosen.signals, rows)
    if include_processes:
        every = range(graph.minibatch_size)
        graph.restart(chosen.operators, every if rows is None else rows)


def checked_objects(simulation: Simulation, objects: Any) -> list[Any]:
    """
    Return objects of the network as a list.

    Raises
    ------
    nengo.exceptions.ValidationError
        If one of them is not part of it.
    """
    is_single = isinstance(objects, str) or not isinstance(objects, Iterable)
    given = [objects] if is_single else list(objects)
    model = simulation.model
    networks: list[Any] = [model.toplevel]
    if model.toplevel is not None:
        networks += model.toplevel.all_networks
    processes = [_process(op) for op in all_operators(simulation.tensor_graph.program)]
    unknown = []
    for obj in given:
        if isinstance(obj, nengo.Network):
            found = any(obj is network for network in networks)
        elif isinstance(obj, nengo.Process):
            found = any(obj is process for process in processes)
        elif isinstance(obj, (Neurons, LearningRule)):
            found = obj in model.sig
        else:
            kinds = (nengo.Ensemble, nengo.Node, nengo.Connection, nengo.Probe)
            found = isinstance(obj, kinds) and obj in model.params
        if not found:
            unknown.append(f"{obj!r}" if isinstance(obj, str) else str(obj))
    if unknown:
        raise ValidationError(
            "must be objects of the simulated network: Networks, Ensembles, Neurons, "
            "Nodes, Connections, learning rules, Probes, or Processes that were there "
            f"when it was built (received {listed(unknown)})",
            attr="objects",
        )
    return given


def checked_items(items: Any, minibatch_size: int) -> list[int]:
    """
    Return numbers of items as a list.

    Raises
    ------
    nengo.exceptions.ValidationError
        If one of them is no integer, or there is no such item, or it is there twice.
    """
    # (arrays of no dimension can be iterated over as far as Python knows)
    is_list = isinstance(items, Iterable) and getattr(items, "ndim", 1) == 1
    given: list[Any] = list(items) if is_list else [None]
    if not all(is_integer(item) for item in given):
        rule = "integers (`numpy.flatnonzero` turns a mask into such)"
    elif not all(0 <= item < minibatch_size for item in given):
        rule = f"integers from 0 to {minibatch_size - 1}, the last item"
    elif len(set(given)) < len(given):
        rule = "integers that are all different"
    else:
        return [int(item) for item in given]
    raise ValidationError(
        f"must be a list of {rule} (received {items!r})", attr="items"
    )


def _process(op: Operator) -> Any:
    return op.process if isinstance(op, nengo.builder.processes.SimProcess) else None


def _parts(obj: Any, model: nengo.builder.Model) -> Iterator[Any]:
    """Yield an object, and what belongs to it."""
    if isinstance(obj, nengo.Network):
        kinds = obj.all_ensembles, obj.all_nodes, obj.all_connections, obj.all_probes
        for member in (member for kind in kinds for member in kind):
            if member in model.params:  # not added since
                yield from _parts(member, model)
        return
    yield obj
    if isinstance(obj, nengo.Ensemble):
        yield obj.neurons
    elif isinstance(obj, nengo.Connection):
        rules = obj.learning_rule
        if isinstance(rules, dict):
            yield from rules.values()
        elif isinstance(rules, (list, tuple)):
            yield from rules
        elif rules is not None:
            yield rules
