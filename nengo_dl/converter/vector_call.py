"""
A call of a Keras layer as a function of one vector.

In: a layer or operation, and one of its calls in a model, with any number of tensors
and other arguments. Out: a `VectorCall`, a layer that takes all tensors side by side in
one vector, as a TensorNode does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from nengo_dl.converter.keras_graph import Call, call_op, is_keras_tensor


def fill(call: Call, values: Sequence[Any]) -> tuple[tuple, dict[str, Any]]:
    """
    Return the arguments of a call, with other values in place of its tensors.

    Parameters
    ----------
    call : Call
        The call.
    values : list of object
        One for each of ``call.inputs``.

    Returns
    -------
    args : tuple
    kwargs : dict
    """
    remaining = iter(values)
    return tf.nest.map_structure(
        lambda value: next(remaining) if is_keras_tensor(value) else value,
        (call.args, call.kwargs),
    )


class VectorCall(keras.layers.Layer):
    """
    Calls a layer or operation, given all tensors of the call in one vector.

    Parameters
    ----------
    op : keras.Operation
        The layer (or a copy), or operation.
    call : Call
        The call that is repeated.
    temporal : bool
        Whether the tensors of the call have an axis of time, which the vector lacks:
        the layer is then called for one step.
    name : str
        Name of the layer.

    Notes
    -----
    All numbers in the vector are floats. They are rounded where the layer takes
    integers, which is exact for integers up to 2**24 in a network of type float32.
    """

    def __init__(self, op: keras.Operation, call: Call, temporal: bool, name: str):
        super().__init__(name=name, autocast=False)
        self.op = op
        self.planned = _Planned(call)
        self.n_dropped = 2 if temporal else 1
        self.supports_jit = getattr(op, "supports_jit", True)
        # everything that is built is in `op`
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        """
        Call the layer.

        Parameters
        ----------
        x : (batch_size, size) tensor
            All tensors of the call, flat and side by side.
        training : bool
            Whether the layer behaves as in training.

        Returns
        -------
        y : (batch_size, size_out) tensor
            All tensors of the output, flat and side by side.
        """
        call = self.planned.call
        shapes = [tuple(tensor.shape[self.n_dropped :]) for tensor in call.inputs]
        parts = tf.split(x, [math.prod(shape) for shape in shapes], axis=-1)
        time = (1,) * (self.n_dropped - 1)
        values = [
            _cast(tf.reshape(part, (x.shape[0], *time, *shape)), tensor.dtype)
            for part, shape, tensor in zip(parts, shapes, call.inputs)
        ]
        args, kwargs = fill(call, values)
        output = call_op(self.op, args, kwargs, bool(training))
        outputs = filter(tf.is_tensor, tf.nest.flatten(output))
        flat = [tf.reshape(tf.cast(y, x.dtype), (x.shape[0], -1)) for y in outputs]
        return flat[0] if len(flat) == 1 else tf.concat(flat, axis=-1)


class _Planned:
    """Hides a call from Keras, which would track the tensors in its arguments."""

    def __init__(self, call: Call):
        self.call = call


def _cast(x: tf.Tensor, dtype: str) -> tf.Tensor:
    is_integer = tf.as_dtype(dtype).is_integer
    return tf.cast(tf.round(x) if is_integer else x, dtype)
