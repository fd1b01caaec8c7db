"""
What a simulation depends on that is no parameter: how its neurons were built.

Connections to neurons are multiplied with the gains of the neurons, and Probes decode
ensembles with decoders that fit their gains and biases. Both are computed when Nengo
builds the network, and are constant.

In: a built network. Out: gains and biases, and a warning if they are not as expected.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import nengo
import numpy as np
from nengo.exceptions import SimulationError

from nengo_dl.graph.trainability import parameter_signals, scale_setting
from nengo_dl.parameters.files import Array, SavedParameter
from nengo_dl.parameters.matching import pair_up, read_numbers
from nengo_dl.parameters.names import built_names
from nengo_dl.utils import listed


def built_neurons(
    model: nengo.builder.Model, scaled: bool = False
) -> list[SavedParameter]:
    """
    Return the gains and biases with which the neurons of a network were built.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    scaled : bool
        If False, they are divided by the ``parameter_scale`` of the neurons, as in the
        files that we write.
    """
    if model.toplevel is None:
        return []
    scales = {
        obj.ensemble: scale_setting(configs, obj)
        for obj, _, configs in parameter_signals(model)
        if isinstance(obj, nengo.ensemble.Neurons) and not scaled
    }
    names, positions = built_names(model), built_names(model, use_labels=False)
    return [
        SavedParameter(
            f"{names[ens]}.built_{attr}",
            f"{positions[ens]}.built_{attr}",
            ens.label,
            False,
            getattr(model.params[ens], attr)
            / (1 if scales.get(ens) is None else scales[ens]),
        )
        for ens in names
        if isinstance(ens, nengo.Ensemble) and model.params[ens].gain is not None
        for attr in ("gain", "bias")
    ]


def warn_of_other_neurons(
    model: nengo.builder.Model, saved: Sequence[SavedParameter], scaled: bool = False
) -> None:
    """
    Warn if the simulation will not be what it was with the same parameters.

    Parameters
    ----------
    model : nengo.builder.Model
        The built network.
    saved : list of SavedParameter
        What `built_neurons` returned for the network that the parameters come from.
    scaled : bool
        Its argument.

    Raises
    ------
    nengo.exceptions.SimulationError
        If what was saved are no numbers.
    """
    if model.toplevel is None:
        return
    names = built_names(model)
    sensitive = {
        f"{names[ens]}.built_{attr}"
        for ens, attr in _sensitive_values(model)
        if ens in names
    }
    pairs, _, _ = pair_up(saved, built_neurons(model, scaled))
    differing = dict.fromkeys(
        own.name.rpartition(".")[0]
        for own, other in pairs
        if not _are_close(own.value, other) and own.name in sensitive
    )
    if differing:
        warnings.warn(
            "Neurons were built with other gains and biases than in the simulation "
            f"that saved the parameters: {listed(differing)}. Connections to these "
            "neurons, and Probes that decode them, depend on that. Give both networks "
            "the same `seed`, or the ensembles the same `gain` and `bias`."
        )


def _sensitive_values(model: nengo.builder.Model) -> list[tuple[nengo.Ensemble, str]]:
    """
    Return ensembles, and which of gain and bias something else was computed from.

    Probes decode by both; connections to neurons are multiplied with the gains.
    """
    found = []
    for conn in (obj for obj in model.params if isinstance(obj, nengo.Connection)):
        if isinstance(conn.post_obj, nengo.Probe):
            found += [(conn.pre_obj, "gain"), (conn.pre_obj, "bias")]
        elif isinstance(conn.post_obj, nengo.ensemble.Neurons):
            found.append((conn.post_obj.ensemble, "gain"))
    return found


def _are_close(own: Array, saved: SavedParameter) -> bool:
    """Return whether values agree as far as the type of numbers allows."""
    if own.shape != saved.value.shape:
        return False
    try:
        value = read_numbers(saved.value, "float64")
    except ValueError as err:
        raise SimulationError(f"{saved.name} {err}; the file is damaged") from err
    return np.allclose(own, value, rtol=1e-3, atol=1e-6)
