"""Converters of the layers of Keras, family by family."""

from nengo_dl.converter.layers import (
    core,
    fallback,
    models,
    normalization,
    operations,
    rearrangement,
    time,
)

__all__ = [
    "core",
    "fallback",
    "models",
    "normalization",
    "operations",
    "rearrangement",
    "time",
]
