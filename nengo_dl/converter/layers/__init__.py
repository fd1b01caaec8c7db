"""Converters of the layers of Keras, family by family."""

from nengo_dl.converter.layers import (
    convolutions,
    core,
    dense,
    fallback,
    merging,
    models,
    normalization,
    operations,
    pooling,
    quantised,
    rearrangement,
    shapes,
    time,
)

__all__ = [
    "convolutions",
    "core",
    "dense",
    "fallback",
    "merging",
    "models",
    "normalization",
    "operations",
    "pooling",
    "quantised",
    "rearrangement",
    "shapes",
    "time",
]
