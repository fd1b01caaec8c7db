"""
How the function or layer of a TensorNode is called, and what it must return.

In: the time and the input of the node, as tensors. Out: its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from nengo.exceptions import ValidationError

from nengo_dl.tensor_node.operator import SimTensorNode


def tensor_func_name(func: Callable) -> str:
    """Return the name of a function or layer: its ``name``, or else ``__name__``."""
    return getattr(func, "name", getattr(func, "__name__", str(func)))


def call_tensor_func(
    func: Callable, time: tf.Tensor | None, x: tf.Tensor | None, training: bool
) -> Any:
    """
    Call a function, or a layer in the way that Keras calls it.

    Parameters
    ----------
    func : callable or keras.layers.Layer
        What to call.
    time : scalar tf.Tensor or None
        The time in seconds; not passed on if None.
    x : (minibatch_size, ...) tf.Tensor or None
        The input; not passed on if None.
    training : bool
        Whether layers behave as they do when they are trained.

    Returns
    -------
    output : object
        What the function or layer returned.
    """
    args = [arg for arg in (time, x) if arg is not None]
    if isinstance(func, keras.layers.Layer):
        return func(args[0] if len(args) == 1 else args, training=training)
    return func(*args)


def call_layer_with_losses(
    layer: keras.layers.Layer,
    time: tf.Tensor | None,
    x: tf.Tensor | None,
    training: bool,
) -> tuple[Any, list[tf.Tensor]]:
    """
    Call a layer that adds losses of its own (such as regularizers of activity).

    Keras keeps such losses on the layer. Those of a layer that is called in a loop are
    tensors of the loop, which nobody outside may use; here they are returned instead.

    Returns
    -------
    output : object
        What the layer returned.
    losses : list of scalar tf.Tensor
        What the layer added.
    """
    with keras.StatelessScope(collect_losses=True) as scope:
        output = call_tensor_func(layer, time, x, training)
    for variable in layer.variables:
        value = scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)
    return output, scope.losses


def validate_output(
    output: Any,
    minibatch_size: int | None = None,
    output_d: int | None = None,
    dtype: Any = None,
    name: str = "The function",
) -> None:
    """
    Check what a function or layer returned.

    Parameters
    ----------
    output : object
        What it returned. What is unknown about its shape is not checked.
    minibatch_size : int, optional
        Number of items that it must have.
    output_d : int, optional
        Number of elements that every item must have.
    dtype : tf.DType or str, optional
        Type that it must have.
    name : str
        Name of the function, for the error.

    Raises
    ------
    nengo.exceptions.ValidationError
        If there is something wrong with the output.
    """

    def error(text: str) -> ValidationError:
        return ValidationError(f"{name} {text}", attr="tensor_func")

    if not tf.is_tensor(output):
        raise error(f"must return a Tensor (received: {output!r})")
    shape = output.shape
    if shape.rank is None:
        return
    if minibatch_size is not None and (
        shape.rank == 0 or shape[0] not in (None, minibatch_size)
    ):
        raise error(
            f"returned a Tensor of shape {shape}; its first axis should have batch "
            f"size {minibatch_size}"
        )
    if output_d is not None:
        items = shape[1:]
        if items.is_fully_defined() and math.prod(items) != output_d:
            raise error(
                f"returned a Tensor of shape {shape}; its items should have size "
                f"{output_d}, the number of elements of `shape_out`"
            )
    if dtype is not None and output.dtype != dtype:
        raise error(
            f"returned a Tensor of type {tf.as_dtype(output.dtype).name}; it should "
            f"have dtype {tf.as_dtype(dtype).name}, use `tf.cast`"
        )


def checked_call(
    op: SimTensorNode,
    time: tf.Tensor | None,
    x: tf.Tensor | None,
    minibatch_size: int,
    dtype: tf.DType,
    training: bool,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """
    Call the function or layer of an operator, and check the output.

    Parameters
    ----------
    op : SimTensorNode
        The operator.
    time : scalar tf.Tensor or None
        The time in seconds.
    x : (minibatch_size, ...) tf.Tensor or None
        The input.
    minibatch_size : int
        Number of items.
    dtype : tf.DType
        Type that the output must have; floats that come from layers are cast to it.
    training : bool
        Whether layers behave as they do when they are trained.

    Returns
    -------
    output : (minibatch_size, ...) tf.Tensor
        The output.
    losses : list of scalar tf.Tensor
        What the layer adds to the loss for this output, beyond the regularization of
        its weights.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the call fails, or there is something wrong with the output.
    """
    losses: list[tf.Tensor] = []
    with explained_errors(op, minibatch_size):
        if op.traits.has_losses:
            output, losses = call_layer_with_losses(op.func, time, x, training)
        else:
            output = call_tensor_func(op.func, time, x, training)
    if isinstance(op.func, keras.layers.Layer) and _is_float(output):
        output = tf.cast(output, dtype)
    validate_output(output, minibatch_size, op.output.size, dtype, _name(op))
    return tf.convert_to_tensor(output), losses


def _name(op: SimTensorNode) -> str:
    """Return a name for what an operator calls."""
    return f"`{tensor_func_name(op.func)}` of {op.tag}"


@contextmanager
def explained_errors(op: SimTensorNode, minibatch_size: int) -> Iterator[None]:
    """Raise errors of the user's code as errors of the node that it belongs to."""
    try:
        yield
    except Exception as err:
        raise ValidationError(
            f"{_name(op)} produced an error: {type(err).__name__}: {err}. Make sure "
            "that it works on the time and `shape_in` of the node, in a batch of "
            f"{minibatch_size}",
            attr="tensor_func",
        ) from err


def _is_float(output: Any) -> bool:
    return tf.is_tensor(output) and tf.as_dtype(output.dtype).is_floating
