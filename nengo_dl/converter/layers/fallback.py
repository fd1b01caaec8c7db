"""The converter of layers that have no other: TensorNodes."""

from __future__ import annotations

from typing import Any

from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register
from nengo_dl.tensor_node import TensorNode


@register(None)
class ConvertFallback(LayerConverter):
    """Anything else: a copy of the layer in a TensorNode, shared by all its calls."""

    _copy: Any = None

    def convert(self, node_id: int) -> TensorNode:
        """Make the TensorNode."""
        if self._copy is None:
            self._copy = type(self.layer).from_config(self.layer.get_config())
            if self.layer.built:
                self._copy.build_from_config(self.layer.get_build_config())
                self._copy.set_weights(self.layer.get_weights())
        node = TensorNode(
            self._copy,
            shape_in=self.input_shape(node_id),
            shape_out=self.output_shape(node_id),
            pass_time=False,
            label=self.name(node_id),
        )
        self.add_connection(node_id, node)
        return node
