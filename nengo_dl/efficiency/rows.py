"""
The rows of a report, and what they add up to.

In: the parts of a network, and what they have done. Out: a record for every ensemble
and connection, and totals. All of them are of one inference, the average of all items,
unless they say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nengo_dl.efficiency.activity import Activity
from nengo_dl.efficiency.devices import CMOS_45_NM
from nengo_dl.efficiency.parts import Parts, Population, Projection
from nengo_dl.graph.layout import element_positions

#: Percentile of the firing rates of neurons that stands for the fastest ones.
PERCENTILE = 99


@dataclass(frozen=True)
class EnsembleRow:
    """
    What the neurons of an ensemble do.

    Parameters
    ----------
    name : str
        Name, unique in the network.
    label : str or None
        Label.
    neuron_type : str
        Type of the neurons.
    spiking : bool
        Whether they spike.
    neurons : int
        Number of neurons.
    parameters : int
        Number of their biases. (Encoders have a row among the connections; gains are
        part of encoders and of weights.)
    states : int
        Number of values that the neurons keep from step to step, such as voltages.
    mean_rate, percentile_rate : float
        Mean and 99th percentile over neurons of their firing rates in hertz (means
        over items and steps). The rate of neurons that do not spike is the absolute
        value of their output, divided by their amplitude.
    silent : float
        Share of neurons whose output is zero for all items.
    sparsity : float
        Share of outputs, of all neurons and steps, that are zero.
    spikes_per_step : float or None
        Spikes for each neuron and step. A negative spike counts as a spike. None, here
        and below, for neurons that do not spike.
    spikes_per_inference : float or None
        Spikes for each neuron and inference.
    largest : int or None
        Largest number of spikes of one neuron in one step.
    updates : int
        Updates of neurons in an inference: neurons times steps.
    """

    name: str
    label: str | None
    neuron_type: str
    spiking: bool
    neurons: int
    parameters: int
    states: int
    mean_rate: float
    percentile_rate: float
    silent: float
    sparsity: float
    spikes_per_step: float | None
    spikes_per_inference: float | None
    largest: int | None
    updates: int


@dataclass(frozen=True)
class ConnectionRow:
    """
    What a connection, or the encoders of an ensemble, compute.

    Parameters
    ----------
    name : str
        Name, unique in the network.
    label : str or None
        Label of the connection or ensemble.
    transform : str
        What the weights are.
    spiking : bool
        Whether the source are spikes.
    parameters : int
        Number of weights that are stored.
    synapses : int
        Number of nonzero weights that all elements of the source reach together.
    fan_out : float
        The same for one element of the source.
    zero_weights, possible_weights : int
        How many weights are zero, and how many there could be (of sparse transforms,
        all elements of the matrix).
    states : int
        Number of values that the synaptic filter keeps from step to step.
    dense_operations : int
        Products *of a step* if no weight and no element of the source were zero.
    events : float
        Spikes of the source, or elements of the source that are not zero, in an
        inference.
    macs : float
        Products of a nonzero weight and a nonzero real number.
    accumulates : float
        Products of a nonzero weight and a spike, which are nothing but additions.
    filter_updates : int
        Updates of values of the synaptic filter.
    """

    name: str
    label: str | None
    transform: str
    spiking: bool
    parameters: int
    synapses: int
    fan_out: float
    zero_weights: int
    possible_weights: int
    states: int
    dense_operations: int
    events: float
    macs: float
    accumulates: float
    filter_updates: int


@dataclass(frozen=True)
class Totals:
    """
    The whole network, in the words of NeuroBench.

    Parameters
    ----------
    footprint : int
        Bytes of parameters, and of what one item keeps from step to step.
    parameters : int
        Number of biases, encoders and weights, those of Keras layers included.
    connection_sparsity : float or None
        Share of weights that are zero.
    activation_sparsity : float or None
        Share of outputs of neurons, of all steps, that are zero.
    effective_macs, effective_acs : float
        Synaptic operations of an inference that have a nonzero weight, and a nonzero
        real number (multiply-accumulates) or a spike (accumulates).
    dense_operations : int
        Synaptic operations of an inference if nothing were zero.
    membrane_updates : int
        Updates of neurons in an inference, whatever their type.
    filter_updates : int
        Updates of values of synaptic filters in an inference.
    neurons, synapses : int
        Numbers of neurons, and of nonzero weights that all sources reach together.
    weight_bytes : float
        Memory traffic of an inference: a weight is read for every effective operation.
    state_bytes : int
        Memory traffic of an inference: what is kept from step to step is read and
        written in every step.
    """

    footprint: int
    parameters: int
    connection_sparsity: float | None
    activation_sparsity: float | None
    effective_macs: float
    effective_acs: float
    dense_operations: int
    membrane_updates: int
    filter_updates: int
    neurons: int
    synapses: int
    weight_bytes: float
    state_bytes: int


@dataclass(frozen=True)
class QuantisedNetwork:
    """
    The same network without spikes: every connection once, activations of a few bits.

    In ``T`` steps, a neuron that spikes at most once in a step can have spiked 0 to
    ``T`` times, and an activation of ``ceil(log2(T + 1))`` bits says as much (with up
    to ``n`` spikes in a step, ``ceil(log2(n T + 1))`` bits). The product of such an
    activation and a weight costs at most an accumulate for each bit.

    Parameters
    ----------
    bits : int
        Number of bits of an activation.
    operations : int
        Operations of an inference: that of one step if nothing were zero.
    joules, spiking_joules : float
        Energy of the synaptic operations of this network, and of the spiking one, in
        45 nm CMOS.
    weight_bytes, spiking_weight_bytes : float
        Bytes of weights that are read, one for every operation, in this network and in
        the spiking one.
    activity : float
        Spikes for each neuron and step in the spiking network.
    """

    bits: int
    operations: int
    joules: float
    spiking_joules: float
    weight_bytes: float
    spiking_weight_bytes: float
    activity: float


def firing_rates(population: Population, activity: Activity, dt: float) -> np.ndarray:
    """
    Return the mean firing rates of neurons in hertz.

    Returns
    -------
    rates : (n_neurons,) array
    """
    counts = activity.counts[population.output]
    mean = counts.amount / (activity.n_items * activity.n_steps)
    return mean / dt if counts.is_spiking else mean


def ensemble_row(population: Population, activity: Activity, dt: float) -> EnsembleRow:
    """Return what the neurons of an ensemble have done."""
    counts = activity.counts[population.output]
    rates = firing_rates(population, activity, dt)
    n, steps = population.n_neurons, activity.n_steps
    n_values = n * activity.n_items * steps
    n_spikes = float(counts.amount.sum()) if counts.is_spiking else None
    return EnsembleRow(
        name=population.name,
        label=population.label,
        neuron_type=type(population.neuron_type).__name__,
        spiking=counts.is_spiking,
        neurons=n,
        parameters=population.n_biases,
        states=population.n_states,
        mean_rate=float(rates.mean()),
        percentile_rate=float(np.percentile(rates, PERCENTILE)),
        silent=float(np.mean(counts.nonzero == 0)),
        sparsity=1 - int(counts.nonzero.sum()) / n_values,
        spikes_per_step=None if n_spikes is None else n_spikes / n_values,
        spikes_per_inference=None if n_spikes is None else n_spikes * steps / n_values,
        largest=int(counts.largest) if counts.is_spiking else None,
        updates=n * steps,
    )


def connection_row(projection: Projection, activity: Activity) -> ConnectionRow:
    """Return what a connection has computed."""
    counts = activity.counts[projection.source.base]
    events = counts.amount if projection.is_spiking else counts.nonzero
    events = events[element_positions(projection.source)] / activity.n_items
    fan_out = projection.fan_out
    operations = float(events @ fan_out.synapses)
    return ConnectionRow(
        name=projection.name,
        label=projection.label,
        transform=projection.transform,
        spiking=projection.is_spiking,
        parameters=fan_out.n_weights,
        synapses=int(fan_out.synapses.sum()),
        fan_out=float(fan_out.synapses.mean()),
        zero_weights=fan_out.n_zeros,
        possible_weights=fan_out.n_possible,
        states=projection.n_states,
        dense_operations=fan_out.n_dense,
        events=float(events.sum()),
        macs=0.0 if projection.is_spiking else operations,
        accumulates=operations if projection.is_spiking else 0.0,
        filter_updates=projection.n_states * activity.n_steps,
    )


def totals(
    ensembles: Sequence[EnsembleRow],
    connections: Sequence[ConnectionRow],
    parts: Parts,
    n_steps: int,
    n_bytes: int,
) -> Totals:
    """
    Return what the rows add up to.

    Parameters
    ----------
    ensembles, connections : sequence of rows
        The rows.
    parts : Parts
        The network.
    n_steps : int
        Number of steps of an inference.
    n_bytes : int
        Bytes of a number.
    """
    parameters = parts.n_layer_weights
    parameters += sum(row.parameters for row in ensembles)
    parameters += sum(row.parameters for row in connections)
    states = sum(row.states for row in ensembles)
    states += sum(row.states for row in connections)
    macs = math.fsum(row.macs for row in connections)
    accumulates = math.fsum(row.accumulates for row in connections)
    updates = sum(row.updates for row in ensembles)
    active = math.fsum(row.updates * (1 - row.sparsity) for row in ensembles)
    possible = sum(row.possible_weights for row in connections)
    zeros = sum(row.zero_weights for row in connections)
    return Totals(
        footprint=(parameters + states) * n_bytes,
        parameters=parameters,
        connection_sparsity=zeros / possible if possible else None,
        activation_sparsity=1 - active / updates if updates else None,
        effective_macs=macs,
        effective_acs=accumulates,
        dense_operations=sum(row.dense_operations for row in connections) * n_steps,
        membrane_updates=updates,
        filter_updates=sum(row.filter_updates for row in connections),
        neurons=sum(row.neurons for row in ensembles),
        synapses=sum(row.synapses for row in connections),
        weight_bytes=(macs + accumulates) * n_bytes,
        state_bytes=2 * states * n_steps * n_bytes,
    )


def quantised_network(
    ensembles: Sequence[EnsembleRow], total: Totals, n_steps: int, n_bytes: int
) -> QuantisedNetwork | None:
    """
    Return what the same network would cost without spikes.

    Returns
    -------
    quantised : QuantisedNetwork or None
        None if no neuron spikes.
    """
    spiking = [row for row in ensembles if row.spikes_per_inference is not None]
    n_updates = sum(row.updates for row in spiking)
    if not n_updates:
        return None
    n_spikes = sum(row.neurons * (row.spikes_per_inference or 0) for row in spiking)
    largest = max(row.largest or 0 for row in spiking)
    bits = math.ceil(math.log2(n_steps * max(largest, 1) + 1))
    accumulate = CMOS_45_NM.joules_per_synaptic_event
    operations = total.dense_operations // n_steps
    return QuantisedNetwork(
        bits=bits,
        operations=operations,
        joules=operations * min(bits * accumulate, CMOS_45_NM.mac),
        spiking_joules=total.effective_acs * accumulate
        + total.effective_macs * CMOS_45_NM.mac,
        weight_bytes=operations * n_bytes,
        spiking_weight_bytes=total.weight_bytes,
        activity=n_spikes / n_updates,
    )
