"""
Functions that XLA compiles, and whose gradient it compiles as well.

In: a function of tensors, such as a loop over steps. Out: the same function, with a
gradient that computes it once more. TensorFlow knows none of a loop in an XLA program
of its own: what is kept from step to step cannot leave the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def compiled_with_gradient(function: Callable) -> Callable:
    """
    Compile a function and its gradient.

    Parameters
    ----------
    function : callable
        Maps nested structures of tensors, and of constants, to one of tensors. If it
        uses other tensors, or variables, as layers do, it is not compiled: their
        gradients would be lost.

    Returns
    -------
    compiled : callable
        The same, to be called where a function is traced.
    """

    def call(*args: Any) -> Any:
        flat = tf.nest.flatten(args)
        is_tensor = [tf.is_tensor(value) for value in flat]
        tensors = [value for value, is_one in zip(flat, is_tensor) if is_one]
        is_float = [value.dtype.is_floating for value in tensors]
        structure: list[Any] = []

        def compute(values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            remaining = iter(values)
            filled = [next(remaining) if t else v for v, t in zip(flat, is_tensor)]
            computed = function(*tf.nest.pack_sequence_as(args, filled))
            structure[:] = [computed]
            return tf.nest.flatten(computed)

        def differentiate(
            values: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor]
        ) -> list[tf.Tensor]:
            sources = [v for v, is_one in zip(values, is_float) if is_one]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                targets = compute(values)
            chosen = [i for i, t in enumerate(targets) if t.dtype.is_floating]
            return tape.gradient(
                [targets[i] for i in chosen],
                sources,
                [upstream[i] for i in chosen],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )

        run, run_back = (
            tf.function(f, jit_compile=True, autograph=False)
            for f in (compute, differentiate)
        )
        traced = run.get_concrete_function(tensors)
        if traced.captured_inputs or not traced.outputs:
            return function(*args)

        @tf.custom_gradient
        def differentiable(*values: tf.Tensor) -> tuple:
            def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
                found = iter(run_back(list(values), list(upstream)))
                return [next(found) if is_one else None for is_one in is_float]

            return run(list(values)), gradient

        outputs = differentiable(*tensors)
        return tf.nest.pack_sequence_as(structure[0], outputs)

    return call
