"""Converters of the layers of Keras, family by family."""

from nengo_dl.converter.layers import (
    convolutions,
    core,
    dense,
    fallback,
    merging,
    models,
    pooling,
    shapes,
)

__all__ = [
    "convolutions",
    "core",
    "dense",
    "fallback",
    "merging",
    "models",
    "pooling",
    "shapes",
]
