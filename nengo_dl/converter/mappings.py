"""
The dictionaries of a converter.

`KerasTensorDict` finds Nengo objects by layers and tensors of a Keras model,
`TrackedDict` remembers which of a user's entries were used.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import keras

from nengo_dl.converter.keras_graph import KerasGraph, is_keras_tensor


class KerasTensorDict(Mapping):
    """
    Nengo objects, by the tensors and layers of a Keras model.

    A key is a tensor of the model, a list or tuple of tensors (the outputs of one call
    of a layer; ``[x]`` and ``(x,)`` are the same key as ``x``), or a layer, which
    stands for the output of its only call.

    Parameters
    ----------
    model : keras.Model
        The model whose tensors are keys.
    graph : KerasGraph
        Its calls.
    """

    def __init__(self, model: keras.Model, graph: KerasGraph):
        self._model = model
        self._graph = graph
        self._objects: dict[tuple, Any] = {}  # by tensors of the graph
        self._networks: dict[tuple, Any] = {}  # of nested models, by their outputs
        self._by_signature: dict[tuple, Any] | None = None
        self._known: dict[keras.KerasTensor, keras.KerasTensor | None] = dict(
            zip([*model.inputs, *model.outputs], [*graph.inputs, *graph.outputs])
        )

    def add(self, tensors: Sequence[keras.KerasTensor], obj: Any) -> None:
        """Add the object for the outputs of a call, tensors of the graph."""
        self._objects[tuple(tensors)] = obj

    def add_network(self, tensors: Sequence[keras.KerasTensor], net: Any) -> None:
        """Add the network for a call of a nested model, by the outputs of the call."""
        self._networks[tuple(tensors)] = net

    def __getitem__(self, key: Any) -> Any:
        """
        Return the object of a layer or of tensors.

        Raises
        ------
        KeyError
            If the key does not belong to the model, or is a layer that is called
            several times.
        """
        if isinstance(key, keras.Operation):
            outputs = self._outputs_of(key)
            return self._networks.get(outputs) or self._objects[outputs]
        tensors = tuple(key) if isinstance(key, (list, tuple)) else (key,)
        if not all(map(is_keras_tensor, tensors)):
            raise KeyError(
                f"{key!r} is neither a layer nor a tensor of the Keras model"
            )
        found = tuple(map(self._find, tensors))
        if found not in self._objects:
            raise KeyError(
                f"{key!r} does not belong to the model {self._model.name!r}, or has "
                "no Nengo object here"
            )
        return self._objects[found]

    def _outputs_of(self, layer: keras.Operation) -> tuple:
        """Return the key of a layer."""
        if isinstance(layer, keras.layers.InputLayer):
            if layer not in self._graph.input_layers:
                raise KeyError(f"{layer.name!r} is not an input of the model")
            key = (self._graph.inputs[self._graph.input_layers.index(layer)],)
        else:
            calls = self._graph.calls_of(layer)
            if len(calls) > 1:
                raise KeyError(
                    f"Layer {layer.name!r} has been called multiple times, so it "
                    "stands for several objects; use the tensor that one of the calls "
                    "returned as the key"
                )
            key = tuple(calls[0].outputs) if calls else ()
        if key not in self._objects:
            raise KeyError(
                f"Layer {layer.name!r} is not a layer of the model "
                f"{self._model.name!r}, or has no Nengo object here"
            )
        return key

    def _find(self, tensor: keras.KerasTensor) -> keras.KerasTensor | None:
        """Return the tensor of the graph that stands for a tensor of the model."""
        if any(tensor is ours for key in self._objects for ours in key):
            return tensor
        if tensor not in self._known:
            # Keras does not say which call a tensor comes from: trace the calls that
            # lead to it, and look for what is computed in the same way
            try:
                graph = KerasGraph(self._model, [tensor])
            except (ValueError, KeyError):  # the latter by Keras 3.3
                return None  # it does not depend on the inputs of the model
            signature = graph.signatures()[id(graph.outputs[0])]
            self._known[tensor] = self._signatures().get(signature)
        return self._known[tensor]

    def _signatures(self) -> dict[tuple, Any]:
        if self._by_signature is None:
            signatures = self._graph.signatures()
            tensors = [t for call in self._graph.calls for t in call.outputs]
            self._by_signature = {
                signatures[id(tensor)]: tensor
                for tensor in reversed([*self._graph.inputs, *tensors])
            }
        return self._by_signature

    def __iter__(self) -> Iterator[tuple]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)


class TrackedDict(Mapping):
    """
    A dictionary that remembers which of its keys were looked up.

    Parameters
    ----------
    entries : dict
        The entries.
    """

    def __init__(self, entries: Mapping):
        self._entries = dict(entries)
        self._used: set = set()

    def __getitem__(self, key: Hashable) -> Any:
        """Return the entry, and count the key as used."""
        value = self._entries[key]
        self._used.add(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def unused_keys(self) -> set:
        """Return the keys that were never looked up."""
        return set(self._entries) - self._used
