"""
What a network costs, as text, numbers, HTML, and plots.

In: rows and totals. Out: a `Report`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nengo_dl.efficiency.devices import CAVEAT, Device, Energy, energy_on
from nengo_dl.efficiency.plots import bars, histogram, new_axes
from nengo_dl.efficiency.rows import (
    ConnectionRow,
    EnsembleRow,
    QuantisedNetwork,
    Totals,
)
from nengo_dl.efficiency.tables import Column, Table

ENSEMBLE_COLUMNS = (
    Column("name", "ensemble"),
    Column("neuron_type", "type"),
    Column("neurons", "neurons", ","),
    Column("mean_rate", "mean Hz", ",.4g"),
    Column("percentile_rate", "99 % Hz", ",.4g"),
    Column("silent", "silent", ".1%"),
    Column("sparsity", "zeros", ".1%"),
    Column("spikes_per_step", "spikes/step", ".4g"),
    Column("spikes_per_inference", "spikes/inference", ".4g"),
    Column("largest", "most", ","),
    Column("updates", "updates", ","),
    Column("parameters", "parameters", ","),
)

CONNECTION_COLUMNS = (
    Column("name", "connection"),
    Column("transform", "transform"),
    Column("synapses", "synapses", ","),
    Column("fan_out", "fan-out", ",.4g"),
    Column("dense_operations", "dense/step", ","),
    Column("macs", "MACs", ",.0f"),
    Column("accumulates", "ACs", ",.0f"),
    Column("filter_updates", "filter updates", ","),
    Column("parameters", "parameters", ","),
)

TOTAL_COLUMNS = (
    Column("what", "total"),
    Column("value", "value"),
)

TOTAL_ROWS = (
    Column("footprint", "footprint, bytes", ","),
    Column("parameters", "parameters", ","),
    Column("connection_sparsity", "connection sparsity", ".2%"),
    Column("activation_sparsity", "activation sparsity", ".2%"),
    Column("effective_macs", "effective MACs", ",.0f"),
    Column("effective_acs", "effective ACs", ",.0f"),
    Column("dense_operations", "dense operations", ","),
    Column("membrane_updates", "membrane updates", ","),
    Column("filter_updates", "filter updates", ","),
    Column("weight_bytes", "bytes of weights read", ",.0f"),
    Column("state_bytes", "bytes of state read and written", ","),
)

ENERGY_COLUMNS = (
    Column("device", "device"),
    Column("synapses", "synapses, J", ".2e"),
    Column("updates", "updates, J", ".2e"),
    Column("total", "total, J", ".2e"),
    Column("kind", "computes"),
    Column("source", "source"),
)


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """
    What an inference costs: one item for some steps, averaged over items.

    Parameters
    ----------
    network : str
        Name of the network.
    dt : float
        Length of a step in seconds.
    n_items, n_steps : int
        Number of items that were run, and of steps of each of them.
    dtype : str
        Type of numbers, by which bytes are counted.
    ensembles : tuple of EnsembleRow
        What neurons do.
    connections : tuple of ConnectionRow
        What connections and encoders compute.
    totals : Totals
        The whole network.
    quantised : QuantisedNetwork or None
        The same network without spikes; None if no neuron spikes.
    devices : tuple of Device
        Devices in `energy`.
    not_counted : tuple of str
        What costs something that is not known, and is in no number.
    rates : dict of {str: (n_neurons,) array}
        Mean firing rates in hertz of all neurons by the name of the ensemble; not in
        `to_dict`.
    """

    network: str
    dt: float
    n_items: int
    n_steps: int
    dtype: str
    ensembles: tuple[EnsembleRow, ...]
    connections: tuple[ConnectionRow, ...]
    totals: Totals
    quantised: QuantisedNetwork | None
    devices: tuple[Device, ...]
    not_counted: tuple[str, ...]
    rates: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def energy(self) -> tuple[Energy, ...]:
        """Energy of an inference on all devices, in joules; see ``CAVEAT``."""
        return tuple(self.energy_on(device) for device in self.devices)

    def energy_on(self, device: Device) -> Energy:
        """Return the energy of an inference on a device, in joules."""
        total = self.totals
        return energy_on(
            device,
            accumulates=total.effective_acs,
            macs=total.effective_macs,
            updates=total.membrane_updates,
            connections=total.synapses,
            neurons=total.neurons,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python objects, which ``json`` can write."""
        return {
            "network": self.network,
            "dt": self.dt,
            "n_items": self.n_items,
            "n_steps": self.n_steps,
            "dtype": self.dtype,
            "ensembles": [asdict(row) for row in self.ensembles],
            "connections": [asdict(row) for row in self.connections],
            "totals": asdict(self.totals),
            "energy": [asdict(energy) for energy in self.energy],
            "energy_caveat": CAVEAT,
            "quantised": None if self.quantised is None else asdict(self.quantised),
            "not_counted": list(self.not_counted),
        }

    # -- text -------------------------------------------------------------------------

    def tables(self) -> list[Table]:
        """Return all tables."""
        totals = asdict(self.totals)
        return [
            Table(
                "Neurons: zeros are a share of all neurons and steps, most is the "
                "largest number of spikes in a step",
                ENSEMBLE_COLUMNS,
                [asdict(row) for row in self.ensembles],
            ),
            Table(
                "Connections: MACs are caused by real numbers, ACs by spikes",
                CONNECTION_COLUMNS,
                [asdict(row) for row in self.connections],
            ),
            Table(
                "The whole network",
                TOTAL_COLUMNS,
                [{"what": c.heading, "value": c.cell(totals)} for c in TOTAL_ROWS],
            ),
            Table(
                "Energy of an inference, memory traffic left out",
                ENERGY_COLUMNS,
                [
                    {**asdict(e), "kind": "spikes" if e.spiking else "everything once"}
                    for e in self.energy
                ],
            ),
        ]

    def _title(self) -> str:
        return (
            f"Efficiency of {self.network}: an inference of {self.n_steps} steps of "
            f"{self.dt:g} s, mean of {self.n_items} items"
        )

    def remarks(self) -> list[str]:
        """Return what is to be said about the tables."""
        total = self.totals
        remarks = [
            f"{CAVEAT} If each operation reads a weight, an inference reads "
            f"{total.weight_bytes:,.0f} bytes of them, and it reads and writes "
            f"{total.state_bytes:,} bytes of state."
        ]
        if self.quantised is not None:
            remarks.append(_comparison(self.quantised))
        if self.not_counted:
            remarks.append(f"Not counted: {'; '.join(self.not_counted)}.")
        return remarks

    def __str__(self) -> str:
        texts = [self._title(), *(table.text() for table in self.tables())]
        return "\n\n".join([*texts, *self.remarks()])

    def _repr_html_(self) -> str:
        remarks = [f"<p>{html.escape(text)}</p>" for text in self.remarks()]
        tables = [table.html() for table in self.tables()]
        title = f"<p><b>{html.escape(self._title())}</b></p>"
        return "\n".join([title, *tables, *remarks])

    # -- plots ------------------------------------------------------------------------

    def plot_rates(self, ax: Any = None) -> Any:
        """
        Draw the mean firing rates of all ensembles as bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw, by default new axes.

        Returns
        -------
        ax : matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        rates = {row.name: row.mean_rate for row in self.ensembles}
        return bars(rates, "mean firing rate, Hz", new_axes(ax))

    def plot_histogram(self, ax: Any = None) -> Any:
        """Draw the distribution of the firing rates of neurons; see `plot_rates`."""
        samples = {name: list(rates) for name, rates in self.rates.items()}
        return histogram(samples, "firing rate, Hz", new_axes(ax))

    def plot_energy(self, ax: Any = None) -> Any:
        """Draw the energy of an inference on all devices; see `plot_rates`."""
        joules = _by_device(self.energy)
        label = "energy of an inference, J (without memory traffic)"
        return bars(joules, label, new_axes(ax), log=True)


def _by_device(energies: Iterable[Energy]) -> dict[str, float]:
    return {energy.device: energy.total for energy in energies}


def _comparison(quantised: QuantisedNetwork) -> str:
    """Return the comparison with a network that does not spike."""
    return (
        f"The same network without spikes, with activations of {quantised.bits} bits: "
        f"{quantised.operations:,} operations, {quantised.joules:.2e} J in 45 nm CMOS "
        f"(spiking: {quantised.spiking_joules:.2e} J), and {quantised.weight_bytes:,} "
        f"bytes of weights read (spiking: {quantised.spiking_weight_bytes:,.0f}). The "
        f"spiking neurons have {quantised.activity:.2%} spikes per neuron and step; "
        "spikes pay below some 6 % (arXiv 2409.08290)."
    )
