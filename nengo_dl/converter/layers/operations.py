"""
Converters of operations in the graph that are linear: arithmetic, sums, and means.

In: operations such as ``x + 1`` or ``keras.ops.mean(x, axis=1)``. Out: Nodes, with
connections of fixed weights.
"""

from __future__ import annotations

from typing import Any

import keras
import nengo
import numpy as np

from nengo_dl.converter.activations import operation_class
from nengo_dl.converter.conversion import Conversion
from nengo_dl.converter.keras_graph import Call, is_keras_tensor
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.rearrangement import as_slice
from nengo_dl.converter.registry import CONVERTERS, register
from nengo_dl.converter.trials import why_not_one_by_one


class ConvertLinear(LayerConverter):
    """Base of converters of operations with one output."""

    @classmethod
    def convertible(
        cls, layer: keras.Operation, converter: Conversion
    ) -> tuple[bool, str | None]:
        """Refuse what is not linear, or mixes items or steps."""
        for call in converter.calls_of(layer):
            reason = cls.why_not_linear(call) or why_not_one_by_one(
                call, converter.temporal_model
            )
            if reason is not None:
                return False, reason
        return True, None

    @classmethod
    def why_not_linear(cls, call: Call) -> str | None:
        """Say why a call is not linear; None if it is."""
        if not all("float" in tensor.dtype for tensor in [*call.inputs, *call.outputs]):
            return "it computes with integers"
        return None

    def full_shape(self, tensor: keras.KerasTensor) -> tuple[int, ...]:
        """Return the shape of one item, and one step, with axes for both."""
        n = 2 if self.converter.temporal_model else 1
        return (1,) * n + tuple(tensor.shape[n:])

    def connect(
        self,
        node_id: int,
        node: nengo.Node,
        index: int,
        factors: Any = 1,
    ) -> None:
        """
        Add an input to a Node, broadcast to its shape.

        Parameters
        ----------
        node_id : int
            Which call of the operation.
        node : nengo.Node
            The Node.
        index : int
            Which input of the call.
        factors : float or array
            What to multiply with; broadcast to the shape of the output.
        """
        call = self.call(node_id)
        shape = self.full_shape(call.outputs[0])
        pre = self.get_input_obj(node_id, index)
        numbers = np.arange(pre.size_out).reshape(self.full_shape(call.inputs[index]))
        places = np.broadcast_to(numbers, shape).ravel()
        synapse = self.converter.synapse_from(pre)
        if numbers.size < places.size:
            pre = pre[as_slice(places)]
        conn = nengo.Connection(
            pre, node, synapse=synapse, transform=_transform(factors, shape)
        )
        self.set_trainable(conn, False)


def _transform(factors: Any, shape: tuple[int, ...]) -> Any:
    """Return factors on all elements, one number if they are the same."""
    array = np.asarray(factors, dtype=float)
    if (array == array.flat[0]).all():
        factor = float(array.flat[0])
        return None if factor == 1 else factor
    return np.broadcast_to(array, shape).ravel()


class ConvertArithmetic(ConvertLinear):
    """Base of converters of operations on two tensors, or one and a constant."""

    @classmethod
    def why_not_linear(cls, call: Call) -> str | None:
        """Refuse other numbers of arguments, and what subclasses refuse."""
        if len(call.args) != 2 or call.kwargs:
            return "it is called with options"
        return super().why_not_linear(call)

    @classmethod
    def terms(cls, call: Call) -> list[Any]:
        """Return both arguments, constants as arrays, and tensors as they are."""
        return [
            arg if is_keras_tensor(arg) else _constant(arg, call) for arg in call.args
        ]


def _constant(value: Any, call: Call) -> np.ndarray:
    """Return a constant as Keras computes with it, in the type of the output."""
    array = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
    return array.astype(call.outputs[0].dtype).astype(float)


class ConvertAdd(ConvertArithmetic):
    """Sums."""

    signs = (1, 1)

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the terms, the constant one as biases."""
        call = self.call(node_id)
        shape = self.full_shape(call.outputs[0])
        node = self.add_node(node_id)
        index = 0
        for sign, term in zip(self.signs, self.terms(call)):
            if is_keras_tensor(term):
                self.connect(node_id, node, index, sign)
                index += 1
            else:
                biases = np.broadcast_to(sign * term, shape).ravel()
                self.add_biases(node_id, node, biases, trainable=False)
        return node


class ConvertSubtract(ConvertAdd):
    """Differences."""

    signs = (1, -1)


class ConvertMultiply(ConvertArithmetic):
    """Products of a tensor and a constant."""

    @classmethod
    def why_not_linear(cls, call: Call) -> str | None:
        """Refuse products of tensors."""
        if len(call.inputs) == 2:
            return "it multiplies two tensors, which is not linear"
        return super().why_not_linear(call)

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the tensor."""
        (factors,) = (
            term for term in self.terms(self.call(node_id)) if not is_keras_tensor(term)
        )
        node = self.add_node(node_id)
        self.connect(node_id, node, 0, factors)
        return node


class ConvertDivide(ConvertArithmetic):
    """Quotients of a tensor and a constant."""

    @classmethod
    def why_not_linear(cls, call: Call) -> str | None:
        """Refuse divisors that are not constant and other than zero."""
        if is_keras_tensor(call.args[-1]):
            return "it divides by a tensor, which is not linear"
        if not np.all(_constant(call.args[-1], call)):
            return "it divides by zero"
        return super().why_not_linear(call)

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the tensor."""
        _, divisors = self.terms(self.call(node_id))
        node = self.add_node(node_id)
        self.connect(node_id, node, 0, 1 / divisors)
        return node


class ConvertNegative(ConvertLinear):
    """Changes of the sign."""

    def convert(self, node_id: int) -> nengo.Node:
        """Connect the tensor."""
        node = self.add_node(node_id)
        self.connect(node_id, node, 0, -1)
        return node


class ConvertSum(ConvertLinear):
    """Sums over axes."""

    is_mean = False

    def convert(self, node_id: int) -> nengo.Node:
        """Make a sparse connection with one weight for every element of the input."""
        shape = self.full_shape(self.call(node_id).inputs[0])
        axes = self.layer.axis
        axes = tuple(axes) if isinstance(axes, (list, tuple)) else (axes,)
        summed = [axis % len(shape) for axis in axes]
        kept = [1 if axis in summed else n for axis, n in enumerate(shape)]
        size, n_in = int(np.prod(kept)), int(np.prod(shape))
        rows = np.broadcast_to(np.arange(size).reshape(kept), shape).ravel()
        weight = size / n_in if self.is_mean else 1.0
        transform = nengo.Sparse(
            (size, n_in),
            indices=np.stack([rows, np.arange(n_in)], axis=1),
            init=np.full(n_in, weight),
        )
        node = self.add_node(node_id)
        self.add_connection(node_id, node, transform=transform)
        return node


class ConvertMean(ConvertSum):
    """Means over axes."""

    is_mean = True


for _example, _converter in (
    (lambda x: x + 1, ConvertAdd),
    (lambda x: x - 1, ConvertSubtract),
    (lambda x: x * 2, ConvertMultiply),
    (lambda x: x / 2, ConvertDivide),
    (lambda x: -x, ConvertNegative),
    (lambda x: keras.ops.sum(x, axis=1), ConvertSum),
    (lambda x: keras.ops.mean(x, axis=1), ConvertMean),
):
    register(operation_class(_example))(_converter)
_DIVIDE = operation_class(lambda x: keras.ops.divide(x, 2))
if _DIVIDE not in CONVERTERS:
    register(_DIVIDE)(ConvertDivide)
