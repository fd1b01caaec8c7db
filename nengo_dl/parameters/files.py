"""
Files of parameters: NumPy archives that say what is in them.

In: parameters, and maybe the state of a simulation. Out: the same, read from a file.
Nothing in a file is ever executed.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nengo.exceptions import SimulationError

from nengo_dl.version import version

# Name of the array that holds the header, a text in JSON.
HEADER = "nengo_dl"

# To be increased if older versions would misunderstand newer files.
FORMAT = 1


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
    value : array
        The value.
    indices : (n, 2) array of int, optional
        Where the values are in a sparse matrix.
    """

    name: str
    position: str
    label: str | None
    minibatched: bool
    value: np.ndarray
    indices: np.ndarray | None = None


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
    arrays : dict of {str: array}
        The values by the same keys.
    """

    n_steps: int
    description: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


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
    unnamed : tuple of array
        Parameters of NengoDL 3, of which nothing but the values is known. (There are
        no others then.)
    """

    parameters: tuple[SavedParameter, ...] = ()
    state: SavedState | None = None
    neurons: tuple[SavedParameter, ...] = ()
    unnamed: tuple[np.ndarray, ...] = ()


def file_path(path: str | os.PathLike) -> Path:
    """Return the path of the file of which the user gave the name without extension."""
    return Path(f"{path}.npz")


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
    _write(path, {**arrays, HEADER: np.array(json.dumps(header))})


def _entry(parameter: SavedParameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "position": parameter.position,
        "label": parameter.label,
        "minibatched": parameter.minibatched,
        "sparse": parameter.indices is not None,
    }


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _indices(name: str) -> str:
    return f"{name}.indices"


def _state(key: str) -> str:
    return f"state.{key}"


def read_file(path: Path) -> ParameterFile:
    """
    Read a file.

    Parameters
    ----------
    path : pathlib.Path
        Where it is.

    Returns
    -------
    file : ParameterFile
        All of its contents.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    nengo.exceptions.SimulationError
        If it is damaged, or not a file of parameters.
    """
    with open(path, "rb") as file, _explained(path):
        if not zipfile.is_zipfile(file):
            raise ValueError("it is not (or not all of) an archive")
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays[HEADER].item()) if HEADER in arrays else None
    if header is None:
        return _read_unnamed(path, arrays)
    if header.get("format") != FORMAT:
        raise SimulationError(
            f"`{path}` has format {header.get('format')}, and was written by NengoDL "
            f"{header.get('version')}; NengoDL {version} reads format {FORMAT} only. "
            "Install the version that wrote it."
        )
    with _explained(path):
        return _parse(header, arrays)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be read."""
    try:
        yield
    # what is raised depends on which of the bytes are wrong
    except Exception as err:
        raise SimulationError(
            f"`{path}` cannot be read ({type(err).__name__}: {err}). It is damaged, or "
            "was not written by `Simulator.save_params`."
        ) from err


def _read_unnamed(path: Path, arrays: Mapping[str, np.ndarray]) -> ParameterFile:
    """Return the contents of a file of NengoDL 3, ``arr_0``, ``arr_1``, and so on."""
    names = [f"arr_{i}" for i in range(len(arrays))]
    if set(names) != set(arrays):
        raise SimulationError(
            f"`{path}` does not say which parameters it holds, only that there are "
            f"{', '.join(sorted(arrays)[:5])}. Pass a file that was written by "
            "`Simulator.save_params`."
        )
    return ParameterFile(unnamed=tuple(arrays[name] for name in names))


def _parse(
    header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> ParameterFile:
    parameters, neurons = (
        tuple(
            SavedParameter(
                entry["name"],
                entry["position"],
                entry["label"],
                entry["minibatched"],
                arrays[entry["name"]],
                arrays[_indices(entry["name"])] if entry["sparse"] else None,
            )
            for entry in header[section]
        )
        for section in ("parameters", "neurons")
    )
    state = header.get("state")
    if state is not None:
        state = SavedState(
            state["n_steps"],
            state["description"],
            {key: arrays[_state(key)] for key in state["description"]},
        )
    return ParameterFile(parameters, state, neurons)
