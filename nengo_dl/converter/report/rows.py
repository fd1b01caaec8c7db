"""
The rows of a report: one for every layer of the Keras model.

In: a conversion, and what its network has done. Out: a `LayerRow` for every call of a
layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.calibration.rescaling import gain_and_bias
from nengo_dl.converter.calibration.sites import is_linear
from nengo_dl.converter.conversion import DT, Conversion
from nengo_dl.converter.keras_graph import Call, KerasGraph
from nengo_dl.converter.report.errors import Comparison
from nengo_dl.efficiency import Report as Efficiency


@dataclass(frozen=True)
class LayerRow:
    r"""
    A call of a layer, and what has become of it.

    Parameters
    ----------
    layer : str
        Name of the layer, after those of the models that it is in.
    type : str
        Its class.
    kind : {"native", "fallback"}
        Nengo's own objects, or a TensorNode.
    reason : str
        Why it is not (entirely) native; empty if it is.
    parameters : int
        Number of weights of the Keras layer.
    neuron_type : str or None
        Type of the neurons; None, here and below, if there are none.
    neurons : int or None
        Number of neurons.
    threshold_min, threshold_median, threshold_max : float or None
        Activations that one spike in one step stands for; None for neurons that do not
        spike, and those whose rate is not linear.
    mean_rate, percentile_rate : float or None
        Mean and 99th percentile over neurons of the firing rates, in hertz.
    silent : float or None
        Share of neurons that are never active.
    spikes : float or None
        Spikes for each neuron and inference, those taken back included.
    error : float or None
        Root of the mean squared difference between the mean output over all steps and
        the activation of the Keras model.
    error_of_thresholds : float or None
        What the thresholds alone would cost, by
        :math:`\theta / (T \sqrt{12})` for neurons that are active.
    error_predicted : float or None
        What a trial on other items has shown.
    correlation : float or None
        Between mean outputs and activations.
    macs, accumulates : float
        Products of real numbers, and additions for spikes, in an inference.
    """

    layer: str
    type: str
    kind: str
    reason: str
    parameters: int
    neuron_type: str | None
    neurons: int | None
    threshold_min: float | None
    threshold_median: float | None
    threshold_max: float | None
    mean_rate: float | None
    percentile_rate: float | None
    silent: float | None
    spikes: float | None
    error: float | None
    error_of_thresholds: float | None
    error_predicted: float | None
    correlation: float | None
    macs: float
    accumulates: float


def all_paths(
    graph: KerasGraph, path: tuple[Call, ...] = ()
) -> Iterator[tuple[Call, ...]]:
    """Go through all calls, those of nested models in place of the call of these."""
    for call in graph.calls:
        here = (*path, call)
        if id(call.op) in graph.nested:
            yield from all_paths(graph.nested[id(call.op)], here)
        else:
            yield here


def thresholds_of(ensemble: nengo.Ensemble) -> np.ndarray | None:
    """Return the activation that a spike of each neuron stands for, or None."""
    neuron_type = ensemble.neuron_type
    if not neuron_type.spiking or not is_linear(neuron_type):
        return None
    return 1 / (gain_and_bias(ensemble)[0] * DT)


def layer_rows(
    converter: Conversion,
    names: Mapping[Any, str],
    efficiency: Efficiency,
    comparisons: Mapping[tuple, Comparison],
    predicted: Mapping[tuple, float],
) -> list[LayerRow]:
    """
    Make the rows of all layers.

    Parameters
    ----------
    converter : Conversion
        The conversion.
    names : dict of {object: str}
        Names of the objects of the network in ``efficiency``.
    efficiency : nengo_dl.efficiency.Report
        What the network costs.
    comparisons : dict of {tuple of Call: Comparison}
        Differences between neurons and activations.
    predicted : dict of {tuple of Call: float}
        Errors of a trial.

    Returns
    -------
    rows : list of LayerRow
    """
    ensembles = {row.name: row for row in efficiency.ensembles}
    connections = {row.name: row for row in efficiency.connections}
    rows = []
    for path in all_paths(converter.graph):
        made = [connections.get(names.get(c, "")) for c in converter.connections[path]]
        found = [row for row in made if row is not None]
        neurons = converter.neurons.get(path)
        ensemble = None if neurons is None else neurons.ensemble
        rows.append(
            LayerRow(
                **_of_layer(converter, path),
                **_of_neurons(ensemble, ensembles.get(names.get(ensemble, ""))),
                **_errors(comparisons.get(path), predicted.get(path)),
                macs=sum(row.macs for row in found),
                accumulates=sum(row.accumulates for row in found),
            )
        )
    return rows


def _of_layer(converter: Conversion, path: Sequence[Call]) -> dict[str, Any]:
    op: Any = path[-1].op
    decision = converter.decisions[id(op)]
    is_layer = isinstance(op, keras.layers.Layer)
    return {
        "layer": "/".join(call.op.name for call in path),
        "type": type(op).__name__,
        "kind": decision.kind,
        "reason": decision.why,
        "parameters": op.count_params() if is_layer and op.built else 0,
    }


def _of_neurons(ensemble: nengo.Ensemble | None, row: Any) -> dict[str, Any]:
    found = None if ensemble is None else thresholds_of(ensemble)
    statistics = (np.min, np.median, np.max)
    thresholds = [None if found is None else float(f(found)) for f in statistics]
    return {
        "neuron_type": row and row.neuron_type,
        "neurons": row and row.neurons,
        "threshold_min": thresholds[0],
        "threshold_median": thresholds[1],
        "threshold_max": thresholds[2],
        "mean_rate": row and row.mean_rate,
        "percentile_rate": row and row.percentile_rate,
        "silent": row and row.silent,
        "spikes": row and row.spikes_per_inference,
    }


def _errors(comparison: Comparison | None, predicted: float | None) -> dict[str, Any]:
    if comparison is None:
        keys = ("error", "error_of_thresholds", "error_predicted", "correlation")
        return dict.fromkeys(keys)
    return {
        "error": comparison.error,
        "error_of_thresholds": comparison.error_of_thresholds,
        "error_predicted": predicted,
        "correlation": comparison.correlation,
    }
