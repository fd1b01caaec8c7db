"""The converter of layers and operations that have no other: TensorNodes."""

from __future__ import annotations

import math
from typing import Any

import keras
import nengo
import tensorflow as tf

from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.registry import register
from nengo_dl.converter.trials import TIME, why_not_one_by_one, why_not_separable
from nengo_dl.converter.vector_call import VectorCall, fill
from nengo_dl.tensor_node import TensorNode


@register(None)
class ConvertFallback(LayerConverter):
    """
    Anything else: a copy of the layer in a TensorNode.

    All calls of the layer share the copy, and with it the weights. Layers that Keras
    cannot copy, and those without weights, are used themselves: training the network
    trains them in the Keras model as well.
    """

    _copy: Any = None

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Say whether a TensorNode can compute all calls of a layer."""
        reason = _why_not(layer)
        for call in converter.calls_of(layer):
            reason = reason or _why_not_call(call, converter.temporal_model)
        return reason is None, reason

    def convert(self, node_id: int) -> Any:
        """Make the TensorNode, and a Node for each output if there are several."""
        call = self.call(node_id)
        if self._copy is None:
            self._copy = copy_layer(self.layer, call)
            if self._copy is self.layer and getattr(self.layer, "weights", None):
                self.converter.kept_layers.append(self.layer)
        if self._is_simple(call):
            node = TensorNode(
                self._copy,
                shape_in=self.input_shape(node_id),
                shape_out=self.output_shape(node_id),
                pass_time=False,
                label=self.name(node_id),
            )
            self.add_connection(node_id, node)
            return node
        return self._add_vector_call(node_id, call)

    def _is_simple(self, call: Call) -> bool:
        """Return whether the layer can be called with the input of the node."""
        tensors = [*call.inputs, *call.outputs]
        return (
            isinstance(self.layer, keras.layers.Layer)
            and call.is_plain
            and call.output is call.outputs[0]
            and not self.converter.temporal_model
            and all(tf.as_dtype(tensor.dtype).is_floating for tensor in tensors)
            and len(call.inputs[0].shape) > 1
        )

    def _add_vector_call(self, node_id: int, call: Call) -> Any:
        sizes = [self._size(tensor) for tensor in call.inputs]
        shape_out = (sum(map(self._size, call.outputs)),)
        if len(call.outputs) == 1:
            shape_out = self.output_shape(node_id) or (1,)
        name = self.name(node_id)
        temporal = self.converter.temporal_model
        node = TensorNode(
            VectorCall(self._copy, call, temporal, name.replace("/", "_")),
            shape_in=(sum(sizes),),
            shape_out=shape_out,
            pass_time=False,
            label=name,
        )
        start = 0
        for index, size in enumerate(sizes):
            part = node[start : start + size] if len(sizes) > 1 else node
            self.add_connection(node_id, part, input_idx=index)
            start += size
        return node if len(call.outputs) == 1 else self._outputs(node, node_id, call)

    def _size(self, tensor: keras.KerasTensor) -> int:
        return math.prod(tensor.shape[2 if self.converter.temporal_model else 1 :])

    def _outputs(self, node: TensorNode, node_id: int, call: Call) -> list[nengo.Node]:
        """Add a Node for each output."""
        nodes, start = [], 0
        for index, tensor in enumerate(call.outputs):
            size = self._size(tensor)
            nodes.append(self.add_node(node_id, f".{index}", size))
            conn = nengo.Connection(node[start : start + size], nodes[-1], synapse=None)
            self.set_trainable(conn, False)
            start += size
        return nodes


def copy_layer(layer: keras.Operation, call: Call) -> keras.Operation:
    """
    Return a layer with weights of its own that have the same values.

    Parameters
    ----------
    layer : keras.Operation
        A layer, or an operation.
    call : Call
        One of its calls.

    Returns
    -------
    copy : keras.Operation
        The layer itself if there is nothing to copy, or Keras cannot do that.
    """
    if not isinstance(layer, keras.layers.Layer) or not layer.variables:
        return layer
    symbols = [keras.KerasTensor(t.shape, t.dtype) for t in call.inputs]
    args, kwargs = fill(call, symbols)
    try:
        copy = type(layer).from_config(layer.get_config())
        copy(*args, **kwargs)  # builds it
        copy.set_weights(layer.get_weights())
    except (NotImplementedError, TypeError, ValueError):
        # arguments that are not in its configuration: it is used by both
        return layer
    for ours, theirs in zip(copy.weights, layer.weights):
        ours.trainable = theirs.trainable
    return copy


def _why_not(layer: keras.Operation) -> str | None:
    """Say what a TensorNode cannot do for any call of a layer."""
    if getattr(layer, "stateful", False):
        return "stateful has value True != False (Nengo resets the state of layers)"
    return None


def _why_not_call(call: Call, temporal: bool) -> str | None:
    """Say why a TensorNode cannot compute a call."""
    tensors = [*call.inputs, *call.outputs]
    for tensor in tensors:
        if not _is_real(tensor):
            return f"it works on values of type {tensor.dtype}; Nengo has numbers only"
    if _makes_mask(call):
        return "it makes masks, which Nengo does not have"
    n_dropped = 2 if temporal else 1
    if any(None in tensor.shape[n_dropped:] for tensor in tensors):
        return "the shape of its input or output is not known"
    if any(len(tensor.shape) < n_dropped for tensor in tensors):
        return "its output has no axis for the batch" + (
            " or for time, so that it mixes steps in time" if temporal else ""
        )
    if isinstance(call.op, keras.layers.Layer):
        # it works item by item, by the rules of Keras
        return why_not_separable(call, TIME) if temporal else None
    return why_not_one_by_one(call, temporal)


def _makes_mask(call: Call) -> bool:
    layer = call.op
    if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
        return True
    method = getattr(type(layer), "compute_mask", None)
    if method is None or method.__module__.partition(".")[0] == "keras":
        return False
    symbols = [keras.KerasTensor(t.shape, t.dtype) for t in call.inputs]
    args, _ = fill(call, symbols)
    return any(
        mask is not None for mask in tf.nest.flatten(layer.compute_mask(args[0]))
    )


def _is_real(tensor: keras.KerasTensor) -> bool:
    dtype = tf.as_dtype(tensor.dtype)
    return dtype.is_floating or dtype.is_integer or dtype.is_bool
