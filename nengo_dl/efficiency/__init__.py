"""
What a network costs: firing rates, operations, memory, and energy of an inference.

In: an open simulator, and data. Out: a `Report`, as text, numbers, HTML and plots.
"""

from __future__ import annotations

from nengo_dl.efficiency.devices import CAVEAT, CMOS_45_NM, DEVICES, Device, Energy
from nengo_dl.efficiency.measuring import measure
from nengo_dl.efficiency.report import Report
from nengo_dl.efficiency.rows import (
    ConnectionRow,
    EnsembleRow,
    QuantisedNetwork,
    Totals,
)

__all__ = [
    "CAVEAT",
    "CMOS_45_NM",
    "DEVICES",
    "ConnectionRow",
    "Device",
    "Energy",
    "EnsembleRow",
    "QuantisedNetwork",
    "Report",
    "Totals",
    "measure",
]
