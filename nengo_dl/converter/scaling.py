"""
Neuron types with other arguments: copies, and copies that put out less.

In: a neuron type. Out: another one of the same class, as neuron types do not change.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from nengo.neurons import NeuronType

from nengo_dl.neurons import Activation


def copy_with(neuron_type: NeuronType, **changes: Any) -> NeuronType:
    """Return a neuron type of the same class with some other arguments."""
    names = list(inspect.signature(type(neuron_type)).parameters)
    arguments = {name: getattr(neuron_type, name) for name in names}
    return type(neuron_type)(**{**arguments, **changes})


def scaled(
    neuron_type: NeuronType, scale: float, name: str
) -> tuple[NeuronType, float]:
    """
    Make up for a factor on the gain of neurons.

    Parameters
    ----------
    neuron_type : nengo.neurons.NeuronType
        The neuron type.
    scale : float
        The factor.
    name : str
        Name of the layer.

    Returns
    -------
    neuron_type : nengo.neurons.NeuronType
        A copy, whose output is smaller by the factor.
    scale : float
        The factor to apply, which is 1 for functions that are not linear.

    Warns
    -----
    UserWarning
        If the neuron type cannot make up for the factor.
    """
    if isinstance(neuron_type, Activation):
        warnings.warn(
            f"Layer `{name}`: {neuron_type} has no firing rates, and is not linear, so "
            f"that `scale_firing_rates={scale}` has no effect on it; swap it for "
            "another neuron type, or leave the layer out of the dictionary"
        )
        return neuron_type, 1
    if not hasattr(neuron_type, "amplitude"):
        warnings.warn(
            f"Layer `{name}`: {neuron_type} does not support amplitude, so that "
            f"`scale_firing_rates={scale}` changes its output; choose another neuron "
            "type, or leave the layer out of the dictionary"
        )
        return neuron_type, scale
    return copy_with(neuron_type, amplitude=neuron_type.amplitude / scale), scale
