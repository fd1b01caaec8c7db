"""
Reports: what a converted network does, layer by layer, and what it costs.

In: a conversion, and data. Out: a `ConversionReport`.
"""

from nengo_dl.converter.report.making import make_report
from nengo_dl.converter.report.record import ConversionReport, Moment
from nengo_dl.converter.report.rows import LayerRow

__all__ = ["ConversionReport", "LayerRow", "Moment", "make_report"]
