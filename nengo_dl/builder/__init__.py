"""
How Nengo objects become operators, and who turns operators into TensorFlow.

`NengoBuilder` and `NengoModel` are Nengo's own with extensions; `Builder` is the one
registry of operator builders.
"""

from nengo_dl.builder.nengo_build import NengoModel, build_model, nengo_precision
from nengo_dl.builder.registry import (
    BuildConfig,
    Builder,
    NengoBuilder,
    OpBuilder,
    is_from_outside,
    load_builders,
)
from nengo_dl.builder.work import Work

__all__ = [
    "BuildConfig",
    "Builder",
    "NengoBuilder",
    "NengoModel",
    "OpBuilder",
    "Work",
    "build_model",
    "is_from_outside",
    "load_builders",
    "nengo_precision",
]
