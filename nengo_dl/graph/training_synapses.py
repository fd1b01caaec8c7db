"""
Other synapses in training than in running.

In: a built model, in whose config Connections or Probes have a ``training_synapse``.
Out: `Replacement`, which says for the operator of a synapse what runs in its place in
the training version of the network.

Either version sets the same signal, the filtered one, so that nothing that reads it has
to know. In the training version, it is copied from the input of the synapse, within the
same step, or from the output of another synapse, which has a state of its own::

    run:    input -> synapse (updates filtered)
    train:  input -> Copy (sets filtered)                        training_synapse = None
    train:  input -> other synapse -> Copy (sets filtered)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nengo import Config, Connection, Network, Probe
from nengo.builder import Model
from nengo.builder.operator import Copy, Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from nengo.synapses import Synapse

from nengo_dl.builder import Builder
from nengo_dl.graph.dependencies import dependency_graph

SETTING = "training_synapse"


@dataclass(frozen=True)
class Replacement:
    """
    What runs in place of a synapse in training.

    Parameters
    ----------
    obj : nengo.Connection or nengo.Probe
        Whose synapse it is.
    operators : tuple of nengo.builder.Operator
        What runs, the last of which sets the filtered signal.
    """

    obj: Connection | Probe
    operators: tuple[Operator, ...]

    @property
    def is_immediate(self) -> bool:
        """Whether there is no synapse in training, and so no delay of one step."""
        return len(self.operators) == 1


def find_replacements(model: Model) -> dict[SimProcess, Replacement]:
    """
    Find the synapses that are others in training.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.

    Returns
    -------
    replacements : dict of {nengo.builder.processes.SimProcess: Replacement}
        By the operator of the synapse of the built network.

    Raises
    ------
    nengo.exceptions.BuildError
        If an object with a ``training_synapse`` of its own has no synapse in running,
        or if there is no TensorFlow version of a ``training_synapse``.
    """
    if model.toplevel is None:
        return {}
    settings = dict(training_synapses(model.toplevel))
    if not settings:
        return {}
    filters = {
        op.output: op
        for op in model.operators
        if isinstance(op, SimProcess) and op.mode == "update"
    }
    # a Probe of what an ensemble represents is built by a Connection to it
    connections = {
        obj.post_obj: obj
        for obj in model.sig
        if isinstance(obj, Connection) and isinstance(obj.post_obj, Probe)
    }
    replacements = {}
    for obj, synapse in settings.items():
        if obj not in model.sig or synapse == obj.synapse:
            continue
        signals = model.sig[connections.get(obj, obj)]
        signal = signals.get("filtered" if "filtered" in signals else "weighted")
        if signal not in filters:
            raise BuildError(
                f"The synapse of {obj} is built by operators of another type than "
                "Nengo's, so that it cannot have a `training_synapse`"
            )
        op = filters[signal]
        replacements[op] = Replacement(obj, _operators(op, obj, synapse, model.dt))
    return replacements


def training_synapses(
    network: Network, configs: tuple[Config, ...] = ()
) -> Iterator[tuple[Connection | Probe, Synapse | None]]:
    """
    Yield the objects with a synapse that have a setting for another one in training.

    Parameters
    ----------
    network : nengo.Network
        The network.
    configs : tuple of nengo.Config
        The configs of the networks that it is in, that of the outermost one first.

    Yields
    ------
    obj : nengo.Connection or nengo.Probe
        An object that has a synapse.
    synapse : nengo.synapses.Synapse or None
        Its synapse in training.

    Raises
    ------
    nengo.exceptions.BuildError
        If an object has no synapse, but is to have one in training.
    """
    configs = (*configs, network.config)
    for obj in (*network.connections, *network.probes):
        for key in (obj, type(obj)):
            params = [c.params[key] for c in reversed(configs) if _is_set(c, key)]
            if params:
                synapse = getattr(params[0], SETTING)
                if obj.synapse is not None:
                    yield obj, synapse
                elif key is obj and synapse is not None:
                    raise BuildError(
                        f"A `training_synapse` takes the place of a synapse, but {obj} "
                        f"has none (`training_synapse` is {synapse}); give it a "
                        "`synapse`, or set its `training_synapse` to None"
                    )
                break
    for subnetwork in network.networks:
        yield from training_synapses(subnetwork, configs)


def _is_set(config: Config, key: Any) -> bool:
    """Return whether a config has a setting for exactly this class or object."""
    cls = key if isinstance(key, type) else type(key)
    return (
        cls in config.params
        and key in config.params
        and SETTING in config.params[cls].extra_params
        and SETTING in config.params[key]
    )


def _operators(
    op: SimProcess, obj: Connection | Probe, synapse: Synapse | None, dt: float
) -> tuple[Operator, ...]:
    """Return the operators of a `Replacement`."""
    if synapse is None:
        return (Copy(op.input, op.output, tag=f"{obj} in training"),)
    name = f"{op.output.name} in training"
    output = Signal(np.zeros(op.output.shape, op.output.dtype), name=name)
    arrays = synapse.make_state(op.input.shape, output.shape, dt, dtype=output.dtype)
    state = {key: Signal(value, name=f"{name}.{key}") for key, value in arrays.items()}
    process = SimProcess(synapse, op.input, output, op.t, mode="update", state=state)
    if not Builder.builder_of(process)([process]).pure:
        raise BuildError(
            f"There is no TensorFlow version of {synapse}, the `training_synapse` of "
            f"{obj}, so that no gradient would flow through it; use one of Nengo's "
            "linear synapses, or add a builder to `SimProcessBuilder.TF_PROCESS_IMPL`"
        )
    return (process, Copy(output, op.output, tag=f"{obj} in training"))


def training_probes(
    model: Model, replacements: Mapping[SimProcess, Replacement]
) -> dict[Probe, Signal]:
    """
    Return the signals that are probed in the training version.

    Probes see what signals are at the end of a step. For those that are updated, these
    are other values than a copy has, which is made before.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    replacements : dict of {nengo.builder.processes.SimProcess: Replacement}
        What runs in place of what.
    """
    probes = {probe: model.sig[probe]["in"] for probe in model.probes}
    updated = {signal.base for op in model.operators for signal in op.updates}
    for op, replacement in replacements.items():
        obj = replacement.obj
        is_direct = replacement.is_immediate and "filtered" in model.sig[obj]
        if is_direct and op.input.base in updated:
            probes[obj] = op.input
    others = {
        op.output: replacement.operators[0].output
        for op, replacement in replacements.items()
        if not replacement.is_immediate
    }
    return {probe: others.get(signal, signal) for probe, signal in probes.items()}


def training_operators(
    operators: Sequence[Operator], replacements: Mapping[SimProcess, Replacement]
) -> list[Operator]:
    """
    Return the operators of the training version.

    Parameters
    ----------
    operators : list of nengo.builder.Operator
        The operators, after all simplifications: these see in the filtered signals what
        changes in every step, which is right for both versions.
    replacements : dict of {nengo.builder.processes.SimProcess: Replacement}
        What runs in place of what.

    Raises
    ------
    nengo.exceptions.BuildError
        If Connections without a synapse in training close a loop, or if the operator of
        a synapse is missing.
    """
    missing = set(replacements).difference(operators)
    if missing:
        raise BuildError(
            f"A simplification has replaced `{missing.pop()}`, so that it cannot be "
            "another synapse in training; configure `simplifications` that leave "
            "synapses alone, or no `training_synapse`"
        )
    replaced: list[Operator] = []
    for op in operators:
        if isinstance(op, SimProcess) and op in replacements:
            replaced += replacements[op].operators
        else:
            replaced.append(op)
    _check_loops(replaced, replacements)
    return replaced


def _check_loops(
    operators: Sequence[Operator], replacements: Mapping[SimProcess, Replacement]
) -> None:
    """Raise an error that names the Connections by which operators wait in a loop."""
    successors = dependency_graph(operators).successors
    stuck = _unordered(successors, range(len(successors)))
    predecessors: list[list[int]] = [[] for _ in successors]
    for node in stuck:
        for other in successors[node]:
            predecessors[other].append(node)
    stuck = _unordered(predecessors, stuck)
    waiting = {operators[node] for node in stuck if node < len(operators)}
    names = [
        str(replacement.obj)
        for replacement in replacements.values()
        if replacement.is_immediate and replacement.operators[0] in waiting
    ]
    if names:
        raise BuildError(
            "Without a synapse, these Connections close a loop in training, in which "
            f"all would wait for each other: {', '.join(names)}; set the "
            "`training_synapse` of at least one Connection of every loop (0 will do)"
        )


def _unordered(successors: Sequence[Sequence[int]], nodes: Sequence[int]) -> list[int]:
    """Return the nodes that are in loops, or behind them."""
    members = set(nodes)
    waiting = dict.fromkeys(nodes, 0)
    for node in nodes:
        for other in successors[node]:
            if other in members:
                waiting[other] += 1
    ready = [node for node in nodes if waiting[node] == 0]
    for node in ready:  # grows while we go through it
        for other in successors[node]:
            if other in members:
                waiting[other] -= 1
                if waiting[other] == 0:
                    ready.append(other)
    return [node for node in nodes if waiting[node] > 0]


def sort_groups(
    plan: Sequence[Sequence[Operator]],
    like: Sequence[Sequence[Operator]],
    replacements: Mapping[SimProcess, Replacement],
) -> list[tuple[Operator, ...]]:
    """
    Sort the operators within the groups of the training version.

    Signals are stored in the order in which the other version accesses them.

    Parameters
    ----------
    plan : list of tuple of nengo.builder.Operator
        The groups of the training version.
    like : list of tuple of nengo.builder.Operator
        The sorted groups of the other version.
    replacements : dict of {nengo.builder.processes.SimProcess: Replacement}
        What runs in place of what.
    """
    positions: dict[Operator, int] = {}
    for op in (op for group in like for op in group):
        positions[op] = len(positions)
        if isinstance(op, SimProcess) and op in replacements:
            for other in replacements[op].operators:
                positions[other] = len(positions)
    return [tuple(sorted(group, key=positions.__getitem__)) for group in plan]
