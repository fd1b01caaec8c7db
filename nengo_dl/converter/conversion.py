"""
What the converters of layers work with: options, and the objects made so far.

In: the options of the user. Out: `Conversion`, the part of a `Converter` that stays the
same for all layers, and a `Scope` for every model that is converted, nested ones
included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import nengo
from nengo.exceptions import ValidationError

from nengo_dl.converter.activations import Activations
from nengo_dl.converter.keras_graph import Call, KerasGraph
from nengo_dl.converter.mappings import KerasTensorDict, TrackedDict

# The steps (seconds) for which the gains of spiking neurons with a given threshold are
# computed; with other steps, their rates are the same.
DT = 0.001


class Scope:
    """
    The objects of one model, or of one call of a nested model.

    Parameters
    ----------
    graph : KerasGraph
        The calls of the model.
    path : tuple of Call
        The calls of the nested models that lead here.

    Attributes
    ----------
    objects : dict of {int: object}
        By ``id(tensor)``, the Nengo object that represents a tensor of the graph.
    inner_calls : dict of {(int, int): Call}
        By ``(id(layer), node_id)``, calls of layers inside of layers.
    """

    def __init__(self, graph: KerasGraph, path: tuple[Call, ...] = ()):
        self.graph = graph
        self.path = path
        self.objects: dict[int, Any] = {}
        self.inner_calls: dict[tuple[int, int], Call] = {}

    def call(self, layer: keras.Operation, node_id: int) -> Call:
        """Return a call of a layer."""
        inner = self.inner_calls.get((id(layer), node_id))
        return self.graph.calls_of(layer)[node_id] if inner is None else inner


class Conversion:
    """
    Options of a conversion, and how far it has got.

    Parameters
    ----------
    options
        See `.Converter`.

    Attributes
    ----------
    scopes : list of Scope
        The models that are being converted, the innermost one last.
    model, graph, net, neurons, connections, decisions, calibration
        See `.Converter`.
    all_calls : dict of {int: list of Call}
        By ``id(layer)``, all calls that are planned.
    fusions : dict of {int: Call}
        By ``id(call)``, the batch normalization that the layer of a call takes over.
    kept_layers : list of keras.layers.Layer
        Layers with weights that are in the network themselves, as Keras cannot copy
        them.
    """

    model: keras.Model
    graph: KerasGraph
    inputs: KerasTensorDict
    outputs: KerasTensorDict
    net: nengo.Network
    neurons: dict[tuple[Call, ...], nengo.ensemble.Neurons]
    connections: dict[tuple[Call, ...], list[nengo.Connection]]
    decisions: dict[int, Any]
    calibration: Any = None

    def __init__(
        self,
        allow_fallback: bool = True,
        inference_only: bool = False,
        max_to_avg_pool: bool = False,
        split_shared_weights: bool = False,
        swap_activations: Mapping | None = None,
        scale_firing_rates: float | Mapping[keras.layers.Layer, float] | None = None,
        synapse: Any = None,
        temporal_model: bool = False,
        fuse_batch_normalization: bool = False,
    ):
        if fuse_batch_normalization and not inference_only:
            raise ValidationError(
                "needs `inference_only=True`: batch normalization is another function "
                "in training",
                attr="fuse_batch_normalization",
            )
        self.allow_fallback = allow_fallback
        self.inference_only = inference_only
        self.max_to_avg_pool = max_to_avg_pool
        self.split_shared_weights = split_shared_weights
        self.swap_activations = TrackedDict(swap_activations or {})
        self.scale_firing_rates = scale_firing_rates
        self.synapse = synapse
        self.temporal_model = temporal_model
        self.fuse_batch_normalization = fuse_batch_normalization
        self.activations = Activations(self.swap_activations)
        self.scopes: list[Scope] = []
        self.all_calls: dict[int, list[Call]] = {}
        self.fusions: dict[int, Call] = {}
        self.kept_layers: list[keras.layers.Layer] = []

    def convert_graph(
        self,
        graph: KerasGraph,
        inputs: list[Any],
        model: keras.Model,
        path: tuple[Call, ...] = (),
    ) -> KerasTensorDict:
        """Make the objects of all calls of a model; see `.Converter`."""
        raise NotImplementedError

    def get_converter(self, layer: keras.Operation) -> Any:
        """Return the converter of a layer; see `.Converter`."""
        raise NotImplementedError

    def call(self, layer: keras.Operation, node_id: int) -> Call:
        """Return a call of a layer in the innermost model."""
        return self.scopes[-1].call(layer, node_id)

    def calls_of(self, layer: keras.Operation) -> list[Call]:
        """Return all calls of a layer, in the model and in those nested in it."""
        return self.all_calls.get(id(layer), [])

    def object_of(self, tensor: keras.KerasTensor) -> Any:
        """Return the Nengo object of a tensor of the innermost model."""
        return self.scopes[-1].objects[id(tensor)]

    def scale_of(self, layer: keras.Operation) -> float:
        """Return the factor on the firing rates of a layer."""
        scale = self.scale_firing_rates
        if isinstance(scale, Mapping):
            scale = scale.get(layer)
        return 1 if scale is None else scale

    def synapse_from(self, obj: nengo.base.NengoObject) -> Any:
        """Return the synapse of what comes from an object: only neurons have one."""
        target = obj.obj if isinstance(obj, nengo.base.ObjView) else obj
        return self.synapse if isinstance(target, nengo.ensemble.Neurons) else None
