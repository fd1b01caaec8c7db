"""
Why layers of Keras have no native objects.

In: a layer without a converter. Out: what about it Nengo's own objects cannot compute.
"""

from __future__ import annotations

import keras

_STATISTICS = "it normalizes by statistics of its input, which is not linear"
_RECURRENT = "it is recurrent, with gates or steps of its own"
_PRODUCTS = "it multiplies tensors with each other, which is not linear"
_NUMBERS = "it looks up or makes categories, which is not linear"
_IMAGES = "it processes images by functions that are not linear"
_SOUND = "it computes spectra, which is not linear"

_REASONS: dict[str, tuple[str, ...]] = {
    _STATISTICS: (
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "UnitNormalization",
    ),
    _RECURRENT: (
        "Bidirectional",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "GRU",
        "GRUCell",
        "LSTM",
        "LSTMCell",
        "RNN",
        "SimpleRNN",
        "SimpleRNNCell",
        "StackedRNNCells",
    ),
    _PRODUCTS: (
        "AdditiveAttention",
        "Attention",
        "Dot",
        "GroupQueryAttention",
        "MultiHeadAttention",
        "Multiply",
    ),
    _NUMBERS: (
        "CategoryEncoding",
        "Discretization",
        "Embedding",
        "HashedCrossing",
        "Hashing",
        "IntegerLookup",
        "ReversibleEmbedding",
        "StringLookup",
        "TextVectorization",
    ),
    _IMAGES: (
        "AutoContrast",
        "ContrastLimitedAdaptiveHistogramEqualization",
        "Equalization",
        "Resizing",
        "Solarization",
    ),
    "it crops images at random in training": ("RandomCrop",),
    "it resizes images that are smaller": ("CenterCrop",),
    _SOUND: ("MelSpectrogram", "STFTSpectrogram"),
    "it divides by a sum of exponentials": ("Softmax",),
    "its slopes are trained, and no neuron type has any": ("PReLU",),
    "nothing is known about its function": ("Lambda",),
    "its weights are normalized whenever it is called": ("SpectralNormalization",),
}

_BY_NAME = {name: reason for reason, names in _REASONS.items() for name in names}


def why_not_native(layer: keras.Operation) -> str:
    """
    Say why a layer or operation without a converter has none.

    Parameters
    ----------
    layer : keras.Operation
        The layer.
    """
    if not isinstance(layer, keras.layers.Layer):
        return "there is no converter for this operation"
    name = type(layer).__name__
    if getattr(keras.layers, name, None) is type(layer) and name in _BY_NAME:
        return _BY_NAME[name]
    return "there is no converter for this type of layer"
