"""
Converters of layers that merge several inputs, linearly: Add, Subtract, Average.

Products and maxima of several inputs are no connections, and are not converted here.
"""

from __future__ import annotations

from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.elements import positions
from nengo_dl.converter.registry import register


class ConvertSum(LayerConverter):
    """Base of weighted sums: all inputs are connected to one Node."""

    def factors(self, n_inputs: int) -> list[float]:
        """Return the factor of every input."""
        raise NotImplementedError

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the inputs, with a factor each."""
        node = self.add_node(node_id)
        tensors = self.call(node_id).inputs
        for index, factor in enumerate(self.factors(len(tensors))):
            pre = self.get_input_obj(node_id, index)
            if factor != 1:
                transform: Any = factor
            else:
                transform = nengo.transforms.NoTransform(node.size_in)
            conn = nengo.Connection(
                self._repeated(node_id, index, pre),
                node,
                synapse=self.converter.synapse_from(pre),
                transform=transform,
            )
            self.set_trainable(conn, False)
        return node

    def _repeated(self, node_id: int, index: int, pre: Any) -> Any:
        """Return an input, with elements repeated as broadcasting does."""
        shapes = self._shapes(self.call(node_id).inputs, full_shape=False)
        shape = shapes[index] if isinstance(shapes, list) else shapes
        output_shape = self.output_shape(node_id)
        if shape == output_shape:
            return pre
        return pre[np.broadcast_to(positions(shape), output_shape).ravel()]


@register(keras.layers.Add)
class ConvertAdd(ConvertSum):
    """Sums."""

    def factors(self, n_inputs: int) -> list[float]:
        """Return ones."""
        return [1] * n_inputs


@register(keras.layers.Subtract)
class ConvertSubtract(ConvertSum):
    """Differences of two inputs."""

    def factors(self, n_inputs: int) -> list[float]:
        """Return the signs."""
        return [1, -1]


@register(keras.layers.Average)
class ConvertAverage(ConvertSum):
    """Averages."""

    def factors(self, n_inputs: int) -> list[float]:
        """Return one part each."""
        return [1 / n_inputs] * n_inputs
