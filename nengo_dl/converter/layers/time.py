"""
Converters of layers that have to do with time.

In: layers that apply another layer to every step in time. Out: the objects of that
layer, as Nengo's simulation steps are the steps in time.
"""

from __future__ import annotations

from typing import Any

import keras

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call, is_graph
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.planning import NATIVE, decide
from nengo_dl.converter.registry import CONVERTERS, register


@register(keras.layers.TimeDistributed)
class ConvertTimeDistributed(LayerConverter):
    """
    The same layer for every step in time: the objects of that layer.

    Where that layer has no native objects, a copy of both is put into a TensorNode.
    """

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse models without time, and inner layers that are not native."""
        wrapper: Any = layer
        if not converter.temporal_model:
            return False, (
                "TimeDistributed layers can only be converted when temporal_model=True"
            )
        if any(len(call.inputs) != 1 for call in converter.calls_of(layer)):
            return False, "it is called with a mask"
        if is_graph(wrapper.layer):
            return False, "the layer in it is a model"
        decision = decide(wrapper.layer, converter, CONVERTERS)
        if decision.kind == NATIVE and decision.activation is None:
            return True, None
        return False, f"the layer in it, {decision.text}"

    @classmethod
    def may_fall_back(cls, layer: keras.Operation, converter: Conversion) -> bool:
        """Return whether steps in time are simulation steps."""
        return converter.temporal_model

    @classmethod
    def inner_calls(cls, call: Call) -> list[Call]:
        """
        Return a call of the inner layer.

        It has the tensors of the outer one, of which converters in temporal models
        leave out the axis of time.
        """
        wrapper: Any = call.op
        return [Call(wrapper.layer, call.node_id, call.args[:1], {}, call.output)]

    def convert(self, node_id: int) -> Any:
        """Make the objects of the inner layer."""
        (inner,) = self.inner_calls(self.call(node_id))
        scope = self.converter.scopes[-1]
        scope.inner_calls[id(inner.op), node_id] = inner
        return self.converter.get_converter(inner.op).convert(node_id)
