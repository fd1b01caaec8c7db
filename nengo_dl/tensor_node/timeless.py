"""
Which Keras layers can compute many steps at once, as more items of a minibatch.

In: a layer. Out: whether it is one of Keras's own layers of which it is known that they
compute every item from that item alone, or a model of such layers. No trace can tell
that of a function: a mean over all items is an operation like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

# The class of functional models, which Keras does not export.
_INPUT = keras.Input((1,))
FUNCTIONAL = type(keras.Model(_INPUT, _INPUT))


def _classes(names: str) -> set[type]:
    """Return those of some classes of layers that this version of Keras has."""
    found = (getattr(keras.layers, name, None) for name in names.split())
    return {layer for layer in found if layer is not None}


ITEMWISE = _classes(
    """
    InputLayer Dense Embedding Identity
    Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose
    DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D
    Activation ReLU LeakyReLU PReLU ELU Softmax Rescaling
    AveragePooling1D AveragePooling2D AveragePooling3D
    MaxPooling1D MaxPooling2D MaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    Flatten Reshape Permute RepeatVector
    Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
    Add Subtract Multiply Average Maximum Minimum Concatenate
    LayerNormalization RMSNormalization GroupNormalization UnitNormalization
    """
)
# In training, these draw random numbers, or mix the items of a minibatch.
ITEMWISE_IN_INFERENCE = _classes(
    """
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D
    AlphaDropout GaussianDropout GaussianNoise BatchNormalization
    """
)
ACTIVATIONS = {
    getattr(keras.activations, name, None)
    for name in (
        "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh "
        "leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu "
        "soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid squareplus "
        "tanh tanh_shrink threshold"
    ).split()
}


def is_itemwise(layer: Any, phases: Iterable[bool]) -> bool:
    """
    Say whether a layer is known to compute every item from that item alone.

    Parameters
    ----------
    layer : keras.Operation or callable
        A layer. Subclasses of Keras's layers, and functions, are not known.
    phases : iterable of bool
        The values of ``training`` with which it is ever called.
    """
    phases = tuple(phases)
    if type(layer) in (FUNCTIONAL, keras.Sequential):
        # (those of a functional model may be operations that are no layers)
        is_sequential = type(layer) is keras.Sequential
        parts = layer.layers if is_sequential else layer.operations
        return all(is_itemwise(part, phases) for part in parts)
    is_known = type(layer) in ITEMWISE or (
        type(layer) in ITEMWISE_IN_INFERENCE and not any(phases)
    )
    return (
        is_known
        # which adds to the loss in every call
        and getattr(layer, "activity_regularizer", None) is None
        and _keeps_items_apart(layer)
        and _is_known_activation(getattr(layer, "activation", None), phases)
    )


def _keeps_items_apart(layer: keras.layers.Layer) -> bool:
    """Return whether the options of a layer leave the axis of the items alone."""
    axes = np.ravel(getattr(layer, "axis", -1))
    # (nothing but items would be left of the axes)
    is_emptied = type(layer) is keras.layers.Reshape and not layer.target_shape
    are_numbers = np.issubdtype(axes.dtype, np.integer)
    return not is_emptied and are_numbers and bool(np.all((axes == -1) | (axes > 0)))


def _is_known_activation(activation: Any, phases: tuple[bool, ...]) -> bool:
    if activation is None or isinstance(activation, keras.layers.Layer):
        return activation is None or is_itemwise(activation, phases)
    return any(activation is known for known in ACTIVATIONS)
