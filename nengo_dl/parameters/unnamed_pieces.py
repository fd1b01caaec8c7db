"""
What an array of NengoDL 3 consists of: parameters, side by side.

In: parameters of a network, and arrays of a file. Out: the parts of the arrays that are
these parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from nengo_dl.parameters.files import Array
from nengo_dl.parameters.live import Parameter
from nengo_dl.parameters.matching import read_numbers

#: The shape of an array without one of its axes, and which one that is.
Kind: TypeAlias = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Slot:
    """
    A parameter of the network, as NengoDL 3 has it in an array.

    Parameters
    ----------
    parameter : Parameter
        The parameter.
    index : int
        Where it is among all parameters.
    shape : tuple of int
        Shape in the file.
    group : tuple of bool
        Whether it is not trained, belongs to a layer, and is sparse. Parameters in one
        array have this in common; the known order begins with it.
    place : tuple of int
        What the known order depends on within groups.
    initial : array
        The value that Nengo built; empty for layers.
    """

    parameter: Parameter
    index: int
    shape: tuple[int, ...]
    group: tuple[bool, bool, bool]
    place: tuple[int, int]
    initial: np.ndarray

    @property
    def axis(self) -> int:
        """The axis along which parameters are side by side."""
        return int(self.parameter.minibatched)

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.shape[self.axis]

    @property
    def kind(self) -> Kind:
        """What an array has in common with the parameters in it."""
        return kind_of(self.shape, self.axis)

    @property
    def is_layer(self) -> bool:
        """Whether this is the weight of a Keras layer."""
        return self.group[1]

    @property
    def constant(self) -> float | None:
        """The number that an untrained parameter consists of, if it is only one."""
        if self.group[0] and self.initial.size and np.ptp(self.initial) == 0:
            return float(self.initial.flat[0])
        return None


@dataclass(frozen=True, eq=False)
class Piece:
    """
    The part of an array that is a parameter.

    Parameters
    ----------
    slot : Slot
        The parameter.
    array : array or StoredArray
        The array.
    start : int
        Number of rows before it.
    is_certain : bool
        Whether shapes leave no other possibility.
    """

    slot: Slot
    array: Array
    start: int
    is_certain: bool

    def value(self) -> np.ndarray:
        """Return the value of the parameter."""
        slot = self.slot
        rows = range(self.start, self.start + slot.length)
        array = read_numbers(self.array, slot.parameter.dtype)
        if not slot.is_layer and np.isinf(array).any():
            raise ValueError("has infinite numbers in the file")
        return array.take(rows, slot.axis).reshape(slot.parameter.shape)


def kind_of(shape: Sequence[int], axis: int) -> Kind:
    """Return a shape without the axis along which parameters are side by side."""
    return axis, (*shape[:axis], *shape[axis + 1 :])
