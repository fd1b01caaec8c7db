"""Positions of elements in the flattened input or output of a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import nengo
import numpy as np

from nengo_dl.converter.layer_converter import LayerConverter


def positions(shape: Sequence[int]) -> np.ndarray:
    """
    Return the position of every element of an array in the flattened array.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    positions : ``shape`` array of int
    """
    return np.arange(math.prod(shape)).reshape(shape)


def spatial_axes(n_axes: int, channels_last: bool) -> slice:
    """Return which axes are spatial, of arrays that also have an axis of channels."""
    return slice(0, n_axes - 1) if channels_last else slice(1, n_axes)


def channels_come_last(layer: Any) -> bool:
    """Return whether the last axis is that of channels, not the first."""
    return getattr(layer, "data_format", "channels_last") != "channels_first"


def put(
    converter: LayerConverter, node_id: int, node: nengo.Node, places: np.ndarray
) -> None:
    """
    Write the input to places of a Node.

    Parameters
    ----------
    converter : LayerConverter
        The converter of the layer.
    node_id : int
        Which call of the layer.
    node : nengo.Node
        Where to write.
    places : array of int
        Positions in the Node, in the order of the elements of the input.
    """
    converter.add_connection(node_id, node[as_slice(places)])


def as_slice(places: np.ndarray) -> slice | np.ndarray:
    """Return positions as a slice, if they follow each other."""
    flat = np.asarray(places).ravel()
    if len(flat) and (np.diff(flat) == 1).all():
        return slice(int(flat[0]), int(flat[-1]) + 1)
    return flat
