"""
States of Keras layers that go from call to call.

In: the layers in TensorNodes. Out: the states of recurrent layers that are
``stateful=True``, which Keras does not count among the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nengo_dl.tensor_node.seeds import objects_within


def layer_states(layers: Sequence[keras.layers.Layer]) -> list[keras.Variable]:
    """Return the states of all stateful recurrent layers within some layers."""
    recurrent = objects_within(list(layers), keras.layers.RNN)
    states = tf.nest.flatten([layer.states for layer in recurrent if layer.stateful])
    return [state for state in states if state is not None]  # not built yet


def reset_layer_states(
    layers: Sequence[keras.layers.Layer], items: Sequence[int] | None = None
) -> None:
    """
    Return states to zero, with which Keras begins.

    Parameters
    ----------
    layers : list of keras.layers.Layer
        The layers.
    items : sequence of int, optional
        Positions along the first axis; by default all.
    """
    for state in layer_states(layers):
        value = np.array(keras.ops.convert_to_numpy(state.value))
        value[slice(None) if items is None else list(items)] = 0
        state.assign(value)
