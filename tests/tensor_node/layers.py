"""Functions and layers for TensorNodes."""

from __future__ import annotations

import keras


def double(x):
    return 2 * x


class Affine(keras.layers.Layer):
    """``x @ kernel + bias``, with weights that are created in `build`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="ones"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        return keras.ops.matmul(x, self.kernel) + self.bias
