"""
Batch normalization as a part of the layer before it.

In: the calls of a model, and what becomes of its layers. Out: which normalizations
follow a linear layer whose weights can take them over, and factors and shifts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from nengo_dl.converter.activations import Activations
from nengo_dl.converter.keras_graph import Call, KerasGraph


def factors_and_shifts(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""
    Return what batch normalization in inference does to each channel.

    Parameters
    ----------
    layer : keras.layers.BatchNormalization
        The layer.

    Returns
    -------
    factors, shifts : (n_channels,) array
        The layer computes ``factors * x + shifts``, with

        .. math::

           \text{factors} = \gamma / \sqrt{\text{moving\_variance} + \epsilon}, \quad
           \text{shifts} = \beta - \text{moving\_mean} \cdot \text{factors}
    """
    mean, variance = _value(layer.moving_mean), _value(layer.moving_variance)
    factors = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        factors = factors * _value(layer.gamma)
    shifts = -mean * factors
    if layer.center:
        shifts = shifts + _value(layer.beta)
    return factors, shifts


def _value(variable: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(float)


def find_fusions(
    graph: KerasGraph, decisions: Mapping[int, Any], activations: Activations
) -> dict[int, Call]:
    """
    Find normalizations that can become a part of the layer before them.

    Parameters
    ----------
    graph : KerasGraph
        The calls of a model.
    decisions : dict of {int: Decision}
        By ``id(layer)``, what becomes of a layer.
    activations : Activations
        Finds neuron types.

    Returns
    -------
    fusions : dict of {int: Call}
        By the ``id`` of a call whose layer takes over a normalization, the call of the
        normalization. Those of nested models are among them.
    """
    found: dict[int, Call] = {}
    producers = {id(t): call for call in graph.calls for t in call.outputs}
    n_uses = Counter(id(t) for call in graph.calls for t in call.inputs)
    n_uses.update(id(tensor) for tensor in graph.outputs)
    for call in graph.calls:
        if id(call.op) in graph.nested:
            found.update(
                find_fusions(graph.nested[id(call.op)], decisions, activations)
            )
        if (
            type(call.op) is not keras.layers.BatchNormalization
            or decisions[id(call.op)].kind != "native"
        ):
            continue
        (tensor,) = call.inputs
        producer = producers.get(id(tensor))
        if (
            producer is not None
            and n_uses[id(tensor)] == 1
            and _takes_over(producer, decisions[id(producer.op)], call.op, activations)
        ):
            found[id(producer)] = call
    return found


def _takes_over(
    call: Call, decision: Any, normalization: Any, activations: Activations
) -> bool:
    """Return whether the layer of a call can take over a normalization."""
    layer, converter = call.op, decision.converter_class
    if decision.kind != "native" or not converter.fuses_normalization:
        return False
    activation = converter.activation_of(layer)
    if activations.neuron_type(activation, converter.activation_map) is not None:
        return False
    rank = len(call.outputs[0].shape)
    is_first = getattr(layer, "data_format", None) == "channels_first"
    return normalization.axis % rank == (1 if is_first else rank - 1)
