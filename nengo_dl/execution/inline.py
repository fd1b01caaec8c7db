"""
Functions and loops that are executed by the thread that calls them.

In: compiled functions, and tensors. Out: what they return. TensorFlow hands functions,
and operations that it takes for expensive, to a pool of threads, which costs 20 to 100
microseconds whenever the thread changes. For a single step, or a step that calls
Python, that is more than the computation itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


class InlineFunction:
    """
    A compiled function that runs in the thread of the caller, on CPUs.

    Parameters
    ----------
    function : tf.types.experimental.ConcreteFunction
        The function. It must not be differentiated.
    """

    def __init__(self, function: tf.types.experimental.ConcreteFunction):
        self._function = function
        self._captured = list(function.captured_inputs)
        self._dtypes = tf.nest.flatten(function.output_dtypes)

    def __call__(self, args: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the outputs for the arguments, both of them as flat lists."""
        return tf.raw_ops.StatefulPartitionedCall(
            args=[*args, *self._captured], Tout=self._dtypes, f=self._function
        )


def resources_are_here(function: tf.types.experimental.ConcreteFunction) -> bool:
    """
    Return whether all variables that a function uses are on the current device.

    Parameters
    ----------
    function : tf.types.experimental.ConcreteFunction
        The function. If it uses variables elsewhere, only TensorFlow's own way to call
        it finds them.
    """
    here = tf.constant(0.0).device
    return all(
        tensor.device == here
        for tensor in function.captured_inputs
        if tensor.dtype == tf.resource
    )


def inline_while_loop(
    cond: Callable[..., tf.Tensor],
    body: Callable[..., Sequence[tf.Tensor]],
    loop_vars: Sequence[tf.Tensor],
) -> list[tf.Tensor]:
    """
    Repeat a function, like `tf.while_loop`, without any optimization of its operations.

    They are executed one by one, in the thread that executes the loop. No gradient
    flows through it.

    Parameters
    ----------
    cond : callable
        Maps the variables of the loop to whether to go on.
    body : callable
        Maps the variables of the loop to their next values, of the same shapes.
    loop_vars : sequence of tf.Tensor
        The first values.

    Returns
    -------
    loop_vars : list of tf.Tensor
        The last values.
    """
    n_vars = len(loop_vars)

    def whole_body(*values: tf.Tensor) -> list[tf.Tensor]:
        # what the body uses from outside has to be handed on from step to step
        new = body(*values[:n_vars])
        return [*new, *tf.compat.v1.get_default_graph().internal_captures]

    def traced(function: Callable, args: Sequence[tf.Tensor]) -> Any:
        specs = [tf.TensorSpec(arg.shape, arg.dtype) for arg in args]
        return tf.function(function, autograph=False).get_concrete_function(*specs)

    traced_body = traced(whole_body, loop_vars)
    values = [*loop_vars, *traced_body.captured_inputs]
    traced_cond = traced(lambda *values: cond(*values[:n_vars]), values)
    return tf.raw_ops.While(input=values, cond=traced_cond, body=traced_body)[:n_vars]
