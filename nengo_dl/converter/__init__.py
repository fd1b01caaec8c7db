"""
From Keras models to Nengo networks.

In: a Keras model. Out: a Nengo network that computes the same, maybe with spikes.
"""

from nengo_dl.converter import layers
from nengo_dl.converter.converter import Converter
from nengo_dl.converter.layer_converter import LayerConverter
from nengo_dl.converter.mappings import KerasTensorDict, TrackedDict

__all__ = ["Converter", "KerasTensorDict", "LayerConverter", "TrackedDict", "layers"]
