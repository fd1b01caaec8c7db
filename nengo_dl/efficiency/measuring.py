"""
Measure what a network costs.

In: an open simulator, and data. Out: a `Report`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import SimulatorClosed, ValidationError

from nengo_dl.efficiency.activity import Activity, Counts, observe, spike_value
from nengo_dl.efficiency.devices import DEVICES, Device, check_devices
from nengo_dl.efficiency.parts import Parts, find_parts, is_spiking
from nengo_dl.efficiency.report import Report
from nengo_dl.efficiency.rows import (
    connection_row,
    ensemble_row,
    firing_rates,
    quantised_network,
    totals,
)
from nengo_dl.simulator import Simulator


def measure(
    sim: Simulator,
    data: Any = None,
    n_steps: int | None = None,
    devices: Iterable[Device] = DEVICES,
) -> Report:
    """
    Measure firing rates, operations, memory and energy of a network.

    The network runs in a copy of the simulator, with its present parameters, from the
    initial state, for every minibatch anew. The simulator stays as it was. (Functions
    of Nodes that have no data are called, with all that they do.)

    Parameters
    ----------
    sim : nengo_dl.Simulator
        An open simulator of any network, trained or not.
    data : dict or list or array, optional
        Outputs of Nodes without input, ``(n_items, n_steps, size_out)`` arrays, as
        `nengo_dl.Simulator.predict` takes them. Nodes without data run as they are;
        without any data, there is one minibatch.
    n_steps : int, optional
        Number of steps of an inference, by default that of the data.
    devices : iterable of Device
        Devices for which the energy is estimated.

    Returns
    -------
    report : Report
        Numbers are means over items, of one inference.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with an argument.
    nengo.exceptions.SimulatorClosed
        If the simulator is closed.
    nengo.exceptions.SimulationError
        If the network puts out NaN or infinite values.

    Notes
    -----
    - Nengo multiplies spikes with weights, and filters the products: whatever the
      synapse, a connection from neurons that spike accumulates. Filters are counted by
      themselves, as updates of what they keep. The output of a Node is always taken for
      real numbers, also if what flows into it are spikes.
    - Several spikes in one step cost as much as if they came in several steps.
    - A connection without transform passes numbers on, and computes nothing. A spike
      counts as if its weight were one.
    - Gains, radii and amplitudes are factors of the weights next to them, and cost
      nothing.
    - Probes, and connections that Nengo makes for them, are instruments, and not
      counted. Learning rules and other computations that are not counted are listed in
      the report.

    References
    ----------
    .. [1] Yik, J., et al. (2025). The neurobench framework for benchmarking
       neuromorphic computing algorithms and systems. Nature Communications, 16, 1545.

    Examples
    --------
    ::

        report = nengo_dl.efficiency.measure(sim, {node: images})
        print(report)
    """
    devices = check_devices(devices)
    _check_simulator(sim)
    parts = find_parts(sim)
    counts = _empty_counts(parts, sim.dt)
    activity = Activity(*observe(sim, data, n_steps, counts), counts)
    ensembles = tuple(ensemble_row(p, activity, sim.dt) for p in parts.populations)
    connections = tuple(connection_row(p, activity) for p in parts.projections)
    dtype = sim.tensor_graph.program.settings.dtype
    n_bytes = np.dtype(dtype).itemsize
    total = totals(ensembles, connections, parts, activity.n_steps, n_bytes)
    return Report(
        network=sim.model.toplevel.label or "the network",
        dt=float(sim.dt),
        n_items=activity.n_items,
        n_steps=activity.n_steps,
        dtype=dtype,
        ensembles=ensembles,
        connections=connections,
        totals=total,
        quantised=quantised_network(ensembles, total, activity.n_steps, n_bytes),
        devices=devices,
        not_counted=parts.not_counted,
        rates={p.name: firing_rates(p, activity, sim.dt) for p in parts.populations},
    )


def _check_simulator(sim: Any) -> None:
    if not isinstance(sim, Simulator):
        raise ValidationError(
            "must be a `nengo_dl.Simulator` (received a "
            f"`{type(sim).__module__}.{type(sim).__name__}`); run the network in one",
            attr="sim",
        )
    if sim.closed:
        raise SimulatorClosed(
            "Cannot measure: the simulator is closed. Call `measure` inside of its "
            "`with` block, or create a new Simulator."
        )
    if sim.model.toplevel is None:
        raise ValidationError(
            "must be a simulator of a network (its model was built of single objects); "
            "build the network into the model with `model.build(network)`",
            attr="sim",
        )


def _empty_counts(parts: Parts, dt: float) -> dict[Signal, Counts]:
    """Return counts for all signals that have to be observed."""
    sources = [(p.output, p.neuron_type) for p in parts.populations]
    sources += [(p.source.base, p.neuron_type) for p in parts.projections]
    counts: dict[Signal, Counts] = {}
    for signal, neuron_type in sources:
        unit = 1.0 if neuron_type is None else spike_value(neuron_type, dt)
        new = Counts.of(signal.size, unit, is_spiking(neuron_type))
        counts.setdefault(signal, new)
    return counts
