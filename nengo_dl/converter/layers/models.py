"""Converters of models that are layers of a model."""

from __future__ import annotations

import keras
import nengo

from nengo_dl.converter.converter import Converter
from nengo_dl.converter.keras_graph import FUNCTIONAL
from nengo_dl.converter.layer_converter import LayerConverter


@Converter.register(FUNCTIONAL)
class ConvertModel(LayerConverter):
    """Nested models: a network for every call, with networks for inputs and outputs."""

    def convert(self, node_id: int) -> nengo.Network:
        """Make the network."""
        graph = self.converter.scopes[-1].graph.nested[id(self.layer)]
        inputs = [
            self.get_input_obj(node_id, index)
            for index in range(len(self.call(node_id).inputs))
        ]
        assert isinstance(self.converter, Converter)
        with nengo.Network(label=self.name(node_id)) as net:
            net.layers = self.converter.convert_graph(graph, inputs, self.layer)
        return net


@Converter.register(keras.Sequential)
class ConvertSequential(ConvertModel):
    """Sequential models inside of a model."""
