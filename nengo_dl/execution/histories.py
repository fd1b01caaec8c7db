"""
What the steps of a loop put out, one after the other (stage 10 of the pipeline).

In: the values of every step. Out: those of all steps, or of the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Histories:
    """
    Values of all steps, as variables of a loop.

    Parameters
    ----------
    specs : sequence of (tf.TensorSpec, bool)
        The values of one step, and whether those of all steps are kept.
    size : int or scalar tf.Tensor
        The largest number of steps.
    is_full : bool
        Whether there are exactly ``size`` steps, an int, as in training. Then every
        value is put at the end of a list, which the gradient takes apart in the same
        way. If values are written to their places, the gradient of each is a copy of
        all, with zeros in its place: XLA does copy them, in every step.
    """

    def __init__(
        self,
        specs: Sequence[tuple[tf.TensorSpec, bool]],
        size: int | tf.Tensor,
        is_full: bool,
    ):
        self._specs, self._size, self._is_full = list(specs), size, is_full

    def start(self) -> list[Any]:
        """Return the variables before the first step."""
        return [
            self._empty(spec) if keep else tf.zeros(spec.shape, spec.dtype)
            for spec, keep in self._specs
        ]

    def _empty(self, spec: tf.TensorSpec) -> Any:
        shape, dtype = spec.shape, spec.dtype
        if not self._is_full:
            return tf.TensorArray(dtype, size=self._size, element_shape=shape)
        return tf.raw_ops.EmptyTensorList(
            element_shape=tf.constant(shape.as_list(), tf.int32),
            max_num_elements=self._size,
            element_dtype=dtype,
        )

    def write(
        self, variables: Sequence[Any], i: tf.Tensor, values: Sequence[tf.Tensor]
    ) -> list[Any]:
        """Return the variables after step ``i``."""
        return [
            self._written(variable, i, value) if keep else value
            for (_, keep), variable, value in zip(self._specs, variables, values)
        ]

    def _written(self, variable: Any, i: tf.Tensor, value: tf.Tensor) -> Any:
        if not self._is_full:
            return variable.write(i, value)
        return tf.raw_ops.TensorListPushBack(input_handle=variable, tensor=value)

    def stacked(self, variables: Sequence[Any]) -> list[tf.Tensor]:
        """Return ``(size, ...)`` values of all steps, or ``(1, ...)`` of the last."""
        return [
            self._stacked(variable, spec) if keep else variable[None]
            for (spec, keep), variable in zip(self._specs, variables)
        ]

    def _stacked(self, variable: Any, spec: tf.TensorSpec) -> tf.Tensor:
        if not self._is_full:
            return variable.stack()
        return tf.raw_ops.TensorListStack(
            input_handle=variable,
            element_shape=tf.constant(spec.shape.as_list(), tf.int32),
            element_dtype=spec.dtype,
            num_elements=self._size,
        )
