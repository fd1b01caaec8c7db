"""
Files of parameters: NumPy archives that say what is in them.

In: parameters, and maybe the state of a simulation. Out: the same, from a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from nengo.exceptions import SimulationError

from nengo_dl.parameters.archive import (
    StoredArray,
    explained,
    read_archive,
    write_archive,
)
from nengo_dl.version import version

# Name of the array that holds the header, a text in JSON.
HEADER = "nengo_dl"

# To be increased if older versions would misunderstand newer files.
FORMAT = 1

# Headers (in bytes) are not larger, which is enough for some hundred thousand objects.
MAX_HEADER_SIZE = 2**27

#: An array, or what is known of one that has not been read.
Array: TypeAlias = np.ndarray | StoredArray


@dataclass(frozen=True, eq=False)
class SavedParameter:
    """
    A parameter in a file.

    Parameters
    ----------
    name : str
        Object and attribute, named by labels (see `.object_names`); in the file, the
        name of the array.
    position : str
        Object and attribute, named by positions.
    label : str or None
        Label of the object.
    minibatched : bool
        Whether the value has a minibatch axis.
    value : array or StoredArray
        The value.
    indices : (n, 2) array of int or StoredArray, optional
        Where the values are in a sparse matrix.
    key : str, optional
        What it is recognised by, if not by its name; see `.Parameter`.
    """

    name: str
    position: str
    label: str | None
    minibatched: bool
    value: Array
    indices: Array | None = None
    key: str | None = None


@dataclass(frozen=True, eq=False)
class SavedState:
    """
    The state of a simulation in a file.

    Parameters
    ----------
    n_steps : int
        Number of steps simulated so far.
    description : dict of {str: object}
        What each array of the state is, in terms of JSON.
    arrays : dict of {str: array or StoredArray}
        The values by the same keys.
    python : dict of {str: array or StoredArray}, optional
        What the description does not describe: the state of processes, and of random
        number generators. Early files have none.
    """

    n_steps: int
    description: Mapping[str, Any]
    arrays: Mapping[str, Array]
    python: Mapping[str, Array] | None = None


@dataclass(frozen=True, eq=False)
class ParameterFile:
    """
    The contents of a file.

    Parameters
    ----------
    parameters : tuple of SavedParameter
        The parameters.
    state : SavedState, optional
        The state of the simulation.
    neurons : tuple of SavedParameter
        Gains and biases of neurons when they were built.
    scaled : bool
        Whether values are those of the network; if not, they have been divided by the
        ``parameter_scale`` of their objects.
    unnamed : tuple of StoredArray
        Parameters of NengoDL 3, of which nothing but the values is known. (There are
        no others then.)
    """

    parameters: tuple[SavedParameter, ...] = ()
    state: SavedState | None = None
    neurons: tuple[SavedParameter, ...] = ()
    scaled: bool = False
    unnamed: tuple[StoredArray, ...] = ()


def write_file(path: Path, contents: ParameterFile) -> None:
    """
    Write a file, or else leave everything as it is.

    Parameters
    ----------
    path : pathlib.Path
        Where to; a file that is there is replaced once the new one is complete.
    contents : ParameterFile
        What to write.
    """
    state = contents.state
    arrays: dict[str, Any] = {}
    header: dict[str, Any] = {"format": FORMAT, "version": version}
    for section in ("parameters", "neurons"):
        entries = getattr(contents, section)
        header[section] = [_entry(parameter) for parameter in entries]
        for parameter in entries:
            arrays[parameter.name] = parameter.value
            if parameter.indices is not None:
                arrays[_indices(parameter.name)] = parameter.indices
    if state is not None:
        header["state"] = {"n_steps": state.n_steps, "description": state.description}
        arrays.update({_state(key): value for key, value in state.arrays.items()})
        if state.python is not None:
            header["state"]["python"] = list(state.python)
            arrays.update({_state(key): value for key, value in state.python.items()})
    write_archive(path, {**arrays, HEADER: np.array(json.dumps(header))})


def _entry(parameter: SavedParameter) -> dict[str, Any]:
    entry = {
        "name": parameter.name,
        "position": parameter.position,
        "label": parameter.label,
        "minibatched": parameter.minibatched,
        "sparse": parameter.indices is not None,
    }
    return entry if parameter.key is None else {**entry, "key": parameter.key}


def _indices(name: str) -> str:
    return f"{name}.indices"


def _state(key: str) -> str:
    return f"state.{key}"


@contextmanager
def open_file(path: Path) -> Iterator[ParameterFile]:
    """
    Return a context with the contents of a file, whose arrays can be read inside of it.

    Parameters
    ----------
    path : pathlib.Path
        Where it is.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.SimulationError
        If it is damaged, or not a file of parameters.
    """
    with read_archive(path) as arrays:
        yield _contents(path, arrays)


def _contents(path: Path, arrays: Mapping[str, StoredArray | None]) -> ParameterFile:
    text = arrays.get(HEADER)
    if text is None:
        return _unnamed(path, arrays)
    with explained(path):
        if text.dtype.itemsize > MAX_HEADER_SIZE:
            raise ValueError("its header is too large")
        header = json.loads(np.asarray(text).item())
        if not isinstance(header, dict):
            raise ValueError("its header is no dictionary")
    if header.get("format") != FORMAT:
        raise SimulationError(
            f"`{path}` has format {header.get('format')}, and was written by NengoDL "
            f"{header.get('version')}; NengoDL {version} reads format {FORMAT} only. "
            "Install the version that wrote it."
        )
    with explained(path):
        return _parse(header, arrays)


def _unnamed(path: Path, arrays: Mapping[str, StoredArray | None]) -> ParameterFile:
    """Return the contents of a file of NengoDL 3, ``arr_0``, ``arr_1``, and so on."""
    found = [arrays.get(f"arr_{i}") for i in range(len(arrays))]
    unnamed = tuple(array for array in found if array is not None)
    if len(unnamed) != len(arrays):
        raise SimulationError(
            f"`{path}` does not say which parameters it holds, only that there are "
            f"{', '.join(sorted(arrays)[:5])}. Pass a file that was written by "
            "`Simulator.save_params`."
        )
    return ParameterFile(unnamed=unnamed)


def _parse(
    header: Mapping[str, Any], stored: Mapping[str, StoredArray | None]
) -> ParameterFile:
    arrays = {name: array for name, array in stored.items() if array is not None}
    parameters, neurons = (
        tuple(_parameter(entry, arrays) for entry in header[section])
        for section in ("parameters", "neurons")
    )
    state = header.get("state")
    if state is not None:
        state = _parse_state(state, arrays)
    return ParameterFile(parameters, state, neurons, header.get("scaled") is True)


def _parameter(
    entry: Mapping[str, Any], arrays: Mapping[str, StoredArray]
) -> SavedParameter:
    name = entry["name"]
    parameter = SavedParameter(
        name,
        entry["position"],
        entry["label"],
        entry["minibatched"],
        arrays[name],
        arrays[_indices(name)] if entry["sparse"] else None,
        entry.get("key"),
    )
    texts = (parameter.position, parameter.label or "", parameter.key or "")
    if not all(isinstance(text, str) for text in texts):
        raise TypeError(f"`{name}` has a name that is no text")
    if not isinstance(parameter.minibatched, bool):
        raise TypeError(f"`minibatched` of `{name}` is neither True nor False")
    if parameter.minibatched and not parameter.value.shape:
        raise ValueError(f"`{name}` has no minibatch axis")
    return parameter


def _parse_state(
    state: Mapping[str, Any], arrays: Mapping[str, StoredArray]
) -> SavedState:
    n_steps, description = state["n_steps"], state["description"]
    if type(n_steps) is not int or n_steps < 0:
        raise ValueError(f"`n_steps` must be an integer of at least 0, not {n_steps!r}")
    if not isinstance(description, dict):
        raise TypeError("the description of its state is no dictionary")
    python = state.get("python")
    return SavedState(
        n_steps,
        description,
        {key: arrays[_state(key)] for key in description},
        None if python is None else {key: arrays[_state(key)] for key in python},
    )
