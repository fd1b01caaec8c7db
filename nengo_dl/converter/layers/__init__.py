"""Converters of the layers of Keras, family by family."""

from nengo_dl.converter.layers import (
    core,
    fallback,
    models,
    operations,
    rearrangement,
)

__all__ = ["core", "fallback", "models", "operations", "rearrangement"]
