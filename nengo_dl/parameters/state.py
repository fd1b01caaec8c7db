"""
The state of a simulation between two steps, to be kept in a file.

In: a compiled network. Out: the arrays of its state, and a description by which a
network with the same state is recognised.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError

from nengo_dl.parameters.files import Array, SavedState
from nengo_dl.parameters.names import built_names
from nengo_dl.simulation.simulation import Simulation
from nengo_dl.tensor_graph import TensorGraph


def read_state(simulation: Simulation) -> SavedState:
    """Return the state of a simulation."""
    tensor_graph = simulation.tensor_graph
    arrays = tensor_graph.values.get_arrays()
    description = describe_state(tensor_graph)
    return SavedState(
        simulation.n_steps,
        description,
        {key: arrays[key] for key in description},
        python_arrays(simulation.python_state()),
    )


def checked_state(simulation: Simulation, state: SavedState | None) -> SavedState:
    """
    Return a state, with all that has to be read, if it is one of such a network.

    Raises
    ------
    nengo.exceptions.SimulationError
        If it is not, or if there is none.
    """
    if state is None:
        raise SimulationError(
            "The file holds parameters, but no state of a simulation. Save it with "
            "`include_state=True`, or load it with `include_state=False`."
        )
    expected = describe_state(simulation.tensor_graph)
    for key in {**state.description, **expected}:
        saved, own = state.description.get(key), expected.get(key)
        if saved != own:
            raise _other_state(key, saved, own)
    arrays = {
        key: _checked_array(key, state.arrays[key], facts["type"], facts["shape"])
        for key, facts in expected.items()
    }
    _check_steps(simulation.tensor_graph, state.n_steps, arrays)
    python = None
    if state.python is not None:
        own_arrays = python_arrays(simulation.python_state())
        for key in {**state.python, **own_arrays}:
            if key not in own_arrays or key not in state.python:
                raise _other_state(key, key in state.python, key in own_arrays)
        python = {
            key: _checked_array(key, state.python[key], own.dtype, own.shape)
            for key, own in own_arrays.items()
        }
    return SavedState(state.n_steps, expected, arrays, python)


def _other_state(key: str, saved: object, own: object) -> SimulationError:
    return SimulationError(
        "The saved state is that of another network, minibatch size, or version: "
        f"`{key}` is {saved or 'nothing'} in the file and {own or 'nothing'} here. "
        "States can only be loaded into the same network with the same settings; to "
        "load the parameters alone, pass `include_state=False`."
    )


def _checked_array(
    key: str, value: Array, dtype: Any, shape: Sequence[int]
) -> np.ndarray:
    """Return an array of a file, which has to be of this type and shape."""
    dtype = np.dtype(dtype)
    saved, own = (value.dtype, *value.shape), (dtype, *shape)
    if saved != own:
        raise _other_state(key, saved, own)
    array = np.asarray(value)
    if dtype.kind == "f" and np.isnan(array).any():
        raise SimulationError(f"The saved state is damaged: `{key}` has NaN.")
    return array


def _check_steps(
    tensor_graph: TensorGraph, n_steps: int, arrays: Mapping[str, np.ndarray]
) -> None:
    """Check that the simulation counts as many steps as the file says."""
    place = tensor_graph.program.layout.places.get(tensor_graph.model.step)
    if place is not None and place[0] in arrays:
        counted = arrays[place[0]].reshape(-1)[place[1]]
        if counted != n_steps:
            raise SimulationError(
                f"The saved state is damaged: `n_steps` is {n_steps}, and the counter "
                f"of steps {counted}."
            )


def describe_state(tensor_graph: TensorGraph) -> dict[str, dict]:
    """
    Describe all arrays of the state, except for those of parameters.

    Returns
    -------
    description : dict of {str: dict}
        By the key of the base array: its type, its shape, the operators that change it,
        and the objects that it belongs to, as far as they are known.
    """
    program = tensor_graph.program
    users: dict[str, dict] = {key: {} for key in program.carried}
    for group in program.plan:
        for signal in (signal for op in group for signal in op.all_signals):
            key = program.layout.places[signal.base][0]
            if key in users:
                users[key][_kind(group[0])] = None
    owners = _owners(program.model)
    arrays = program.layout.arrays
    return {
        key: {
            "type": arrays[key].dtype,
            "shape": list(arrays[key].full_shape(tensor_graph.minibatch_size)),
            "operators": list(users[key]),
            "signals": [owners.get(s, str(s.size)) for s in arrays[key].signals],
        }
        for key in program.carried
        if key not in tensor_graph.base_params
    }


def _kind(op: Operator) -> str:
    """Return the type of an operator, and of what it computes."""
    name = type(op).__name__
    if isinstance(op, SimNeurons):
        return f"{name}({type(op.neurons).__name__})"
    if isinstance(op, SimProcess):
        return f"{name}({type(op.process).__name__})"
    return name


def _owners(model: nengo.builder.Model) -> dict:
    """Return the names of the objects that signals belong to."""
    owners = {}
    for obj, name in built_names(model).items():
        owner = obj.neurons if isinstance(obj, nengo.Ensemble) else obj
        for attr, signal in model.sig[owner].items() if owner in model.sig else ():
            if signal is not None:
                owners[signal.base] = f"{name}.{attr}"
    return owners


def set_state(simulation: Simulation, state: SavedState) -> None:
    """Set the state of the simulation, which has passed `checked_state`."""
    values = simulation.tensor_graph.values
    values.set_arrays({**values.get_arrays(), **state.arrays})
    simulation.n_steps = state.n_steps
    if state.python is None:
        warnings.warn(
            "The file was written by an early version, which did not save the state of "
            "processes and of random number generators: noise, for example, goes on "
            "differently than it would have."
        )
    else:
        now = simulation.python_state()
        simulation.set_python_state(python_state(state.python, now))


# -- processes and random numbers ------------------------------------------------------


def python_arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """
    Return the state of processes, and of random number generators, as arrays.

    Parameters
    ----------
    state : dict of {str: object}
        What `.Simulation.python_state` returned.
    """
    arrays: dict[str, np.ndarray] = {}
    for i, rng in enumerate(_all_rngs(state)):
        _, keys, position, has_gauss, gauss = rng
        arrays[f"random[{i}].keys"] = np.array(keys)
        numbers = [position, has_gauss, gauss]
        arrays[f"random[{i}].numbers"] = np.array(numbers, np.float64)
    for i, items in enumerate(state["feeds"]["states"]):
        for j, item in enumerate(items):
            for name, value in item.items():
                arrays[f"processes[{i}][{j}].{name}"] = np.array(value)
    return arrays


def python_state(arrays: Mapping[str, np.ndarray], now: Mapping[str, Any]) -> dict:
    """
    Return what `python_arrays` was made of.

    Parameters
    ----------
    arrays : dict of {str: array}
        The arrays.
    now : dict of {str: object}
        Another state of the same network.
    """
    rngs = []
    for i, (kind, *_) in enumerate(_all_rngs(now)):
        position, has_gauss, gauss = arrays[f"random[{i}].numbers"].tolist()
        keys = arrays[f"random[{i}].keys"]
        rngs.append((kind, keys, int(position), int(has_gauss), gauss))
    in_order = iter(rngs)
    states = [
        [
            {name: arrays[f"processes[{i}][{j}].{name}"] for name in item}
            for j, item in enumerate(items)
        ]
        for i, items in enumerate(now["feeds"]["states"])
    ]
    of_feeds = [[next(in_order) for _ in items] for items in now["feeds"]["rngs"]]
    return {"feeds": {"rngs": of_feeds, "states": states}, "rngs": list(in_order)}


def _all_rngs(state: Mapping[str, Any]) -> list[tuple]:
    return [*(rng for items in state["feeds"]["rngs"] for rng in items), *state["rngs"]]
