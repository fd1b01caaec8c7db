"""
The entry to calibration: check the arguments, calibrate, and change the network.

In: a conversion, and what the user wants. Out: a network with calibrated neurons, and a
`.Calibration`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError
from nengo.neurons import NeuronType

from nengo_dl.converter.calibration.correction import CORRECTIONS
from nengo_dl.converter.calibration.data import Data, check_data, check_n_steps
from nengo_dl.converter.calibration.procedure import Calibration, Procedure, search
from nengo_dl.converter.calibration.rescaling import apply
from nengo_dl.converter.calibration.sites import LINEAR_TYPES, Site, find_sites
from nengo_dl.converter.calibration.thresholds import METHODS
from nengo_dl.converter.conversion import Conversion
from nengo_dl.neurons import IntegrateAndFire

# With fewer items, percentiles and accuracies say nothing.
MIN_ITEMS = 12


def calibrate(
    converter: Conversion,
    inputs: Any,
    targets: Any,
    method: str,
    n_steps: int | None,
    tolerance: float,
    neuron_type: NeuronType | None,
    spike_budget: float | None,
    percentile: float,
    correction: str,
) -> Calibration:
    """Calibrate the network of a converter; see `.Converter.calibrate`."""
    _check_options(n_steps, tolerance, neuron_type, spike_budget, percentile)
    _check_choice("method", method, METHODS)
    _check_choice("correction", correction, CORRECTIONS)
    _check_converter(converter)
    data = check_data(converter.model, inputs, targets)
    _check_size(data)
    sites = find_sites(converter)
    if not sites:
        raise ValidationError(
            "There is nothing to calibrate: no layer of the model has become neurons "
            f"of the types {', '.join(t.__name__ for t in LINEAR_TYPES)}; see "
            "`converter.report` for what became of them",
            attr="converter",
        )
    procedure = Procedure(
        converter,
        sites,
        [_spiking(site, neuron_type) for site in sites],
        data,
        method,
        percentile,
        correction,
    )
    calibration = search(procedure, n_steps, tolerance, spike_budget)
    before = converter.calibration.offsets if converter.calibration else {}
    net = converter.net
    for site, population in zip(calibration.sites, calibration.populations):
        offsets = before.get(site.path, np.zeros(1))
        apply(net, site, population, offsets)
    converter.calibration = calibration
    if not calibration.within_tolerance and spike_budget is None:
        warnings.warn(
            f"The calibrated network reaches {calibration.chosen.score:.4g} on data "
            "that it was not calibrated on, and the Keras model "
            f"{calibration.keras_score:.4g}, which is more than "
            f"`tolerance={tolerance}` apart; allow more steps, several spikes per step "
            "(`neuron_type=nengo_dl.IntegrateAndFire()`), or give more data"
        )
    return calibration


def _spiking(site: Site, neuron_type: NeuronType | None) -> NeuronType:
    """Return the neuron type to calibrate: the user's, that of the network, or ours."""
    if neuron_type is not None:
        return neuron_type
    if site.neuron_type.spiking:
        return site.neuron_type
    return IntegrateAndFire(max_spikes=1)


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValidationError(
            f"`{name}` must be one of {', '.join(choices)} (received: {value!r})",
            attr=name,
        )


def _check_options(
    n_steps: int | None,
    tolerance: float,
    neuron_type: NeuronType | None,
    spike_budget: float | None,
    percentile: float,
) -> None:
    check_n_steps(n_steps)
    if not 0 <= tolerance < 1:
        raise ValidationError(
            "`tolerance` is a difference of accuracies, such as 0.01 for one percent; "
            f"it must be at least 0 and below 1 (received: {tolerance!r})",
            attr="tolerance",
        )
    if spike_budget is not None and not spike_budget > 0:
        raise ValidationError(
            "`spike_budget` is the most spikes of a neuron in an inference; it must be "
            f"positive (received: {spike_budget!r})",
            attr="spike_budget",
        )
    if not 0 < percentile <= 100:
        raise ValidationError(
            f"`percentile` must be above 0 and at most 100 (received: {percentile!r})",
            attr="percentile",
        )
    known = (IntegrateAndFire, nengo.SpikingRectifiedLinear)
    if neuron_type is not None and type(neuron_type) not in known:
        raise ValidationError(
            "`neuron_type` must be `nengo_dl.IntegrateAndFire` or "
            f"`nengo.SpikingRectifiedLinear` (received: {neuron_type!r}); others can "
            "be swapped in when the model is converted (`swap_activations`)",
            attr="neuron_type",
        )


def _check_converter(converter: Conversion) -> None:
    if converter.temporal_model:
        raise ValidationError(
            "Calibration shows the same input in all steps, which a model with a time "
            "axis (`temporal_model=True`) does not have",
            attr="temporal_model",
        )
    if converter.synapse is not None:
        raise ValidationError(
            "Calibrated neurons need no synapse, and calibration does not know its "
            f"effect (`synapse={converter.synapse}`); convert the model with "
            "`synapse=None`",
            attr="synapse",
        )


def _check_size(data: Data) -> None:
    if data.n_items < MIN_ITEMS:
        raise ValidationError(
            f"Calibration needs at least {MIN_ITEMS} items, two thirds to calibrate on "
            f"and one third to try the result; received {data.n_items}. Some hundred "
            "are better",
            attr="inputs",
        )
