"""
Whether parameters of NengoDL 3 are in the order in which they seem to be.

In: the parts of arrays that are known by nothing but their order, and the parameters
that they are. Out: nothing, a warning, or an error.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nengo_dl.parameters.live import Parameter
from nengo_dl.parameters.matching import read_numbers
from nengo_dl.parameters.unnamed_pieces import Piece
from nengo_dl.utils import listed

# Values that are correlated like this are those of one parameter, before and after the
# training; fewer values may be by chance.
CORRELATION = 0.9
MIN_VALUES = 8
# So many numbers are searched for where a parameter might be.
MAX_SEARCHED = 10**7


def check_order(
    pieces: Sequence[Piece],
    values: Mapping[Parameter, np.ndarray],
    layers_are_in_order: bool,
) -> None:
    """
    Check whatever there is to check about parameters that are known by their order.

    If the network has the seed that it had, its parameters look like those of the file,
    as far as these have not been trained much; it is then known which is which. If not,
    we rely on the order if it is a plain one: longer parameters first, and those of one
    length in the order of their objects. (Arrays that have this order here had another
    one in NengoDL 3 in one of seven cases.)

    Parameters
    ----------
    pieces : list of Piece
        What is known by the order.
    values : dict of {Parameter: array}
        The values.
    layers_are_in_order : bool
        Whether those of layers are in the order that they have in the network.

    Raises
    ------
    ValueError
        If the order is another one, or may well be.
    """
    unclear = []
    for piece in pieces:
        slot = piece.slot
        if slot.is_layer:
            is_clear = layers_are_in_order
        else:
            value = values[slot.parameter].reshape(slot.initial.shape)
            is_clear = _correlation(value, slot.initial) >= CORRELATION
        if not is_clear:
            unclear.append(piece)
    telling = [piece for piece in unclear if _is_telling(piece.slot.initial)]
    elsewhere = [piece for piece in telling if _is_elsewhere(piece, pieces)]
    # (some look like others by chance)
    if len(elsewhere) > len(telling) / 2:
        names = listed(piece.slot.parameter.name for piece in elsewhere)
        raise ValueError(
            f"the values of {names} are not where they would be if NengoDL 3 had the "
            "order of parameters that it has most often"
        )
    for group in _interchangeable(unclear):
        plain = sorted(group, key=lambda p: (-p.slot.length, p.slot.index))
        if group != plain:
            names = listed(piece.slot.parameter.name for piece in group)
            raise ValueError(f"the order of {names} is not known")
    if unclear:
        names = listed(piece.slot.parameter.name for piece in unclear)
        warnings.warn(
            "The file was written by NengoDL 3, and does not say which parameters it "
            f"holds. These are known by nothing but their order: {names}. In some "
            "networks, NengoDL 3 has another one: make sure that the simulation does "
            "what it did, or write a file with names (see the documentation of "
            "parameters, 'Files of NengoDL 3')."
        )


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return the correlation of values; zero if it says nothing."""
    if not (_is_telling(x) and _is_telling(y)):
        return 0.0
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


def _is_telling(values: np.ndarray) -> bool:
    return values.size >= MIN_VALUES and np.ptp(values) > 0


def _is_elsewhere(piece: Piece, others: Sequence[Piece]) -> bool:
    """Return whether the values of a parameter seem to be somewhere else."""
    initial = piece.slot.initial
    if piece.slot.axis != 0:
        return False
    arrays = {id(p.array): p.array for p in others if p.slot.kind == piece.slot.kind}
    row_size = initial.size // piece.slot.length
    for array in arrays.values():
        if math.prod(array.shape) * initial.size > MAX_SEARCHED:
            continue
        flat = read_numbers(array, "float64").ravel()
        for start in range(0, len(flat) - initial.size + 1, row_size):
            part = flat[start : start + initial.size]
            if _correlation(part, initial) >= CORRELATION:
                return True
    return False


def _interchangeable(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the parts of every array, and those that are arrays of one shape."""
    groups: dict[Any, list[Piece]] = defaultdict(list)
    counts = Counter(id(piece.array) for piece in pieces)
    for piece in pieces:
        alone = counts[id(piece.array)] == 1
        groups[piece.slot.shape if alone else id(piece.array)].append(piece)
    return list(groups.values())
