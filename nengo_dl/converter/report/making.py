"""
Make a report: run the Keras model and the converted network on the user's data.

In: a conversion, and data. Out: a `ConversionReport`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from nengo_dl.converter.calibration.data import Data, check_data, check_n_steps
from nengo_dl.converter.calibration.procedure import keras_outputs
from nengo_dl.converter.calibration.rescaling import gain_and_bias
from nengo_dl.converter.calibration.scores import (
    agreement,
    is_classification,
    score,
)
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call
from nengo_dl.converter.report.errors import Activations, Comparison
from nengo_dl.converter.report.loihi import loihi_issues
from nengo_dl.converter.report.recommendations import recommend, recommended_steps
from nengo_dl.converter.report.record import ConversionReport, Moment
from nengo_dl.converter.report.rows import layer_rows, thresholds_of
from nengo_dl.converter.report.trials import predicted_errors
from nengo_dl.efficiency import measure
from nengo_dl.efficiency.activity import observe
from nengo_dl.parameters.names import object_names
from nengo_dl.simulator import Simulator

# Steps of networks that spike, if neither the user nor a calibration says.
DEFAULT_STEPS = 32
MAX_MINIBATCH = 50


def make_report(
    converter: Conversion,
    inputs: Any,
    targets: Any,
    n_steps: int | None,
    device: str | None,
) -> ConversionReport:
    """Report on the network of a converter; see `.Converter.report`."""
    data = check_data(converter.model, inputs, targets)
    check_n_steps(n_steps)
    steps = _number_of_steps(converter, n_steps)
    size = _minibatch_size(data.n_items)
    nodes = [converter.inputs[tensor] for tensor in converter.graph.inputs]
    held = {
        node: np.broadcast_to(x.reshape(len(x), 1, -1), (len(x), steps, node.size_out))
        for node, x in zip(nodes, data.inputs)
    }
    if device is None and not tf.config.list_physical_devices("GPU"):
        device = "/cpu:0"  # the simulator would warn that there is nothing better
    with Simulator(
        converter.net, minibatch_size=size, device=device, progress_bar=False
    ) as sim:
        probes = [converter.outputs[tensor] for tensor in converter.graph.outputs]
        predictions = sim.predict(held, n_steps=steps, stateful=False, verbose=0)
        outputs = [predictions[probe] for probe in probes]
        efficiency = measure(sim, held, steps)
        comparisons = _comparisons(converter, data, size, steps)
        signals = {
            sim.model.sig[converter.neurons[path]]["out"]: comparison
            for path, comparison in comparisons.items()
        }
        observe(sim, held, steps, signals)
    reference = keras_outputs(converter, data)
    curve = _curve(outputs, data, reference, converter.calibration is not None)
    names = object_names(converter.net)
    predicted = predicted_errors(converter, data, steps)
    rows = layer_rows(converter, names, efficiency, comparisons, predicted)
    keras_score = score(reference, data, reference)
    return ConversionReport(
        layers=tuple(rows),
        curve=curve,
        keras_score=keras_score,
        is_accuracy=data.targets is not None
        and is_classification(outputs[0][:, 0], data.targets[0]),
        efficiency=efficiency,
        calibration=converter.calibration,
        n_steps=recommended_steps(converter, curve, keras_score),
        recommendations=tuple(recommend(converter, rows, curve, keras_score)),
        loihi=tuple(loihi_issues(converter.net)),
    )


def _number_of_steps(converter: Conversion, n_steps: int | None) -> int:
    if n_steps is not None:
        return int(n_steps)
    if converter.calibration is not None:
        return converter.calibration.chosen.n_steps
    spiking = any(n.ensemble.neuron_type.spiking for n in converter.neurons.values())
    return DEFAULT_STEPS if spiking else 1


def _minibatch_size(n_items: int) -> int:
    """Return the largest size of minibatches that are all full."""
    sizes = range(1, min(n_items, MAX_MINIBATCH) + 1)
    return max(size for size in sizes if n_items % size == 0)


def _comparisons(
    converter: Conversion, data: Data, minibatch_size: int, n_steps: int
) -> dict[tuple[Call, ...], Comparison]:
    activations = Activations(converter, data.inputs, minibatch_size)
    found = {}
    for path, neurons in converter.neurons.items():
        ensemble = neurons.ensemble
        gain, _ = gain_and_bias(ensemble)
        amplitude = getattr(ensemble.neuron_type, "amplitude", 1)
        calibrated = converter.calibration is not None
        # calibration moves a part of the scale into the weights that follow
        factors = 1 / (gain * amplitude) if calibrated else np.ones_like(gain)
        found[path] = Comparison(
            partial(activations.of, path),
            factors,
            thresholds_of(ensemble),
            n_steps,
        )
    return found


def _curve(
    outputs: list[np.ndarray], data: Data, reference: list[np.ndarray], calibrated: bool
) -> tuple[Moment, ...]:
    """Rate the mean output so far, after every step."""
    sums = [np.cumsum(output, axis=1, dtype=np.float64) for output in outputs]
    moments = []
    for n in range(1, sums[0].shape[1] + 1):
        # at the start, networks that are not calibrated have not settled
        skipped = 0 if calibrated else n // 2
        means = [_mean(values, skipped, n) for values in sums]
        means = [x.reshape(y.shape) for x, y in zip(means, reference)]
        moments.append(
            Moment(n, score(means, data, reference), agreement(means, reference))
        )
    return tuple(moments)


def _mean(sums: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the mean of steps, given the sums of all steps up to each one."""
    before = sums[:, start - 1] if start else 0
    return (sums[:, stop - 1] - before) / (stop - start)
