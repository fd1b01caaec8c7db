"""
Warnings about results of training that look like something else.

In: a compiled network, or results by name. Out: warnings that say what is behind them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from nengo_dl.neuron_builders import SimNeuronsBuilder, TFNeuronBuilder
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.utils import describe_operator, listed


def warn_of_spikes(graph: TensorGraph) -> None:
    """
    Warn if neurons spike in validation, which are trained by their rates.

    Parameters
    ----------
    graph : TensorGraph
        The compiled network, which is to be validated with data of one step.
    """
    if not graph.is_training(True) or graph.is_training(False):
        return
    names = [
        describe_operator(op)
        for ops, build in graph.op_builder.op_builds.items()
        if isinstance(build, SimNeuronsBuilder) and _is_trained_by_rates(build)
        for op in ops
    ]
    if names:
        warnings.warn(
            "The data for validation have one timestep, in which "
            f"{listed(names, limit=3)} can spike once at most (in training, they have "
            "rates): results with `val_` in front say little of what is learned. Pass "
            "validation_data of several timesteps, such as `np.tile(x, (1, 50, 1))`, "
            "and look at the last ones; or use neurons without spikes until the "
            "network is trained."
        )


def _is_trained_by_rates(build: SimNeuronsBuilder) -> bool:
    neurons = build.built_neurons
    if not isinstance(neurons, TFNeuronBuilder):
        return False
    return neurons.spiking and not neurons.trained_by_step


def warn_of_nan(results: Mapping[str, Any]) -> None:
    """
    Warn of results that are not finite.

    Parameters
    ----------
    results : dict of {str: float or list of float}
        Losses and metrics by name.
    """
    hint = (
        "Lower the learning rate, or look for NaN or infinite values in the targets "
        "(`nengo_dl.losses.nan_mse` ignores NaN), and for labels out of range."
    )
    for what, is_such in (("NaN", np.isnan), ("Infinite", np.isinf)):
        names = [name for name, values in results.items() if is_such(values).any()]
        if names:
            warnings.warn(f"{what}: {', '.join(names)}. {hint}")
