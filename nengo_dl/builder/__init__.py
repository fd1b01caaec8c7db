"""
How Nengo objects become operators, and who turns operators into TensorFlow.

`NengoBuilder` and `NengoModel` are Nengo's own with extensions; `Builder` is the one
registry of operator builders.
"""

from nengo_dl.builder.nengo_build import (
    NengoBuilder,
    NengoModel,
    build_model,
    nengo_precision,
)
from nengo_dl.builder.registry import BuildConfig, Builder, OpBuilder

__all__ = [
    "BuildConfig",
    "Builder",
    "NengoBuilder",
    "NengoModel",
    "OpBuilder",
    "build_model",
    "nengo_precision",
]
