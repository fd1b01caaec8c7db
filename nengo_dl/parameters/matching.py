"""
Which parameter of a file belongs to which parameter of a network.

In: the parameters of both. Out: a value for every parameter of the network, or an error
that says which object differs in what.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from nengo_dl.parameters.files import Array, SavedParameter
from nengo_dl.parameters.live import Parameter
from nengo_dl.utils import listed

Named = TypeVar("Named", Parameter, SavedParameter)


def match_parameters(
    saved: Sequence[SavedParameter], parameters: Sequence[Parameter]
) -> dict[Parameter, np.ndarray]:
    """
    Find the value of every parameter by the name of its object.

    Objects are identified by their labels, or else by their positions.

    Parameters
    ----------
    saved : list of SavedParameter
        The parameters of a file.
    parameters : list of Parameter
        Those of a network.

    Returns
    -------
    values : dict of {Parameter: array}
        Values of the shapes of the parameters.

    Raises
    ------
    nengo.exceptions.SimulationError
        If there is not exactly one value for each, or shapes differ.

    Warns
    -----
    UserWarning
        If objects of different labels are identified by their positions.
    """
    pairs, saved_left, left = pair_up(saved, parameters)
    problems = []
    if len(saved) != len(parameters):
        problems.append(
            f"number of saved parameters ({len(saved)}) != number of variables "
            f"({len(parameters)})"
        )
    if saved_left:
        problems.append(f"only in the file: {listed(p.name for p in saved_left)}")
    if left:
        problems.append(f"only in the network: {listed(p.name for p in left)}")
    values, misfits = {}, []
    for parameter, source in pairs:
        try:
            values[parameter] = _fitted(source, parameter)
        except ValueError as err:
            misfits.append(f"{parameter.name} {err}")
    if misfits:
        problems.append(listed(misfits))
    if problems:
        raise SimulationError(
            f"The saved parameters are not those of this network: {'; '.join(problems)}"
            ". Load them into a network with the same ensembles and connections (neuron"
            " types, synapses, functions, and Probes may be others)."
        )
    _warn_of_other_labels(pairs)
    return values


def pair_up(
    saved: Sequence[SavedParameter], parameters: Sequence[Named]
) -> tuple[list[tuple[Named, SavedParameter]], list[SavedParameter], list[Named]]:
    """
    Find out what belongs together, by name or else by position.

    Returns
    -------
    pairs : list of tuple
        One of ``parameters``, and the one of ``saved`` that belongs to it.
    saved, parameters : list
        What is left over.
    """
    pairs: list[tuple[Named, SavedParameter]] = []
    for key_of in (lambda p: p.key or p.name, lambda p: p.position):
        by_key = {key_of(p): p for p in saved}
        found = {p: by_key[key] for p in parameters if (key := key_of(p)) in by_key}
        pairs += found.items()
        used = set(found.values())
        saved = [p for p in saved if p not in used]
        parameters = [p for p in parameters if p not in found]
    return pairs, list(saved), list(parameters)


def _fitted(saved: SavedParameter, parameter: Parameter) -> np.ndarray:
    """Return the saved value, with or without a minibatch axis as it is needed."""
    items = int(parameter.minibatched)
    item_shape = parameter.shape[items:]
    # before anything is read, which may be large
    if saved.value.shape[int(saved.minibatched) :] != item_shape:
        raise ValueError(
            f"has shape {saved.value.shape[int(saved.minibatched) :]} in the file and "
            f"{item_shape} in the network"
        )
    if not _are_equal(saved.indices, parameter.indices):
        raise ValueError("has its nonzero elements in other places in the file")
    value = read_numbers(saved.value, parameter.dtype)
    # (layers may know what to do with infinity)
    if isinstance(parameter.source, Signal) and np.isinf(value).any():
        raise ValueError("has infinite numbers in the file")
    if saved.minibatched and value.shape != parameter.shape:
        value = shared_value(value)
    return np.broadcast_to(value, parameter.shape)


def _are_equal(indices: Array | None, others: np.ndarray | None) -> bool:
    if indices is None or others is None:
        return indices is others
    return indices.shape == others.shape and np.array_equal(indices, others)


def read_numbers(value: Array, dtype: str) -> np.ndarray:
    """
    Return the values of an array of a file, if they are numbers of a type.

    Parameters
    ----------
    value : array or StoredArray
        The array.
    dtype : str
        Type of the result.

    Raises
    ------
    ValueError
        If they are not; also for NaN, and numbers that the type does not have.
    """
    if value.dtype.kind not in "biuf" or not np.can_cast(
        value.dtype, dtype, "same_kind"
    ):
        raise ValueError(f"is an array of {value.dtype} in the file, not of {dtype}")
    numbers = np.asarray(value)
    with np.errstate(over="ignore"):
        cast = numbers.astype(dtype)
    if np.isnan(numbers).any():
        raise ValueError("has NaN in the file")
    if (np.isinf(cast) > np.isinf(numbers)).any():
        raise ValueError(f"has numbers in the file that are too large for {dtype}")
    return cast


def shared_value(value: np.ndarray) -> np.ndarray:
    """
    Return the value that a parameter has for all items of a minibatch.

    Parameters
    ----------
    value : (minibatch_size, ...) array
        The values that the items have learned.

    Raises
    ------
    ValueError
        If the items have learned different values.
    """
    if not (value == value[:1]).all():
        raise ValueError(
            f"was learned by {len(value)} items of a minibatch separately, and they "
            "learned different values, of which only one can be used"
        )
    return value[0]


def _warn_of_other_labels(pairs: Sequence[tuple[Parameter, SavedParameter]]) -> None:
    renamed = [
        f"{source.name} as {parameter.name}"
        for parameter, source in pairs
        if source.label and parameter.label and source.label != parameter.label
    ]
    if renamed:
        warnings.warn(
            f"Objects have other labels than in the file, and are taken for those at "
            f"the same positions: {listed(renamed)}"
        )
