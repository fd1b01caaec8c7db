"""
What a network consists of, as far as it costs anything.

In: an open simulator. Out: its populations of neurons, its projections (whatever
multiplies a source with weights), and the names of all that is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal

from nengo_dl.efficiency.fan_out import PRODUCTS, FanOut, fan_out, unweighted_fan_out
from nengo_dl.graph.layout import dense_values
from nengo_dl.graph.trainability import is_minibatched
from nengo_dl.parameters.live import layer_weights
from nengo_dl.parameters.names import object_names
from nengo_dl.simulator import Simulator
from nengo_dl.tensor_node import TensorNode


@dataclass(frozen=True, eq=False)
class Population:
    """
    The neurons of an ensemble.

    Parameters
    ----------
    name : str
        Name of the ensemble, unique in the network.
    label : str or None
        Label of the ensemble.
    neuron_type : nengo.neurons.NeuronType
        Type of the neurons.
    output : nengo.builder.Signal
        Their output.
    n_biases : int
        Number of biases.
    n_states : int
        Number of values that the neurons keep from step to step.
    """

    name: str
    label: str | None
    neuron_type: nengo.neurons.NeuronType
    output: Signal
    n_biases: int
    n_states: int

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return int(self.output.size)


@dataclass(frozen=True, eq=False)
class Projection:
    """
    Something that multiplies a source with weights.

    Parameters
    ----------
    name : str
        Name of the connection, or of an ensemble's encoders.
    label : str or None
        Label of the connection or ensemble.
    transform : str
        What the weights are.
    source : nengo.builder.Signal
        What they are multiplied with.
    neuron_type : nengo.neurons.NeuronType or None
        Type of the neurons whose output that is; None if it is no output of neurons.
    fan_out : FanOut
        The synapses.
    n_states : int
        Number of values that the synaptic filter keeps from step to step.
    """

    name: str
    label: str | None
    transform: str
    source: Signal
    neuron_type: nengo.neurons.NeuronType | None
    fan_out: FanOut
    n_states: int

    @property
    def is_spiking(self) -> bool:
        """Whether the elements of the source are spikes."""
        return is_spiking(self.neuron_type)


@dataclass(frozen=True)
class Parts:
    """
    What a network consists of.

    Parameters
    ----------
    populations : tuple of Population
        The neurons of all ensembles.
    projections : tuple of Projection
        All connections and encoders.
    n_layer_weights : int
        Number of weights of the Keras layers in TensorNodes.
    not_counted : tuple of str
        What costs something that is not known.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    n_layer_weights: int
    not_counted: tuple[str, ...]


def find_parts(sim: Simulator) -> Parts:
    """
    Return the parts of the network of a simulator, with its present parameters.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        An open simulator of a network.
    """
    network = sim.model.toplevel
    names = object_names(network)
    # what was added to the network since is not simulated
    objects = [obj for obj in names if obj in sim.model.params]
    ensembles = [obj for obj in objects if isinstance(obj, nengo.Ensemble)]
    connections = [obj for obj in objects if isinstance(obj, nengo.Connection)]
    finder = _Finder(sim, names)
    projections = [
        *finder.connections(connections),
        *finder.encoders(ensembles, connections),
    ]
    return Parts(
        tuple(finder.populations(ensembles)),
        tuple(projections),
        sum(math.prod(w.shape) for *_, w in layer_weights(sim.tensor_graph)),
        tuple(_not_counted(objects, names, {p.name for p in projections})),
    )


class _Finder:
    """Finds the parts of a built network by its operators."""

    def __init__(self, sim: Simulator, names: Mapping[Any, str]):
        self._model = sim.model
        self._values = sim.tensor_graph.values
        self._names = names
        operators = sim.model.operators
        self._products = {
            op.reads[0]: op for op in operators if isinstance(op, PRODUCTS)
        }
        self._neurons = {
            op.output: op for op in operators if isinstance(op, SimNeurons)
        }
        self._processes = {
            op.output: op for op in operators if isinstance(op, SimProcess)
        }

    def populations(self, ensembles: Iterable[nengo.Ensemble]) -> Iterator[Population]:
        for ens in ensembles:
            signals = self._model.sig[ens.neurons]
            op = self._neurons.get(signals.get("out"))
            if op is not None:
                yield Population(
                    self._names[ens],
                    ens.label,
                    ens.neuron_type,
                    op.output,
                    signals["bias"].size,
                    _size(op.state.values()),
                )

    def connections(
        self, connections: Iterable[nengo.Connection]
    ) -> Iterator[Projection]:
        for conn in connections:
            signals = self._model.sig[conn]
            weights, output = signals["weights"], signals["weighted"]
            process = self._processes.get(output) if conn.synapse is not None else None
            neurons = neuron_type(conn.pre_obj)
            if weights is None:
                source = output if process is None else process.input
                synapses = unweighted_fan_out(source.size, is_spiking(neurons))
            elif weights in self._products:
                source, synapses = self._product(weights)
            else:
                continue
            yield Projection(
                self._names[conn],
                conn.label,
                _transform_name(conn),
                source,
                neurons,
                synapses,
                0 if process is None else _filter_size(process),
            )

    def encoders(
        self,
        ensembles: Iterable[nengo.Ensemble],
        connections: Iterable[nengo.Connection],
    ) -> Iterator[Projection]:
        reached = {self._model.sig[conn]["out"] for conn in connections}
        for ens in ensembles:
            signals = self._model.sig[ens]
            weights = signals.get("encoders")
            # (Direct mode has encoders, too, which change nothing)
            is_used = signals["in"] in reached and not _is_direct(ens)
            if is_used and weights in self._products:
                source, synapses = self._product(weights)
                name = f"{self._names[ens]}.encoders"
                yield Projection(name, ens.label, "encoders", source, None, synapses, 0)

    def _product(self, weights: Signal) -> tuple[Signal, FanOut]:
        op: Operator = self._products[weights]
        value = self._values.live_value(weights)
        if value is None:  # optimised away
            value = dense_values(weights)
        is_nonzero = np.asarray(value) != 0
        if is_minibatched(weights) and is_nonzero.ndim > np.ndim(dense_values(weights)):
            # each item has learned weights of its own
            is_nonzero = is_nonzero.any(axis=0)
        return op.reads[1], fan_out(op, is_nonzero)


def neuron_type(pre: Any) -> nengo.neurons.NeuronType | None:
    """Return the type of the neurons of which a connection takes the output."""
    ensemble = pre.ensemble if isinstance(pre, nengo.ensemble.Neurons) else pre
    if isinstance(ensemble, nengo.Ensemble) and not _is_direct(ensemble):
        return ensemble.neuron_type
    return None


def is_spiking(kind: nengo.neurons.NeuronType | None) -> bool:
    """Return whether what neurons of a type put out are spikes."""
    return kind is not None and bool(kind.spiking)


def _size(signals: Iterable[Signal]) -> int:
    return sum(int(signal.size) for signal in dict.fromkeys(signals))


def _filter_size(process: SimProcess) -> int:
    """Return how many values a filter keeps; at least its output, which is delayed."""
    return max(_size(process.state.values()), int(process.output.size))


def _transform_name(conn: nengo.Connection) -> str:
    if not _is_decoded(conn):
        return type(conn.transform).__name__
    return "solved weights" if conn.solver.weights else "decoders"


def _not_counted(
    objects: Iterable[Any], names: Mapping[Any, str], counted: set[str]
) -> Iterator[str]:
    """Name whatever costs something that is not known, and say what it is."""
    for obj in objects:
        name = names[obj]
        if isinstance(obj, TensorNode):
            yield f"{name}: what is computed in a TensorNode"
        elif isinstance(obj, nengo.Node) and obj.size_in > 0 and obj.output is not None:
            yield f"{name}: the function or process of a Node"
        elif isinstance(obj, nengo.Ensemble) and _is_direct(obj):
            yield f"{name}: an ensemble in Direct mode, which has no neurons"
        elif isinstance(obj, nengo.Connection):
            if name not in counted:
                yield f"{name}: a transform of type `{type(obj.transform).__name__}`"
            if obj.function is not None and not _is_decoded(obj):
                yield f"{name}: the function of a connection that is not decoded"
            for rule in _rules(obj.learning_rule_type):
                yield f"{name}: the learning rule `{type(rule).__name__}`"


def _is_direct(obj: Any) -> bool:
    return isinstance(obj, nengo.Ensemble) and isinstance(obj.neuron_type, nengo.Direct)


def _is_decoded(conn: nengo.Connection) -> bool:
    return isinstance(conn.pre_obj, nengo.Ensemble) and not _is_direct(conn.pre_obj)


def _rules(rules: Any) -> Iterable[Any]:
    if rules is None:
        return ()
    if isinstance(rules, dict):
        return rules.values()
    return rules if isinstance(rules, (list, tuple)) else (rules,)
