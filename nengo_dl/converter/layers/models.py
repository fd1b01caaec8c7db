"""Converters of models that are layers of a model."""

from __future__ import annotations

import keras
import nengo

from nengo_dl.converter.keras_graph import FUNCTIONAL
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register


@register(FUNCTIONAL)
class ConvertModel(LayerConverter):
    """Nested models: a network for every call, with networks for inputs and outputs."""

    def convert(self, node_id: int) -> nengo.Network:
        """Make the network."""
        scope, call = self.converter.scopes[-1], self.call(node_id)
        graph = scope.graph.nested[id(self.layer)]
        inputs = [
            self.get_input_obj(node_id, index) for index in range(len(call.inputs))
        ]
        with nengo.Network(label=self.name(node_id)) as net:
            net.layers = self.converter.convert_graph(
                graph, inputs, self.layer, (*scope.path, call)
            )
        return net


@register(keras.Sequential)
class ConvertSequential(ConvertModel):
    """Sequential models inside of a model."""
