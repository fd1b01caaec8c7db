"""
Save the parameters of a simulator, and load them into another one.

In: a compiled network. Out: a file, or new values of all its parameters.
"""

from __future__ import annotations

import os
import warnings

import numpy as np

from nengo_dl.parameters.archive import archive_path
from nengo_dl.parameters.files import (
    ParameterFile,
    SavedParameter,
    open_file,
    write_file,
)
from nengo_dl.parameters.live import (
    Parameter,
    find_parameters,
    read_values,
    write_values,
)
from nengo_dl.parameters.matching import match_parameters
from nengo_dl.parameters.neurons import built_neurons, warn_of_other_neurons
from nengo_dl.parameters.state import checked_state, read_state, set_state
from nengo_dl.parameters.unnamed import match_unnamed
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.utils import listed


def save(simulation: Simulation, path: str | os.PathLike, include_state: bool) -> None:
    """
    Save the parameters of a simulation; see `nengo_dl.Simulator.save_params`.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    path : str or path-like
        Name of the file, without ``.npz``.
    include_state : bool
        Whether to save the state of the simulation as well.
    """
    tensor_graph = simulation.tensor_graph
    parameters = find_parameters(tensor_graph)
    saved = tuple(
        SavedParameter(
            p.name,
            p.position,
            p.label,
            p.minibatched,
            value if p.scale is None else (value / p.scale).astype(value.dtype),
            p.indices,
            p.key,
        )
        for p, value in zip(parameters, read_values(tensor_graph, parameters))
    )
    damaged = [p.name for p in saved if np.isnan(np.asarray(p.value)).any()]
    if damaged:
        warnings.warn(
            f"Parameters have NaN: {listed(damaged)}. The file is written, but "
            "`load_params` does not load it."
        )
    state = read_state(simulation) if include_state else None
    neurons = tuple(built_neurons(tensor_graph.model))
    write_file(archive_path(path), ParameterFile(saved, state, neurons))


def load(simulation: Simulation, path: str | os.PathLike, include_state: bool) -> None:
    """
    Load the parameters of a simulation; see `nengo_dl.Simulator.load_params`.

    Parameters
    ----------
    simulation : Simulation
        The simulation.
    path : str or path-like
        Name of the file, without ``.npz``.
    include_state : bool
        Whether to load the state of the simulation as well.
    """
    tensor_graph = simulation.tensor_graph
    with open_file(archive_path(path)) as file:
        values = _match(tensor_graph, file)
        state = checked_state(simulation, file.state) if include_state else None
        warn_of_other_neurons(tensor_graph.model, file.neurons, file.scaled)
    # nothing has changed until here, and nothing can go wrong from here on
    write_values(tensor_graph, values)
    if state is not None:
        set_state(simulation, state)


def _match(
    tensor_graph: TensorGraph, file: ParameterFile
) -> dict[Parameter, np.ndarray]:
    parameters = find_parameters(tensor_graph)
    if file.unnamed:
        # (NengoDL 3 saved values as they are in the network)
        return match_unnamed(file.unnamed, tensor_graph, parameters)
    return {
        parameter: value
        if parameter.scale is None or file.scaled
        else value * parameter.scale
        for parameter, value in match_parameters(file.parameters, parameters).items()
    }
