"""
From Keras models to Nengo networks.

In: a Keras model. Out: a Nengo network that computes the same, maybe with spikes.
"""

from nengo_dl.converter import layers
from nengo_dl.converter.converter import Converter
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.layers.convolutions import ConvertConv
from nengo_dl.converter.layers.core import ConvertActivation, ConvertKnownActivation
from nengo_dl.converter.layers.dense import ConvertDense
from nengo_dl.converter.layers.fallback import ConvertFallback
from nengo_dl.converter.layers.merging import ConvertAdd, ConvertAverage
from nengo_dl.converter.layers.models import ConvertModel, ConvertSequential
from nengo_dl.converter.layers.normalization import ConvertBatchNormalization
from nengo_dl.converter.layers.pooling import ConvertAveragePooling
from nengo_dl.converter.layers.rearrangement import (
    ConvertConcatenate,
    ConvertRearrangement,
    ConvertUpSampling,
)
from nengo_dl.converter.layers.time import ConvertTimeDistributed
from nengo_dl.converter.mappings import KerasTensorDict, TrackedDict

# NengoDL 3 has a class for every number of axes, and every layer that moves elements.
ConvertConv1D = ConvertConv2D = ConvertConv3D = ConvertConv
ConvertAvgPool = ConvertAvgPool1D = ConvertAveragePooling
ConvertAvgPool2D = ConvertAvgPool3D = ConvertAveragePooling
ConvertUpSampling1D = ConvertUpSampling2D = ConvertUpSampling3D = ConvertUpSampling
ConvertZeroPadding1D = ConvertZeroPadding2D = ConvertRearrangement
ConvertZeroPadding3D = ConvertFlatten = ConvertReshape = ConvertRearrangement
ConvertReLU = ConvertLeakyReLU = ConvertKnownActivation

__all__ = [
    "ConvertActivation",
    "ConvertAdd",
    "ConvertAverage",
    "ConvertAvgPool",
    "ConvertAvgPool1D",
    "ConvertAvgPool2D",
    "ConvertAvgPool3D",
    "ConvertBatchNormalization",
    "ConvertConcatenate",
    "ConvertConv",
    "ConvertConv1D",
    "ConvertConv2D",
    "ConvertConv3D",
    "ConvertDense",
    "ConvertFallback",
    "ConvertFlatten",
    "ConvertLeakyReLU",
    "ConvertModel",
    "ConvertReLU",
    "ConvertReshape",
    "ConvertSequential",
    "ConvertTimeDistributed",
    "ConvertUpSampling",
    "ConvertUpSampling1D",
    "ConvertUpSampling2D",
    "ConvertUpSampling3D",
    "ConvertZeroPadding1D",
    "ConvertZeroPadding2D",
    "ConvertZeroPadding3D",
    "Converter",
    "KerasTensorDict",
    "LayerConverter",
    "TrackedDict",
    "layers",
]
