"""
Converters of what only moves elements: Flatten, Cropping, slices, transpositions, ...

In: any layer or operation every element of whose output is one of its input, or zero.
Out: connections without weights. What goes where is found out by computing the
operation on the numbers of the elements.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import nengo
import numpy as np
import tensorflow as tf

from nengo_dl.converter.activations import operation_class
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.elements import as_slice
from nengo_dl.converter.registry import register
from nengo_dl.converter.trials import why_not_one_by_one
from nengo_dl.converter.vector_call import fill


class ConvertRearrangement(LayerConverter):
    """What moves, repeats and leaves out elements of any number of inputs."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse what moves elements between items of a batch, or steps in time."""
        for call in converter.calls_of(layer):
            reason = why_not_one_by_one(call, converter.temporal_model)
            if reason is not None:
                return False, reason
        return super().convertible(layer, converter)

    def convert(self, node_id: int) -> Any:
        """Make a Node for every output, or return the input if it is unchanged."""
        call = self.call(node_id)
        sources = self._sources(node_id)
        n_inputs = len(call.inputs)
        if len(sources) == n_inputs == 1 and _is_identity(
            sources[0], self._sizes(call.inputs)[0]
        ):
            return self.get_input_obj(node_id)
        nodes = []
        for index, places in enumerate(sources):
            suffix = f".{index}" if len(sources) > 1 else ""
            nodes.append(self.add_node(node_id, suffix, places.size))
            self._connect(node_id, nodes[-1], places)
        return nodes if len(nodes) > 1 else nodes[0]

    def _sizes(self, tensors: list[keras.KerasTensor]) -> list[int]:
        n_dropped = 2 if self.converter.temporal_model else 1
        return [math.prod(tensor.shape[n_dropped:]) for tensor in tensors]

    def _sources(self, node_id: int) -> list[np.ndarray]:
        """
        Return where the elements of the outputs come from.

        Returns
        -------
        sources : list of (size,) array of int
            For every output, positions in all inputs, flat and side by side; -1 for
            elements that are zero.
        """
        call = self.call(node_id)
        n_dropped = 2 if self.converter.temporal_model else 1
        values, start = [], 1
        for tensor, size in zip(call.inputs, self._sizes(call.inputs)):
            shape = (1,) * n_dropped + tuple(tensor.shape[n_dropped:])
            numbers = np.arange(start, start + size, dtype=np.int32)
            values.append(tf.constant(numbers.reshape(shape)))
            start += size
        args, kwargs = fill(call, values)
        outputs = filter(tf.is_tensor, tf.nest.flatten(self.layer(*args, **kwargs)))
        return [keras.ops.convert_to_numpy(x).ravel() - 1 for x in outputs]

    def _connect(self, node_id: int, node: nengo.Node, places: np.ndarray) -> None:
        """Connect a Node with all inputs that it has elements of."""
        start = 0
        for index, size in enumerate(self._sizes(self.call(node_id).inputs)):
            (targets,) = np.nonzero((start <= places) & (places < start + size))
            if targets.size:
                pre = self.get_input_obj(node_id, index)
                conn = nengo.Connection(
                    pre[as_slice(places[targets] - start)],
                    node[as_slice(targets)],
                    synapse=self.converter.synapse_from(pre),
                )
                self.set_trainable(conn, False)
            start += size


def _is_identity(places: np.ndarray, size: int) -> bool:
    return places.size == size and bool((places == np.arange(size)).all())


class ConvertPad(ConvertRearrangement):
    """Padding with zeros or elements."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse padding with other constants."""
        for call in converter.calls_of(layer):
            if np.any(call.kwargs.get("constant_values") or 0):
                return False, "it pads with values that are not zero"
        return super().convertible(layer, converter)


# One call of each operation; names that older versions of Keras lack are left out.
_EXAMPLES = {
    "broadcast_to": lambda x: keras.ops.broadcast_to(x, (1, 2)),
    "concatenate": lambda x: keras.ops.concatenate([x, x], -1),
    "expand_dims": lambda x: keras.ops.expand_dims(x, 1),
    "flip": lambda x: keras.ops.flip(x, 1),
    "getitem": lambda x: x[:, :1],
    "moveaxis": lambda x: keras.ops.moveaxis(x, 1, 0),
    "ravel": keras.ops.ravel,
    "repeat": lambda x: keras.ops.repeat(x, 2, 1),
    "reshape": lambda x: keras.ops.reshape(x, (-1, 1, 2)),
    "roll": lambda x: keras.ops.roll(x, 1, 1),
    "split": lambda x: keras.ops.split(x, 2, 1)[0],
    "squeeze": lambda x: keras.ops.squeeze(keras.ops.expand_dims(x, 1), 1),
    "stack": lambda x: keras.ops.stack([x, x], 1),
    "swapaxes": lambda x: keras.ops.swapaxes(x, 0, 1),
    "take": lambda x: keras.ops.take(x, [0], axis=1),
    "tile": lambda x: keras.ops.tile(x, (1, 2)),
    "transpose": keras.ops.transpose,
    "unstack": lambda x: keras.ops.unstack(x, axis=1)[0],
}

for _name, _example in _EXAMPLES.items():
    if _name == "getitem" or hasattr(keras.ops, _name):
        register(operation_class(_example))(ConvertRearrangement)
register(operation_class(lambda x: keras.ops.pad(x, ((0, 0), (1, 1)))))(ConvertPad)


class ConvertUpSampling(ConvertRearrangement):
    """Upsampling that repeats elements."""

    unsupported_args = (("interpolation", "nearest"),)


@register(keras.layers.Concatenate)
class ConvertConcatenate(ConvertRearrangement):
    """Concatenations."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse the axis of the batch."""
        axis = getattr(layer, "axis", None)
        for call in converter.calls_of(layer):
            if axis in (0, -len(call.outputs[0].shape)):
                return False, f"cannot concatenate along batch dimension (axis {axis})"
        return super().convertible(layer, converter)


for _name in ("Reshape", "Flatten", "Permute", "RepeatVector"):
    register(getattr(keras.layers, _name))(ConvertRearrangement)
for _n_axes in (1, 2, 3):
    register(getattr(keras.layers, f"Cropping{_n_axes}D"))(ConvertRearrangement)
    register(getattr(keras.layers, f"ZeroPadding{_n_axes}D"))(ConvertRearrangement)
    register(getattr(keras.layers, f"UpSampling{_n_axes}D"))(ConvertUpSampling)
