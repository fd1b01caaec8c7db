"""
The parameters of a simulator: what they are called, and what their values are.

In: a compiled network. Out: a `Parameter` for each of its parameters, and functions
that read and write the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import nengo
import numpy as np
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from nengo_dl.graph.layout import (
    dense_values,
    element_positions,
    sparse_indices,
    stored_dtype,
)
from nengo_dl.graph.trainability import is_minibatched, parameter_signals, scale_setting
from nengo_dl.parameters.layer_names import weight_names
from nengo_dl.parameters.names import built_names
from nengo_dl.tensor_graph import TensorGraph
from nengo_dl.tensor_node import TensorNode

# NumPy files do not have all types of TensorFlow.
FILE_TYPES = {"bfloat16": "float32"}


@dataclass(frozen=True, eq=False)
class Parameter:
    """
    A parameter of a simulator.

    Parameters
    ----------
    name : str
        Object and attribute, named by labels (see `.object_names`).
    position : str
        Object and attribute, named by positions.
    label : str or None
        Label of the object.
    source : nengo.builder.Signal or keras.Variable
        Where the value is.
    shape : tuple of int
        Shape of the value, including the minibatch axis if there is one.
    minibatched : bool
        Whether there is a minibatch axis.
    indices : (n, 2) array of int, optional
        Where the values are in a sparse matrix.
    scale : array, optional
        By which factor values in the network are larger than those in files.
    dtype : str
        Type of the value in files.
    key : str, optional
        What it is recognised by in a file, if not by its name: that may have numbers in
        it which depend on what else Keras has made before.
    """

    name: str
    position: str
    label: str | None
    source: Any
    shape: tuple[int, ...]
    minibatched: bool = False
    indices: np.ndarray | None = None
    scale: np.ndarray | None = None
    dtype: str = "float32"
    key: str | None = None


def find_parameters(tensor_graph: TensorGraph) -> list[Parameter]:
    """
    Return the parameters of a compiled network.

    These are the encoders and biases of ensembles, the weights of connections, and the
    weights of Keras layers, trained or not, and modified by learning rules or not. Not
    among them are the decoders of the connections that Nengo makes for Probes (they are
    computed from the ensemble when it is built).

    Parameters
    ----------
    tensor_graph : TensorGraph
        The compiled network.

    Returns
    -------
    parameters : list of Parameter
        In the order of the network.
    """
    model = tensor_graph.model
    if model.toplevel is None:
        return []
    names = built_names(model), built_names(model, use_labels=False)
    return [
        *_signal_parameters(tensor_graph, *names),
        *_layer_parameters(tensor_graph, *names),
    ]


def _signal_parameters(
    tensor_graph: TensorGraph, names: Mapping[Any, str], positions: Mapping[Any, str]
) -> Iterator[Parameter]:
    for obj, signal, configs in parameter_signals(tensor_graph.model):
        owner, attr = _owner_and_name(obj)
        shape = dense_values(signal).shape
        minibatched = bool(is_minibatched(signal))
        if minibatched:
            shape = (tensor_graph.minibatch_size, *shape)
        yield Parameter(
            f"{names[owner]}.{attr}",
            f"{positions[owner]}.{attr}",
            owner.label,
            signal,
            shape,
            minibatched,
            sparse_indices(signal)[0] if signal.sparse else None,
            _checked_scale(scale_setting(configs, obj), shape, obj),
            stored_dtype(signal, tensor_graph.settings.dtype),
        )


def _checked_scale(
    scale: np.ndarray | None, shape: tuple[int, ...], obj: Any
) -> np.ndarray | None:
    if scale is None:
        return None
    try:
        np.broadcast_to(scale, shape)
    except ValueError as err:
        raise ValidationError(
            f"must have a shape that can be broadcast to that of a parameter of {obj}, "
            f"{shape} (received: {scale.shape})",
            attr="parameter_scale",
        ) from err
    return scale


def _layer_parameters(
    tensor_graph: TensorGraph, names: Mapping[Any, str], positions: Mapping[Any, str]
) -> Iterator[Parameter]:
    for node, attr, key, i, weight in layer_weights(tensor_graph):
        yield Parameter(
            f"{names[node]}.{attr}",
            f"{positions[node]}.weights[{i}]",
            node.label,
            weight,
            tuple(weight.shape),
            dtype=FILE_TYPES.get(weight.dtype, weight.dtype),
            key=f"{names[node]}.{key}",
        )


def layer_weights(
    tensor_graph: TensorGraph,
) -> Iterator[tuple[TensorNode, str, str, int, keras.Variable]]:
    """
    Yield the weights of all Keras layers in TensorNodes.

    Yields
    ------
    node : TensorNode
        The (first) node that holds the layer.
    name, key : str
        Name of the weight, and what it is recognised by; see `.weight_names`.
    i : int
        Position of the weight in the layer.
    weight : keras.Variable
        The weight.
    """
    seen: set[int] = set()
    for node, layer in tensor_graph.tensor_nodes.items():
        if node not in tensor_graph.model.params:
            continue  # added since
        parts = zip(*weight_names(layer), layer.weights)
        for i, (name, key, weight) in enumerate(parts):
            if id(weight) not in seen:
                seen.add(id(weight))
                yield node, name, key, i, weight


def _owner_and_name(obj: Any) -> tuple[Any, str]:
    if isinstance(obj, nengo.ensemble.Neurons):
        return obj.ensemble, "bias"
    return obj, "encoders" if isinstance(obj, nengo.Ensemble) else "weights"


def is_used(tensor_graph: TensorGraph, parameter: Parameter) -> bool:
    """Return whether the simulation depends on a parameter."""
    source = parameter.source
    if isinstance(source, Signal):
        return source.base in tensor_graph.program.layout.places
    return True


def read_values(
    tensor_graph: TensorGraph, parameters: Sequence[Parameter]
) -> list[np.ndarray]:
    """Return the live values of parameters, each of the shape of the parameter."""
    return [_read(tensor_graph, parameter) for parameter in parameters]


def _read(tensor_graph: TensorGraph, parameter: Parameter) -> np.ndarray:
    source = parameter.source
    if not isinstance(source, Signal):
        return source.numpy().astype(parameter.dtype)
    value = tensor_graph.values.live_value(source)
    if value is None:  # optimised away
        value = dense_values(source)
    return np.broadcast_to(value, parameter.shape)


def write_values(
    tensor_graph: TensorGraph, values: Mapping[Parameter, np.ndarray]
) -> None:
    """
    Set the values of parameters.

    Parameters
    ----------
    tensor_graph : TensorGraph
        The compiled network.
    values : dict of {Parameter: array}
        The values, each of the shape of the parameter.
    """
    places = tensor_graph.program.layout.places
    signals = [p.source for p in values if isinstance(p.source, Signal)]
    changed = {places[s.base][0] for s in signals if s.base in places}
    arrays = tensor_graph.values.get_arrays(changed)
    for parameter, value in values.items():
        source = parameter.source
        if not isinstance(source, Signal):
            source.assign(value)
        elif is_used(tensor_graph, parameter):
            key, start, stop = places[source.base]
            _write_part(arrays[key], parameter, (start, stop), value)
        else:
            tensor_graph.values.removed_parameters[source] = value
    tensor_graph.values.set_arrays(arrays)


def _write_part(
    array: np.ndarray, parameter: Parameter, rows: tuple[int, int], value: np.ndarray
) -> None:
    """Write the value of a signal (or view) into its base array."""
    signal = parameter.source
    n_items = len(array) if parameter.minibatched else 1
    row_size = math.prod(array.shape[1 + parameter.minibatched :])
    start, stop = (row * row_size for row in rows)
    elements: Any = slice(start, stop)
    if signal.base is not signal:
        elements = start + element_positions(signal)
    array.reshape(n_items, -1)[:, elements] = np.reshape(value, (n_items, -1))
