"""
Count what signals of a network do while it runs.

In: an open simulator, data, and signals. Out: for every element of every signal, how
often it was not zero, and how many spikes that were. A copy of the simulation runs; the
simulator stays as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import nengo
import numpy as np
from nengo.builder.probe import SimProbe
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError, ValidationError

from nengo_dl.parameters.live import find_parameters, read_values, write_values
from nengo_dl.simulation.inputs import check_data, name_data
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.simulation.steps import warn_of_one_step
from nengo_dl.simulator import Simulator
from nengo_dl.training.data import TrainingData
from nengo_dl.utils import NullProgressBar


class Observer(Protocol):
    """Takes the values of a signal, some steps after the other."""

    def add(self, values: np.ndarray) -> None:
        """
        Take ``(minibatch_size, n, size)`` values of the next ``n`` steps.

        All steps of a minibatch come before those of the next one.
        """


@dataclass(eq=False)
class Counts:
    """
    What the elements of a signal have done so far, over all items and steps.

    Parameters
    ----------
    unit : float
        The absolute value of a spike, or the unit of values that are no spikes.
    is_spiking : bool
        Whether the elements are spikes.
    nonzero : (n,) array of int
        How often each element was not zero.
    amount : (n,) array of float
        Sum of the absolute values of each element, in units; for neurons that spike,
        that is the number of spikes, of both signs.
    largest : float
        Largest absolute value of any element in one step, in units.
    """

    unit: float
    is_spiking: bool
    nonzero: np.ndarray
    amount: np.ndarray
    largest: float = 0

    @classmethod
    def of(cls, size: int, unit: float, is_spiking: bool) -> Counts:
        """Return the counts of a signal that has done nothing so far."""
        return cls(unit, is_spiking, np.zeros(size, np.int64), np.zeros(size))

    def add(self, values: np.ndarray) -> None:
        """
        Add values of the signal.

        Parameters
        ----------
        values : (..., n) array
            Values of all elements.

        Raises
        ------
        nengo.exceptions.SimulationError
            If some are not finite.
        """
        amounts = np.abs(values.reshape(-1, len(self.nonzero))) / self.unit
        if not np.isfinite(amounts).all():
            raise SimulationError(
                "The network puts out NaN or infinite values, which cannot be counted; "
                "run it with `sim.run_steps` to see where they come from"
            )
        if self.is_spiking:
            # a neuron type of another kind may put out what is no multiple of a spike
            amounts = np.maximum(np.rint(amounts), amounts > 0)
        self.nonzero += np.count_nonzero(amounts, axis=0)
        self.amount += amounts.sum(axis=0, dtype=np.float64)
        self.largest = max(self.largest, float(amounts.max(initial=0)))


@dataclass(frozen=True, eq=False)
class Activity:
    """
    What the signals of a network have done.

    Parameters
    ----------
    n_items, n_steps : int
        Number of items, and of steps of each of them.
    counts : dict of {nengo.builder.Signal: Counts}
        The counts by signal.
    """

    n_items: int
    n_steps: int
    counts: Mapping[Signal, Counts]


@dataclass(frozen=True, eq=False)
class _Recorder:
    """Stands for a Probe in a program; no setting of Nengo's Probes applies to it."""

    sample_every: float | None = field(default=None, init=False)


def observe(
    sim: Simulator,
    data: Any,
    n_steps: int | None,
    observers: Mapping[Signal, Observer],
) -> tuple[int, int]:
    """
    Run the network of a simulator, and observe what its signals do.

    Parameters
    ----------
    sim : nengo_dl.Simulator
        An open simulator. The network starts from its initial state, with the present
        parameters.
    data, n_steps
        As `nengo_dl.Simulator.predict` takes them.
    observers : dict of {nengo.builder.Signal: Observer}
        Who takes the values of the signals, such as `Counts`.

    Returns
    -------
    n_items, n_steps : int
        Number of items that were run, and of steps of each of them.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with the data.
    """
    program = sim.tensor_graph.program
    names = {node: sim.get_name(node) for node in program.nodes}
    named = name_data(data, names, "Nodes")
    if not isinstance(named, Mapping):
        raise ValidationError(
            f"must be a dictionary, list or array (received `{type(data).__name__}`); "
            "pass the arrays of all items",
            attr="data",
        )
    sizes = {name: node.size_out for node, name in names.items()}
    *_, steps = check_data(named, sizes, program.settings, n_steps)
    if steps == 1:
        warn_of_one_step(sim.model, ())
    with _copied(sim, observers) as (simulation, recorders):
        with simulation.keras_call(False, "measure"):
            inputs, _ = TrainingData(names, {}, simulation).inputs(named, n_steps)
        n_items = len(inputs["n_steps"])
        given = {node: inputs[name] for node, name in names.items() if name in inputs}
        for values in _pieces(simulation, given, n_items, steps):
            for recorder, signal in recorders.items():
                observers[signal].add(values[recorder])
    return n_items, steps


@contextmanager
def _copied(
    sim: Simulator, signals: Mapping[Signal, Any]
) -> Iterator[tuple[Simulation, dict[_Recorder, Signal]]]:
    """
    Compile the network of a simulator again, to record other signals.

    Nothing is built again, so that all is as in the simulator, whatever has become of
    the network since.
    """
    model = copy.copy(sim.model)
    model.sig = copy.copy(model.sig)
    model.operators = [*model.operators, *(SimProbe(signal) for signal in signals)]
    recorders = {_Recorder(): signal for signal in signals}
    for recorder, signal in recorders.items():
        model.sig[recorder]["in"] = signal
    model.probes = list(recorders)
    graph = sim.tensor_graph
    with _layers_restored(graph):
        simulation = Simulation(model, graph.program.settings)
        try:
            own = find_parameters(simulation.tensor_graph)
            values = read_values(graph, find_parameters(graph))
            write_values(simulation.tensor_graph, dict(zip(own, values)))
            yield simulation, recorders
        finally:
            simulation.close()


@contextmanager
def _layers_restored(graph: Any) -> Iterator[None]:
    """Return a context after which Keras layers, which are shared, are as before."""
    weights = {layer: layer.get_weights() for layer in graph.tensor_nodes.values()}
    random_state = graph.values.random_state()
    try:
        yield
    finally:
        for layer, values in weights.items():
            layer.set_weights(values)
        graph.values.set_random_state(random_state)


def _pieces(
    simulation: Simulation,
    given: Mapping[nengo.Node, np.ndarray],
    n_items: int,
    n_steps: int,
) -> Iterator[Mapping[_Recorder, np.ndarray]]:
    """
    Run all minibatches, each from the same state, and yield recorded values.

    Memory is that of a block of steps, as the next one runs when these are counted.
    """
    size = simulation.settings.minibatch_size
    block = simulation.tensor_graph.engine.block_steps
    values, start = simulation.tensor_graph.values, simulation.n_steps
    state = values.packed_state()
    for first in range(0, n_items, size):
        values.commit(state, stateful=True)
        simulation.n_steps = start
        items = {node: array[first : first + size] for node, array in given.items()}
        for done in range(0, n_steps, block):
            n = min(block, n_steps - done)
            piece = {node: array[:, done : done + n] for node, array in items.items()}
            recorded = simulation.run(n, piece, True, NullProgressBar())
            yield {recorder: chunks[0] for recorder, chunks in recorded.chunks.items()}


def spike_value(neuron_type: nengo.neurons.NeuronType, dt: float) -> float:
    """
    Return the unit in which the output of neurons is counted.

    Parameters
    ----------
    neuron_type : nengo.neurons.NeuronType
        Type of the neurons.
    dt : float
        Length of a step in seconds.

    Returns
    -------
    unit : float
        What one spike is in the output, ``amplitude / dt``; for neurons that do not
        spike, what one hertz is, ``amplitude``.
    """
    # an amplitude stands for weights that follow, and is no part of the spike
    amplitude = abs(float(getattr(neuron_type, "amplitude", 1)))
    return amplitude / dt if neuron_type.spiking else amplitude
