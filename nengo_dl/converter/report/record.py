"""
The report on a converted network, as text, numbers, HTML and plots.

In: what was measured. Out: a `ConversionReport`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nengo_dl.converter.calibration.procedure import Calibration
from nengo_dl.converter.report.rows import LayerRow
from nengo_dl.efficiency import Report as Efficiency
from nengo_dl.efficiency.plots import bars, new_axes
from nengo_dl.efficiency.tables import Column, Table

KIND_COLUMNS = (
    Column("layer", "layer"),
    Column("type", "type"),
    Column("kind", "becomes"),
    Column("neuron_type", "neurons"),
    Column("neurons", "number", ","),
    Column("parameters", "parameters", ","),
    Column("macs", "MACs", ",.0f"),
    Column("accumulates", "ACs", ",.0f"),
    Column("reason", "why not native"),
)

NEURON_COLUMNS = (
    Column("layer", "layer"),
    Column("threshold_min", "threshold", ".3g"),
    Column("threshold_median", "median", ".3g"),
    Column("threshold_max", "largest", ".3g"),
    Column("mean_rate", "rate, Hz", ",.1f"),
    Column("percentile_rate", "99 %, Hz", ",.1f"),
    Column("silent", "silent", ".1%"),
    Column("spikes", "spikes", ".3f"),
    Column("error", "error", ".3g"),
    Column("error_of_thresholds", "of thresholds", ".3g"),
    Column("error_predicted", "predicted", ".3g"),
    Column("correlation", "correlation", ".4f"),
)

CURVE_COLUMNS = (
    Column("n_steps", "steps"),
    Column("score", "score", ".4f"),
    Column("agreement", "as Keras", ".4f"),
)

# Steps that are shown of the curve.
SHOWN_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(frozen=True)
class Moment:
    """
    How well the network does after some steps.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    score : float
        Accuracy; for outputs that are no classes, 1 minus the relative error.
    agreement : float
        Share of items that are in the same class as in the Keras model.
    """

    n_steps: int
    score: float
    agreement: float


@dataclass(frozen=True, eq=False, repr=False)
class ConversionReport:
    """
    What a converted network does, layer by layer, and what it costs.

    Parameters
    ----------
    layers : tuple of LayerRow
        The layers of the Keras model.
    curve : tuple of Moment
        How well the network does after each step.
    keras_score : float
        How well the Keras model does on the same data.
    is_accuracy : bool
        Whether scores are accuracies (with targets), or shares of items in the same
        class as in the Keras model.
    efficiency : nengo_dl.efficiency.Report
        Rates, operations and energy.
    calibration : Calibration or None
        How the network was calibrated.
    n_steps : int or None
        The recommended number of steps: the smallest one after which the network does
        as well as the tolerance demands; None if that is not reached.
    recommendations : tuple of str
        What could be better.
    loihi : tuple of str
        What Loihi does not allow; empty if nothing.
    """

    layers: tuple[LayerRow, ...]
    curve: tuple[Moment, ...]
    keras_score: float
    is_accuracy: bool
    efficiency: Efficiency
    calibration: Calibration | None
    n_steps: int | None
    recommendations: tuple[str, ...]
    loihi: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python objects, which ``json`` can write."""
        calibration = self.calibration
        return {
            "layers": [asdict(row) for row in self.layers],
            "curve": [asdict(moment) for moment in self.curve],
            "keras_score": self.keras_score,
            "is_accuracy": self.is_accuracy,
            "efficiency": self.efficiency.to_dict(),
            "calibration": calibration
            and {
                "method": calibration.method,
                "tolerance": calibration.tolerance,
                "keras_score": calibration.keras_score,
                "chosen": asdict(calibration.chosen),
                "trials": [asdict(trial) for trial in calibration.trials],
            },
            "n_steps": self.n_steps,
            "recommendations": list(self.recommendations),
            "loihi": list(self.loihi),
        }

    def tables(self) -> list[Table]:
        """Return all tables, those of the efficiency included."""
        rows = [asdict(row) for row in self.layers]
        neurons = [row for row in rows if row["neurons"]]
        steps = len(self.curve)
        shown = [m for m in self.curve if m.n_steps in (*SHOWN_STEPS, steps)]
        return [
            Table("Layers of the Keras model", KIND_COLUMNS, rows),
            Table(
                "Neurons: thresholds and errors in units of activations, spikes for "
                "each neuron and inference",
                NEURON_COLUMNS,
                neurons,
            ),
            Table(
                f"{self.score_name} over simulation time",
                CURVE_COLUMNS,
                [asdict(moment) for moment in shown],
            ),
            *self.efficiency.tables()[2:],
        ]

    @property
    def score_name(self) -> str:
        """What scores are."""
        return "Accuracy" if self.is_accuracy else "Agreement with the Keras model"

    def _remarks(self) -> list[str]:
        last = self.curve[-1]
        remarks = [
            f"{self.score_name} after {last.n_steps} steps: {last.score:.4f} (Keras "
            f"model: {self.keras_score:.4f})."
        ]
        remarks += [f"Recommended: {text}" for text in self.recommendations]
        remarks += [f"Not on Loihi: {text}" for text in self.loihi]
        return remarks + self.efficiency.remarks()

    def __str__(self) -> str:
        texts = [table.text() for table in self.tables()]
        return "\n\n".join([*texts, *self._remarks()])

    def _repr_html_(self) -> str:
        remarks = [f"<p>{html.escape(text)}</p>" for text in self._remarks()]
        return "\n".join([*(table.html() for table in self.tables()), *remarks])

    # -- plots ------------------------------------------------------------------------

    def plot_curve(self, ax: Any = None) -> Any:
        """
        Draw the accuracy over simulation time.

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
        ax = new_axes(ax)
        ax.plot([m.n_steps for m in self.curve], [m.score for m in self.curve])
        ax.axhline(self.keras_score, color="gray", linestyle="--", label="Keras model")
        ax.set_xlabel("steps")
        ax.set_ylabel(self.score_name)
        ax.legend()
        return ax

    def plot_rates(self, ax: Any = None) -> Any:
        """Draw the mean firing rates of all layers; see `plot_curve`."""
        rates = _by_layer(self.layers, "mean_rate")
        return bars(rates, "mean firing rate, Hz", new_axes(ax))

    def plot_errors(self, ax: Any = None) -> Any:
        """Draw the errors of all layers; see `plot_curve`."""
        return bars(_by_layer(self.layers, "error"), "RMS error", new_axes(ax))

    def plot_energy(self, ax: Any = None) -> Any:
        """Draw the energy of an inference on all devices; see `plot_curve`."""
        return self.efficiency.plot_energy(ax)


def _by_layer(rows: Sequence[LayerRow], name: str) -> dict[str, float]:
    values = {row.layer: getattr(row, name) for row in rows}
    return {layer: value for layer, value in values.items() if value is not None}
